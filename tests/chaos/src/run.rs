//! One run from the beginning to its history.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use earnest_history::{Event, History, Summary, Violation, check};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    clients::Clients,
    faults::Faults,
    kind::Kind,
    options::Options,
    plan::Hand,
    record::{self, Recorder},
    rest,
    stage::Stage,
};

/// Longer than any call of a client takes.
const CALLS_END_WITHIN: Duration = Duration::from_mins(1);

/// What a run found.
#[derive(Debug)]
pub struct Outcome {
    /// What is broken; empty: nothing.
    pub violations: Vec<Violation>,
    /// What the run did not do, though it has to, to prove anything; empty: nothing.
    pub gaps: Vec<String>,
    /// Faults that this machine does not allow, in a run that is not strict.
    pub left_out: Vec<Kind>,
    /// What was looked at.
    pub summary: Summary,
    /// Where the history is.
    pub history: PathBuf,
}

impl Outcome {
    /// Whether everything was tried, and nothing is broken.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty() && self.gaps.is_empty()
    }
}

/// Runs, and checks what happened. An error means that the run itself failed, such as by a process that ended by itself.
pub async fn run(options: &Options) -> Result<Outcome> {
    let stage = Arc::new(Stage::set(options).await?);
    let played = play(options, &stage).await;
    let kept = if played.as_ref().is_ok_and(Outcome::is_good) {
        Ok(())
    } else {
        keep(options, &stage).await
    };
    let outcome = played?;
    kept?;
    Ok(outcome)
}

async fn play(options: &Options, stage: &Arc<Stage>) -> Result<Outcome> {
    let recorder = Recorder::create(&record::file(&options.directory, "runner", 0))?;
    let recorder = Arc::new(recorder);
    recorder.write(
        "runner",
        Event::Run {
            seed: options.seed,
            rest_within_ms: rest::BOUND.as_millis() as u64,
            subscriptions: Stage::subscriptions(),
        },
    )?;
    let clients = Clients::new(options.seed, Arc::clone(&recorder), stage)?;
    let clients = Arc::new(clients);
    let faults = Faults {
        stage: Arc::clone(stage),
        clients: Arc::clone(&clients),
        recorder: Arc::clone(&recorder),
        until: Instant::now() + options.faults_for,
        hurry: options.hurry,
        processes: Arc::default(),
        narrate: options.narrate,
    };
    let mut watching = JoinSet::new();
    for member in &stage.members {
        watching.spawn(faults.clone().watch(Arc::clone(member)));
    }
    let calling = clients.begin();
    let hands = Hand::both(options.seed, options.store, &options.kinds)
        .map(|hand| faults.clone().work(hand));
    let [one, other] = hands;
    tokio::select! {
        broken = async { tokio::try_join!(one, other) } => { broken?; }
        ended = ended(&mut watching) => return Err(ended),
    }
    clients.stop();
    tokio::select! {
        stopped = timeout(CALLS_END_WITHIN, all(calling)) => stopped.context("calls do not end")??,
        ended = ended(&mut watching) => return Err(ended),
    }
    recorder.write("runner", Event::Quiet)?;
    tokio::select! {
        waited = rest::wait(stage) => waited?,
        ended = ended(&mut watching) => return Err(ended),
    }
    watching.shutdown().await;
    rest::read(stage, &recorder).await?;
    judge(options, stage)
}

/// The first of those who watch to have something to say.
async fn ended(watching: &mut JoinSet<Result<()>>) -> anyhow::Error {
    match watching.join_next().await {
        Some(Ok(Err(error))) => error,
        Some(Err(panic)) => panic.into(),
        Some(Ok(Ok(()))) | None => anyhow::anyhow!("nobody watches"),
    }
}

async fn all(mut tasks: JoinSet<Result<()>>) -> Result<()> {
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}

fn judge(options: &Options, stage: &Stage) -> Result<Outcome> {
    let path = options.directory.join("history.jsonl");
    let text = record::merge(&options.directory)?;
    std::fs::write(&path, &text)?;
    let history = History::parse(&text)?;
    let summary = Summary::of(&history);
    let all_small = stage.members.iter().all(|member| member.disk.is_small());
    let left_out = if options.strict || all_small {
        Vec::new()
    } else {
        vec![Kind::DiskFull]
    };
    Ok(Outcome {
        violations: check(&history),
        gaps: gaps(&summary, options, &left_out),
        left_out,
        summary,
        history: path,
    })
}

/// What has to have happened for a run to prove anything.
fn gaps(summary: &Summary, options: &Options, left_out: &[Kind]) -> Vec<String> {
    let mut gaps = Vec::new();
    let kinds = options.kinds.iter();
    for kind in kinds.filter(|kind| kind.belongs_to(options.store)) {
        if !left_out.contains(kind) && !summary.faults.contains_key(kind.name()) {
            gaps.push(format!("no fault {kind}"));
        }
    }
    let [committed, rolled_back, ..] = summary.check_backs;
    let branches = &summary.branches;
    let executed = summary.calls.get("execute").map_or(0, |[_, ok, ..]| *ok);
    let happened = [
        ("a check-back answered with committed", committed),
        ("a check-back answered with rolled back", rolled_back),
        ("a parked delivery", summary.parked),
        ("an effect", summary.effects),
        ("a branch that was confirmed", branches.ended[0]),
        ("a branch that was cancelled", branches.ended[1]),
        ("a Try that was refused", branches.refused),
        ("a Cancel without its Try", branches.empty),
        (
            "a transaction with branches that a check-back decided",
            branches.checked_back,
        ),
        ("a transaction that a participant opened", branches.nested),
        ("an Execute", executed),
    ];
    for (what, times) in happened {
        if times == 0 {
            gaps.push(format!("never {what}"));
        }
    }
    gaps
}

/// Ends everybody and copies what lies on the disks.
async fn keep(options: &Options, stage: &Stage) -> Result<()> {
    let mut problems = Vec::new();
    for member in &stage.members {
        let killed = member.life().await.kill().await;
        let kept = killed.and_then(|()| member.keep_in(&options.directory));
        problems.extend(kept.err());
    }
    match problems.into_iter().next() {
        Some(problem) => bail!("what is on the disks can't be kept: {problem:#}"),
        None => Ok(()),
    }
}
