//! One run: faults and load, then peace, then the reckoning.

use std::{
    any::Any,
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    runtime::{Builder, RngSeed},
    task::JoinSet,
    time::Instant,
};

use crate::{
    check::{Coverage, Violation, at_rest, everything_done},
    level::{Cast, Level},
    plan::{Plan, Size},
    wire::WireWorld,
    world::{World, faults::suffer},
};

/// How long after the last fault everything may take to become final or parked (V1): the longest pause between two
/// check-backs, of a breaker, and of a clock that was set back, with room for what waits behind them.
const PEACE: Duration = Duration::from_mins(5);
/// What was under way at the last fault has arrived after this long.
const STRAGGLERS: Duration = Duration::from_secs(30);
/// Rounds of a person who takes everything parked up again.
const RETRIES: u32 = 20;
/// Kinds of fault that each run must meet.
pub const FEWEST_KINDS: usize = 3;

/// What became of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// Promises seen broken; none in a good run.
    pub violations: Vec<Violation>,
    /// Things that happened: batches, answers, effects, faults.
    pub steps: u64,
    /// Transactions that services began.
    pub transactions: u64,
    /// How often each kind of fault met something.
    pub faults: BTreeMap<&'static str, u64>,
    /// Pairs of state and event that were met.
    pub coverage: Coverage,
    /// Time that passed in the simulation.
    pub simulated: Duration,
    /// Of everything that happened, in order: equal for equal runs.
    pub hash: u64,
    /// The trace, if it was asked for.
    pub trace: String,
}

impl Outcome {
    /// No promise was broken.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty()
    }
}

/// Runs a seed.
pub fn run_seed(seed: u64, size: Size) -> Outcome {
    run(&Plan::of(seed, size), false)
}

/// Runs a plan; `with_trace` keeps the text of all that happens.
pub fn run(plan: &Plan, with_trace: bool) -> Outcome {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .rng_seed(RngSeed::from_bytes(&plan.seed.to_le_bytes()))
        .build()
        .expect("a runtime of one thread needs nothing that could be missing");
    let (outcome, cast) = runtime.block_on(async {
        match plan.level {
            Level::Commands => play(World::new(plan, with_trace), plan).await,
            Level::Wire => play(WireWorld::new(plan, with_trace), plan).await,
        }
    });
    // Tasks that still wait hold on to the world.
    drop(runtime);
    assert_eq!(cast.strong_count(), 0, "a run that is over stays in memory");
    outcome
}

/// The second is there to see that the cast is let go of.
async fn play(cast: Arc<impl Cast>, plan: &Plan) -> (Outcome, Weak<dyn Any + Send + Sync>) {
    let start = Instant::now();
    cast.subscribe_all().await;
    cast.start();
    safety(&cast, plan, start).await;
    liveness(&cast, plan).await;
    if !cast.book().violations.any() {
        cast.reckon();
        let done = everything_done(cast.store(), cast.book()).await;
        done.expect("the memory store answers");
    }
    let (hash, steps, trace) = cast.trace().finish();
    let outcome = Outcome {
        seed: plan.seed,
        violations: cast.book().violations.take(),
        steps,
        transactions: cast.book().read(|book| book.by_id.len() as u64),
        faults: cast.met(),
        coverage: cast.observer().coverage(),
        simulated: start.elapsed(),
        hash,
        trace,
    };
    cast.let_go();
    let cast: Arc<dyn Any + Send + Sync> = cast;
    (outcome, Arc::downgrade(&cast))
}

/// Load and faults, until the last fault is over and every operation has ended or died.
async fn safety(cast: &Arc<impl Cast>, plan: &Plan, start: Instant) {
    let mut under_way = JoinSet::new();
    for fault in plan.faults.clone() {
        under_way.spawn(suffer(Arc::clone(cast), fault, start));
    }
    for operation in &plan.ops {
        let at = start + Duration::from_millis(operation.at_ms.into());
        tokio::time::sleep_until(at).await;
        let (no, op) = (operation.no, operation.op.clone());
        under_way.spawn(Arc::clone(cast).act(no, op));
    }
    let end = start + Duration::from_millis(plan.setup.safety_ms.into());
    tokio::time::sleep_until(end).await;
    while under_way.join_next().await.is_some() {}
}

/// No more faults: everything becomes final or parked within a bound, and what is parked does when a person says so.
async fn liveness(cast: &Arc<impl Cast>, plan: &Plan) {
    cast.trace().note(format_args!("peace"));
    tokio::time::sleep(STRAGGLERS).await;
    cast.subscribe_all().await;
    cast.make_up_minds();
    cast.decide_forgotten().await;
    // One consumer may stay away for longer: that must be nobody else's trouble.
    let away = u8::try_from(plan.seed % 8)
        .ok()
        .filter(|n| *n < plan.setup.consumers);
    if let Some(consumer) = away {
        cast.stay_away(consumer, true);
        rest(cast, "V2", Some(consumer)).await;
        cast.stay_away(consumer, false);
    }
    rest(cast, "V1", None).await;
    for round in 0..RETRIES {
        let left = at_rest(cast.store(), None).await;
        let parked = left.expect("the memory store answers").parked;
        if parked.is_empty() || cast.book().violations.any() {
            return;
        }
        for id in parked {
            cast.retry(round + u32::from(plan.setup.nodes), id).await;
        }
        rest(cast, "V1", None).await;
    }
    let left = at_rest(cast.store(), None).await;
    let parked = left.expect("the memory store answers").parked;
    cast.book().violations.unless(parked.is_empty(), "P11", || {
        format!("still parked after {RETRIES} retries: {parked:?}")
    });
}

/// Waits until everything is final or parked, but for what a consumer owes that is away.
async fn rest(cast: &Arc<impl Cast>, invariant: &'static str, away: Option<u8>) {
    let away = away.map(|consumer| cast.subscription_of(consumer));
    let deadline = Instant::now() + PEACE;
    let mut pause = Duration::from_millis(200);
    loop {
        let left = at_rest(cast.store(), away.as_ref()).await;
        let owed = left.expect("the memory store answers").owed;
        if owed.is_empty() {
            return;
        }
        if Instant::now() >= deadline {
            let ids: Vec<_> = owed.iter().map(|row| (row.id, row.state.phase)).collect();
            return cast.book().violations.unless(false, invariant, || {
                let some = &ids[..ids.len().min(5)];
                format!(
                    "{PEACE:?} after the last fault {} are neither final nor parked: {some:?}",
                    ids.len()
                )
            });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(Duration::from_secs(5));
    }
}
