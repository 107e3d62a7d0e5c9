//! One run: faults and load, then peace, then the reckoning.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    runtime::{Builder, RngSeed},
    task::JoinSet,
    time::Instant,
};

use crate::{
    check::{Coverage, Violation, at_rest, everything_done},
    plan::{Plan, Size},
    world::World,
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
    let (outcome, world) = runtime.block_on(async {
        let start = Instant::now();
        let world = World::new(plan, with_trace);
        world.subscribe_all().await;
        world.start_nodes();
        safety(&world, plan, start).await;
        liveness(&world, plan).await;
        if !world.book.violations.any() {
            let done = everything_done(world.store(), &world.book).await;
            done.expect("the memory store answers");
        }
        let (hash, steps, trace) = world.trace.finish();
        let faults = world.met();
        let outcome = Outcome {
            seed: plan.seed,
            violations: world.book.violations.take(),
            steps,
            transactions: world.book.read(|book| book.by_id.len() as u64),
            faults,
            coverage: world.observer.coverage(),
            simulated: start.elapsed(),
            hash,
            trace,
        };
        world.let_go();
        (outcome, Arc::downgrade(&world))
    });
    // Tasks that still wait hold on to the world.
    drop(runtime);
    assert_eq!(
        world.strong_count(),
        0,
        "a run that is over stays in memory"
    );
    outcome
}

/// Load and faults, until the last fault is over and every operation has ended or died.
async fn safety(world: &Arc<World>, plan: &Plan, start: Instant) {
    let mut under_way = JoinSet::new();
    for fault in plan.faults.clone() {
        under_way.spawn(Arc::clone(world).suffer(fault, start));
    }
    for operation in &plan.ops {
        let at = start + Duration::from_millis(operation.at_ms.into());
        tokio::time::sleep_until(at).await;
        let (no, op) = (operation.no, operation.op.clone());
        if op.is_transaction() {
            under_way.spawn(Arc::clone(world).serve(no, op));
        } else {
            under_way.spawn(Arc::clone(world).operate(no, op));
        }
    }
    let end = start + Duration::from_millis(plan.setup.safety_ms.into());
    tokio::time::sleep_until(end).await;
    while under_way.join_next().await.is_some() {}
}

/// No more faults: everything becomes final or parked within a bound, and what is parked does when a person says so.
async fn liveness(world: &Arc<World>, plan: &Plan) {
    world.trace.note(format_args!("peace"));
    tokio::time::sleep(STRAGGLERS).await;
    world.make_peace().await;
    // One consumer may stay away for longer: that must be nobody else's trouble.
    let away = u8::try_from(plan.seed % 8)
        .ok()
        .filter(|n| *n < plan.setup.consumers);
    if let Some(consumer) = away {
        world.stay_away(consumer, true);
        rest(world, "V2", Some(consumer)).await;
        world.stay_away(consumer, false);
    }
    rest(world, "V1", None).await;
    for round in 0..RETRIES {
        let left = at_rest(world.store(), None).await;
        let parked = left.expect("the memory store answers").parked;
        if parked.is_empty() || world.book.violations.any() {
            return;
        }
        for id in parked {
            world.retry(round + u32::from(plan.setup.nodes), id).await;
        }
        rest(world, "V1", None).await;
    }
    let left = at_rest(world.store(), None).await;
    let parked = left.expect("the memory store answers").parked;
    world.book.violations.unless(parked.is_empty(), "P11", || {
        format!("still parked after {RETRIES} retries: {parked:?}")
    });
}

/// Waits until everything is final or parked, but for what a consumer owes that is away.
async fn rest(world: &Arc<World>, invariant: &'static str, away: Option<u8>) {
    let away = away.map(|consumer| world.subscription_of(consumer));
    let deadline = Instant::now() + PEACE;
    let mut pause = Duration::from_millis(200);
    loop {
        let left = at_rest(world.store(), away.as_ref()).await;
        let owed = left.expect("the memory store answers").owed;
        if owed.is_empty() {
            return;
        }
        if Instant::now() >= deadline {
            let ids: Vec<_> = owed.iter().map(|row| (row.id, row.state.phase)).collect();
            return world.book.violations.unless(false, invariant, || {
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
