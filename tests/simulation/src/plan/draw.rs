//! Draws a plan from a seed.

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::{
    Act, End, Fault, FaultKind, MessagePlan, Mood, Op, Party, Plan, RegistryAct, Setup, Size,
    Start, StoreFault, draw_branches,
};
use crate::{level::Level, run::FEWEST_KINDS};

/// Kinds of fault of one run, at least.
const FEWEST_FAULTS: usize = 6;
const MOST_FAULTS: usize = 16;

pub(super) fn plan(seed: u64, size: Size) -> Plan {
    let mut rng = SmallRng::seed_from_u64(seed);
    let setup = setup(&mut rng, size);
    let ops = ops(&mut rng, &setup, size);
    let faults = faults(&mut rng, &setup);
    let plan = Plan {
        level: Level::default(),
        seed,
        setup,
        ops,
        faults,
    };
    draw_branches::add(plan, size)
}

fn setup(rng: &mut SmallRng, size: Size) -> Setup {
    // Long enough that the load stays that of a busy service, short enough that transactions meet.
    let safety_ms = 20_000 + size.ops * rng.random_range(10..40);
    let mut setup = Setup {
        nodes: rng.random_range(1..=3),
        initiators: rng.random_range(1..=3),
        consumers: rng.random_range(1..=4),
        safety_ms,
        lease_ms: *[1_000, 3_000, 5_000].choose(rng).expect("not empty"),
        batch: *[1, 8, 512, 512].choose(rng).expect("not empty"),
        queue: *[16, 256, 8_192].choose(rng).expect("not empty"),
        board: *[4, 64, 16_384, 16_384].choose(rng).expect("not empty"),
        slow_ms: *[0, 0, 1_500].choose(rng).expect("not empty"),
        participants: 0,
    };
    // Two at a time are too few for what a run owes to a slow one.
    if setup.board == 4 {
        setup.slow_ms = 0;
    }
    setup
}

/// Operations in bursts: what happens at the same time meets in batches, on rows and on keys.
fn ops(rng: &mut SmallRng, setup: &Setup, size: Size) -> Vec<Start> {
    let count = rng.random_range(size.ops / 2..=size.ops * 3 / 2).max(1);
    let mut ops: Vec<Start> = Vec::with_capacity(count as usize);
    let mut transactions: Vec<u32> = Vec::new();
    let mut at_ms = 0;
    let mut left_of_burst = 0;
    for no in 0..count {
        if left_of_burst == 0 {
            left_of_burst = rng.random_range(1..=40);
            at_ms = rng.random_range(0..setup.safety_ms * 9 / 10);
        }
        left_of_burst -= 1;
        let at_ms = at_ms + rng.random_range(0..20);
        let op = match rng.random_range(0..1_000) {
            0..620 => send(rng, setup),
            620..780 => Op::Submit {
                initiator: rng.random_range(0..setup.initiators),
                messages: messages(rng, setup),
            },
            780..830 => alone(rng, setup),
            830..890 => asked(rng, setup),
            890..920 => Op::CancelFirst {
                initiator: rng.random_range(0..setup.initiators),
            },
            920..990 => match transactions.choose(rng) {
                Some(of) => Op::Operate {
                    of: *of,
                    act: act(rng),
                },
                None => continue,
            },
            _ => Op::Registry {
                consumer: rng.random_range(0..setup.consumers),
                act: *[
                    RegistryAct::Pause,
                    RegistryAct::Resume,
                    RegistryAct::Delete,
                    RegistryAct::Put,
                    RegistryAct::Put,
                ]
                .choose(rng)
                .expect("not empty"),
            },
        };
        if op.is_transaction() {
            transactions.push(no);
        }
        ops.push(Start { no, at_ms, op });
    }
    // A person acts on a transaction while it lives.
    let started: std::collections::BTreeMap<u32, u32> =
        ops.iter().map(|start| (start.no, start.at_ms)).collect();
    for start in &mut ops {
        if let Op::Operate { of, .. } = &start.op {
            let soon = *[0, 3, 10, 100, 1_000, 10_000]
                .choose(rng)
                .expect("not empty");
            start.at_ms = started.get(of).copied().unwrap_or(0) + rng.random_range(0..=soon);
        }
    }
    ops.sort_by_key(|start| (start.at_ms, start.no));
    ops
}

pub(super) fn messages(rng: &mut SmallRng, setup: &Setup) -> Vec<MessagePlan> {
    let count = *[1, 1, 1, 1, 2, 3, 0].choose(rng).expect("not empty");
    (0..count)
        .map(|_| MessagePlan {
            topic: rng.random_range(0..setup.topics()),
            key: rng.random_range(0..4),
        })
        .collect()
}

fn send(rng: &mut SmallRng, setup: &Setup) -> Op {
    let end = end(rng);
    send_with(rng, setup, end)
}

pub(super) fn end(rng: &mut SmallRng) -> End {
    match rng.random_range(0..100) {
        0..60 => End::Commit,
        60..75 => End::RollBack,
        75..78 => End::DieBeforePrepare,
        78..83 => End::DieBeforeCommit,
        83..88 => End::DieBeforeConfirm,
        88..92 => End::CommitUnknown(rng.random()),
        92..96 => End::Contradict,
        _ => End::ReuseId,
    }
}

fn send_with(rng: &mut SmallRng, setup: &Setup, end: End) -> Op {
    let slow = rng.random_range(0..20) == 0;
    Op::Send {
        initiator: rng.random_range(0..setup.initiators),
        messages: messages(rng, setup),
        think_ms: if slow {
            rng.random_range(0..30_000)
        } else {
            rng.random_range(0..10)
        },
        check_after_ms: *[50, 500, 2_000, 10_000].choose(rng).expect("not empty"),
        budget: *[1, 2, 15].choose(rng).expect("not empty"),
        end,
    }
}

fn alone(rng: &mut SmallRng, setup: &Setup) -> Op {
    let check_after_ms = *[20, 200, 2_000].choose(rng).expect("not empty");
    Op::Alone {
        initiator: rng.random_range(0..setup.initiators),
        messages: messages(rng, setup),
        check_after_ms,
        decide: rng.random_bool(0.7).then(|| {
            (
                rng.random_bool(0.7),
                rng.random_range(0..check_after_ms * 2),
            )
        }),
    }
}

fn asked(rng: &mut SmallRng, setup: &Setup) -> Op {
    let lies = rng.random_range(0..4) == 0;
    Op::Asked {
        initiator: rng.random_range(0..setup.initiators),
        messages: messages(rng, setup),
        check_after_ms: *[20, 200, 2_000].choose(rng).expect("not empty"),
        budget: *[1, 2, 3].choose(rng).expect("not empty"),
        knows: (lies || rng.random_bool(0.7))
            .then(|| (lies || rng.random(), rng.random_range(0..8_000))),
        tells: lies || rng.random(),
        lies,
    }
}

fn act(rng: &mut SmallRng) -> Act {
    match rng.random_range(0..10) {
        0..3 => Act::Retry,
        3..6 => Act::Park,
        6..9 => Act::Decide(rng.random()),
        _ => Act::Force(rng.random()),
    }
}

fn faults(rng: &mut SmallRng, setup: &Setup) -> Vec<Fault> {
    let count = rng.random_range(FEWEST_FAULTS..=MOST_FAULTS);
    let mut faults = sure(rng, setup);
    faults.extend((faults.len()..count).map(|_| fault(rng, setup)));
    faults.sort_by_key(|fault| fault.at_ms);
    faults
}

/// Faults of different kinds that meet something whatever else a run does.
fn sure(rng: &mut SmallRng, setup: &Setup) -> Vec<Fault> {
    let node = rng.random_range(0..setup.nodes);
    let initiator = rng.random_range(0..setup.initiators);
    let kinds = [
        FaultKind::Crash(node),
        FaultKind::Pause(node),
        FaultKind::Drain(node),
        // Heartbeats alone meet it.
        FaultKind::Delay(*[20, 500].choose(rng).expect("not empty")),
        FaultKind::StoreClock(rng.random_range(1..=15_000)),
        FaultKind::CrashInitiator(initiator),
        FaultKind::CrashConsumer(rng.random_range(0..setup.consumers)),
    ];
    let some: Vec<_> = kinds.choose_multiple(rng, FEWEST_KINDS).cloned().collect();
    let mut fault = |kind| Fault {
        at_ms: rng.random_range(0..setup.safety_ms * 8 / 10),
        for_ms: rng.random_range(3_000..10_000),
        kind,
    };
    some.into_iter().map(&mut fault).collect()
}

fn fault(rng: &mut SmallRng, setup: &Setup) -> Fault {
    let at_ms = rng.random_range(0..setup.safety_ms * 8 / 10);
    // Some are over before anybody notices, some outlive every lease.
    let longest = *[50, 1_000, 5_000, 15_000].choose(rng).expect("not empty");
    let for_ms = rng.random_range(1..=longest);
    let node = rng.random_range(0..setup.nodes);
    let initiator = rng.random_range(0..setup.initiators);
    let consumer = rng.random_range(0..setup.consumers);
    let jump = rng.random_range(-15_000..=15_000);
    let kind = match rng.random_range(0..112) {
        100..103 => FaultKind::ForeignDatabase(initiator),
        103..107 => {
            FaultKind::ForgetEarly(initiator, *[50, 200, 2_000].choose(rng).expect("not empty"))
        }
        107..112 => {
            FaultKind::PurgeHistory(*[100, 1_000, 5_000, 20_000].choose(rng).expect("not empty"))
        }
        0..10 => FaultKind::Crash(node),
        10..20 => FaultKind::Pause(node),
        20..24 => FaultKind::Drain(node),
        24..40 => {
            let far = *[
                Party::Database,
                Party::Database,
                Party::Initiator(initiator),
                Party::Consumer(consumer),
            ]
            .choose(rng)
            .expect("not empty");
            let (from, to) = if rng.random() {
                (Party::Node(node), far)
            } else {
                (far, Party::Node(node))
            };
            FaultKind::Cut(from, to, rng.random())
        }
        40..45 => FaultKind::LoseRequests(rng.random_range(10..500)),
        45..50 => FaultKind::LoseResponses(rng.random_range(10..500)),
        50..55 => FaultKind::Delay(*[20, 500, 8_000].choose(rng).expect("not empty")),
        55..59 => FaultKind::Duplicate(rng.random_range(10..500)),
        59..63 => FaultKind::StoreClock(jump),
        63..65 => FaultKind::NodeClock(node, jump),
        65..67 => FaultKind::InitiatorClock(initiator, jump),
        67..80 => FaultKind::Store(
            node,
            *[
                StoreFault::UnknownWritten,
                StoreFault::UnknownLost,
                StoreFault::Serialization,
                StoreFault::Unavailable,
                StoreFault::Refused,
            ]
            .choose(rng)
            .expect("not empty"),
        ),
        80..84 => FaultKind::CrashInitiator(initiator),
        84..87 => FaultKind::InitiatorDatabase(initiator),
        87..90 => FaultKind::CrashConsumer(consumer),
        _ => FaultKind::Consumer(
            consumer,
            *[
                Mood::Down,
                Mood::Hangs,
                Mood::Slow,
                Mood::Busy,
                Mood::Fails,
                Mood::Omits,
                Mood::Unsure,
            ]
            .choose(rng)
            .expect("not empty"),
        ),
    };
    Fault {
        at_ms,
        for_ms,
        kind,
    }
}
