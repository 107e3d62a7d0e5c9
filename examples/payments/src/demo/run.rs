//! One run, from the first process to the verdict.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use futures_util::future::try_join_all;
use payments::load::{self, Customers};
use tokio::time::{Instant, sleep};

use crate::{
    absorbed,
    books::Books,
    checker::{self, Evidence},
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

/// How many customers are served at the same time.
const AT_ONCE: usize = 8;
/// However fast the machine is, a run stays readable.
const MOST_PAYMENTS: u32 = 20_000;

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
    let record = Arc::new(load::Record::default());
    let fates = Fates::new(Arc::clone(&stage), narrator, Arc::clone(&record));
    let mut talk = stage.talk()?;

    let members = raise(&fates, &plan, &mut talk).await?;
    let names: Vec<&str> = members
        .iter()
        .map(|running| running.member.name())
        .collect();
    narrator.say(&format!("{} are up", names.join(", ")));
    let customers = Customers::new(
        stage.url(Member::Cashier),
        stage.url(Member::Coupon),
        String::new(),
        seed,
        Arc::clone(&record),
    )?;

    let deaths = async {
        let lives = members.into_iter().map(|running| {
            let lives = plan.lives(running.member);
            fates.live(running, lives)
        });
        let mut members = try_join_all(lives).await?;
        let (coordinator, ledger) = (
            take(&mut members, Member::FIRST)?,
            take(&mut members, Member::Ledger)?,
        );
        let down = plan.last_act_down;
        let last = fates.die_together(coordinator, ledger, &mut talk, down);
        let (coordinator, ledger) = last.await?;
        record.stop();
        members.extend([coordinator, ledger]);
        // The coordinators go last, as whoever stops has something to tell them.
        members.sort_by_key(|running| std::cmp::Reverse(running.member));
        anyhow::Ok(members)
    };
    let progress = progress(&fates, &record);
    let mut members = tokio::select! {
        ended = async { tokio::try_join!(deaths, customers.shop(AT_ONCE, MOST_PAYMENTS)) } => ended?.0,
        never = progress => match never {},
    };
    narrator.say("no more payments and no more deaths; waiting until nothing is pending");
    until_over(&mut members, &stage, &mut talk, narrator).await?;
    narrator.say("nothing is pending; the ledger's day ends, twice, and all databases are read");
    for _ in 0..2 {
        roll_up(&stage.url(Member::Ledger)).await?;
    }

    let mut evidence = Evidence {
        books: stage.books().await?,
        seen: std::mem::take(&mut fates.record().seen),
        told: record.told(),
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
    tally.counts = record.counts();
    tally.empty_cancels = absorbed::empty_cancels(&stage.log(Member::Account))
        .context("can't read the log of the account service")?;
    for (count, consumer) in tally.duplicates.iter_mut().zip(Member::CONSUMERS) {
        *count = absorbed::duplicates(&stage.log(consumer))
            .with_context(|| format!("can't read the log of the {consumer}"))?;
    }
    let mut findings = checker::check(&evidence);
    findings.extend(std::mem::take(&mut fates.record().findings));
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
        Store::Server(database) => format!(
            "make demo STORE={} NODES={nodes} SEED={seed}",
            database.kind()
        ),
    }
}

/// Starts all of them, the coordinators first.
async fn raise(fates: &Fates, plan: &Plan, talk: &mut Talk) -> anyhow::Result<Vec<Running>> {
    let begin = |member| fates.begin(member, plan.lives(member).first());
    let mut members = try_join_all(fates.stage.coordinators().map(begin)).await?;
    // Each payer's payments in order for the ledger; rewards take them as they come.
    talk.subscribe(Member::Ledger, true).await?;
    talk.subscribe(Member::Rewards, false).await?;
    members.extend(try_join_all(Member::SERVICES.map(begin)).await?);
    Ok(members)
}

fn take(members: &mut Vec<Running>, member: Member) -> anyhow::Result<Running> {
    let at = members.iter().position(|running| running.member == member);
    at.map(|at| members.remove(at))
        .with_context(|| format!("there is no {member} in this run"))
}

/// Ends the ledger's day, as a clock would.
async fn roll_up(ledger: &str) -> anyhow::Result<()> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let answer = http.post(format!("{ledger}/roll-up")).send().await?;
    answer
        .error_for_status()
        .context("the ledger does not roll up its lines")?;
    Ok(())
}

/// A line each second.
async fn progress(fates: &Fates, record: &load::Record) -> std::convert::Infallible {
    loop {
        sleep(Duration::from_secs(1)).await;
        let counts = record.counts();
        fates.narrator.say(&format!(
            "{} payments and refunds made, {} refused, {} customers hung up; {} kills",
            counts.made,
            counts.all_refused(),
            counts.hung_up,
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
