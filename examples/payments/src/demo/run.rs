//! One run, from the first process to the verdict.

use std::{path::PathBuf, sync::Arc, sync::atomic::Ordering, time::Duration};

use anyhow::{Context, bail};
use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep};

use crate::{
    absorbed,
    books::Books,
    checker::{self, Evidence},
    customers::{Counter, Customers},
    lives::Fates,
    member::Member,
    narrator::Narrator,
    plan::Plan,
    running::Running,
    stage::Stage,
    store::Store,
    table,
    talk::{Pending, Talk},
    tally::Tally,
};

/// Everything must be over this long after the last death and the last payment.
const OVER_WITHIN: Duration = Duration::from_secs(40);

/// What to do.
pub(crate) struct Options {
    pub seed: u64,
    pub data: PathBuf,
    pub store: Store,
    /// How many coordinators.
    pub nodes: u8,
    /// Leave everything running at the end.
    pub keep: bool,
    pub narrator: Narrator,
}

/// Returns how many findings there are; an error means that there is no verdict.
pub(crate) async fn run(options: Options) -> anyhow::Result<usize> {
    let Options {
        seed,
        data,
        store,
        nodes,
        keep,
        narrator,
    } = options;
    narrator.print(&format!(
        "Seed {seed} (the same choices again: {})\n\n",
        again(seed, &store, nodes)
    ));
    let again = again(seed, &store, nodes);
    let plan = Plan::of(seed, nodes);
    let stage = Arc::new(Stage::new(&data, store, nodes)?);
    let counter = Arc::new(Counter::default());
    let fates = Fates::new(Arc::clone(&stage), narrator, Arc::clone(&counter));
    let mut talk = stage.talk()?;

    let (coordinators, [cashier, ledger, rewards]) = raise(&fates, &plan, &mut talk).await?;
    let those = coordinators.iter().map(|running| running.member.name());
    narrator.say(&format!(
        "{}, cashier, ledger and rewards are up",
        those.collect::<Vec<_>>().join(", ")
    ));
    let customers = Customers::new(stage.url(Member::Cashier), seed, Arc::clone(&counter))?;

    let deaths = async {
        let nodes = coordinators.into_iter().map(|running| {
            let lives = plan.lives(running.member);
            fates.live(running, lives)
        });
        let (mut coordinators, cashier, ledger, rewards) = tokio::try_join!(
            try_join_all(nodes),
            fates.live(cashier, plan.lives(Member::Cashier)),
            fates.live(ledger, plan.lives(Member::Ledger)),
            fates.live(rewards, plan.lives(Member::Rewards)),
        )?;
        let (first, ledger) = fates
            .die_together(
                coordinators.remove(0),
                ledger,
                &mut talk,
                plan.last_act_down,
            )
            .await?;
        counter.stop();
        coordinators.insert(0, first);
        coordinators.extend([cashier, ledger, rewards]);
        anyhow::Ok(coordinators)
    };
    let progress = progress(&fates, &counter);
    let mut members = tokio::select! {
        ended = async { tokio::try_join!(deaths, customers.shop()) } => ended?.0,
        never = progress => match never {},
    };
    narrator.say("no more payments and no more deaths; waiting until nothing is pending");
    until_over(&mut members, &stage, &mut talk, narrator).await?;
    narrator.say("nothing is pending; reading all databases");

    let mut evidence = Evidence {
        books: stage.books().await?,
        seen: std::mem::take(&mut fates.record().seen),
        told: counter.told(),
    };
    evidence.seen.add(&evidence.books);
    if keep {
        narrator.say("everything is left running");
    } else {
        for member in members.drain(..) {
            member.stop().await?;
        }
        // Stopping must not have changed anything.
        evidence.books = stage.books().await?;
    }
    let mut tally = Tally::of(&evidence.books, nodes, &fates.record());
    tally.asked = evidence.told.len() as u64;
    tally.repeated_requests = counter.repeats.load(Ordering::Relaxed);
    for (count, consumer) in tally
        .duplicates
        .iter_mut()
        .zip([Member::Ledger, Member::Rewards])
    {
        *count = absorbed::duplicates(&stage.log(consumer))
            .with_context(|| format!("can't read the log of the {consumer}"))?;
    }
    let mut findings = checker::check(&evidence);
    findings.extend(tally.unproven());
    narrator.print(&format!(
        "\n{}\n{}{}",
        table::table(&tally),
        table::verdict(&findings),
        look_next(&stage, &evidence.books, &again, keep)
    ));
    if keep {
        std::future::pending::<()>().await;
    }
    Ok(findings.len())
}

/// The command that makes the same choices.
fn again(seed: u64, store: &Store, nodes: u8) -> String {
    match store {
        Store::Sqlite => format!("make demo SEED={seed}"),
        Store::Postgres(_) => format!("make demo STORE=postgres NODES={nodes} SEED={seed}"),
    }
}

/// Starts all of them, the coordinators first.
async fn raise(
    fates: &Fates,
    plan: &Plan,
    talk: &mut Talk,
) -> anyhow::Result<(Vec<Running>, [Running; 3])> {
    let first = |member| plan.lives(member).first();
    let coordinators = fates.stage.coordinators();
    let coordinators =
        try_join_all(coordinators.map(|member| fates.begin(member, first(member)))).await?;
    // Each payer's payments in order for the ledger; rewards take them as they come.
    talk.subscribe(Member::Ledger, true).await?;
    talk.subscribe(Member::Rewards, false).await?;
    let (cashier, ledger, rewards) = tokio::try_join!(
        fates.begin(Member::Cashier, first(Member::Cashier)),
        fates.begin(Member::Ledger, first(Member::Ledger)),
        fates.begin(Member::Rewards, first(Member::Rewards)),
    )?;
    Ok((coordinators, [cashier, ledger, rewards]))
}

/// A line each second.
async fn progress(fates: &Fates, counter: &Counter) -> std::convert::Infallible {
    loop {
        sleep(Duration::from_secs(1)).await;
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        fates.narrator.say(&format!(
            "{} payments made, {} refused, {} customers hung up; {} kills",
            count(&counter.made),
            count(&counter.refused),
            count(&counter.hung_up),
            fates.record().deaths.len()
        ));
    }
}

/// Waits until nothing is pending, while everybody lives.
async fn until_over(
    members: &mut [Running],
    stage: &Stage,
    talk: &mut Talk,
    narrator: Narrator,
) -> anyhow::Result<()> {
    let since = Instant::now();
    let mut last = None;
    let mut told = since;
    loop {
        for member in members.iter_mut() {
            if let Some(status) = member.has_died() {
                let member = member.member;
                bail!(
                    "the {member} ended by itself ({status}); its log ends with:\n{}",
                    stage.log_end(member)
                );
            }
        }
        let now = talk.pending().await;
        if now.as_ref().is_ok_and(|now| now.is_nothing()) {
            return Ok(());
        }
        last = now.ok().or(last);
        if told.elapsed() > Duration::from_secs(1) {
            told = Instant::now();
            let deliveries = last.map_or(0, |pending| pending.deliveries);
            let one = talk.explain().await.unwrap_or_default().into_iter().next();
            narrator.say(&format!(
                "{deliveries} deliveries pending; {}",
                one.unwrap_or_default()
            ));
        }
        if since.elapsed() > OVER_WITHIN {
            let pending = last.map_or_else(
                || "the coordinator does not say what".to_owned(),
                |Pending { deliveries, .. }| format!("{deliveries} deliveries"),
            );
            let explained = talk.explain().await.unwrap_or_default().join("\n  ");
            bail!(
                "P11 everything becomes final (V1): still pending {OVER_WITHIN:?} after the last death and payment: {pending}\n  \
                 {explained}\nThe databases and logs are in {}",
                stage.data().display()
            );
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Commands that work as they are, from where the demo was started.
fn look_next(stage: &Stage, books: &Books, again: &str, keep: bool) -> String {
    let data = stage.data().display();
    let earnest = stage.program(Member::FIRST);
    let earnest = earnest.display();
    let mut lines = vec![format!(
        "\nTo look at next (databases and logs are in {data}/):"
    )];
    let mut line = |what: String| lines.push(format!("  {what}"));
    if !keep && stage.leaves_its_database() {
        let flags = stage.flags(Member::FIRST).join(" ");
        line(format!("{earnest} {flags} &"));
    }
    if keep || stage.leaves_its_database() {
        line(format!(
            "export EARNEST_SERVER={}",
            stage.url(Member::FIRST)
        ));
        line(format!("{earnest} tx list"));
        let asked = books
            .coordinator
            .transactions
            .iter()
            .find(|(_, t)| t.decided_by.as_deref() == Some("check-back"));
        if let Some((id, _)) = asked {
            line(format!("{earnest} tx show {id}   # decided by check-back"));
        }
    } else {
        line(format!(
            "{again} ARGS=--keep   # with the coordinators left running"
        ));
    }
    line(format!(
        "sqlite3 {data}/ledger.db 'SELECT account, sum(cents) FROM line GROUP BY account'"
    ));
    line(format!("grep 'taken before' {data}/ledger.log"));
    line(again.to_owned());
    let text = lines.join("\n") + "\n";
    match std::env::current_dir() {
        Ok(here) => text.replace(&format!("{}/", here.display()), ""),
        Err(_) => text,
    }
}
