//! Adds branches to a plan: drawn apart, so that the rest of a seed stays what it was before there were any.

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::{
    Act, BranchPlan, End, Fault, FaultKind, Mood, Op, Party, Plan, Setup, Size, Start, draw,
};

/// More than any participant has.
const TOO_MUCH: u32 = 10_000_000;

pub(super) fn add(mut plan: Plan, size: Size) -> Plan {
    let mut rng = SmallRng::seed_from_u64(plan.seed.rotate_left(32) ^ 0x7cc);
    plan.setup.participants = rng.random_range(1..=3);
    ops(&mut rng, &mut plan, size);
    let count = rng.random_range(2..=6);
    let faults = (0..count).map(|_| fault(&mut rng, &plan.setup));
    plan.faults.extend(faults);
    plan.faults.sort_by_key(|fault| fault.at_ms);
    plan
}

/// Bursts of transactions with branches, and people who act on some of them.
fn ops(rng: &mut SmallRng, plan: &mut Plan, size: Size) {
    let setup = plan.setup.clone();
    let first = plan.ops.iter().map(|start| start.no + 1).max().unwrap_or(0);
    let count = rng.random_range(size.ops / 8..=size.ops / 3).max(1);
    let (mut at_ms, mut left_of_burst) = (0, 0);
    for no in first..first + count {
        if left_of_burst == 0 {
            left_of_burst = rng.random_range(1..=20);
            at_ms = rng.random_range(0..setup.safety_ms * 9 / 10);
        }
        left_of_burst -= 1;
        let start_ms = at_ms + rng.random_range(0..20);
        let overruled = rng.random_range(0..12) == 0;
        let op = if overruled {
            untold(reserve(rng, &setup))
        } else if rng.random_bool(0.65) {
            reserve(rng, &setup)
        } else {
            execute(rng, &setup)
        };
        plan.ops.push(Start {
            no,
            at_ms: start_ms,
            op,
        });
        if overruled {
            plan.ops.push(Start {
                no: no + count,
                at_ms: start_ms + rng.random_range(20..600),
                op: Op::Operate {
                    of: no,
                    act: Act::Force(false),
                },
            });
        } else if rng.random_range(0..8) == 0 {
            let soon = *[3, 100, 1_000, 10_000].choose(rng).expect("not empty");
            plan.ops.push(Start {
                no: no + count,
                at_ms: start_ms + rng.random_range(0..=soon),
                op: Op::Operate {
                    of: no,
                    act: act(rng),
                },
            });
        }
    }
    plan.ops.sort_by_key(|start| (start.at_ms, start.no));
}

/// It commits and tells nobody, and is asked at once: what it answers meets whatever a person decides meanwhile.
fn untold(op: Op) -> Op {
    match op {
        Op::Reserve {
            initiator,
            branches,
            joins,
            messages,
            budget,
            ..
        } => Op::Reserve {
            initiator,
            branches,
            joins,
            messages,
            think_ms: 0,
            check_after_ms: 50,
            budget,
            end: End::DieBeforeConfirm,
        },
        other => other,
    }
}

/// Nobody confirms by force what may not have been tried: nothing could make it true.
fn act(rng: &mut SmallRng) -> Act {
    match rng.random_range(0..10) {
        0..3 => Act::Retry,
        3..6 => Act::Park,
        6..9 => Act::Decide(rng.random()),
        _ => Act::Force(false),
    }
}

fn branches(rng: &mut SmallRng, setup: &Setup) -> Vec<BranchPlan> {
    let count = *[1, 2, 2, 2, 3].choose(rng).expect("not empty");
    (0..count)
        .map(|_| BranchPlan {
            participant: rng.random_range(0..setup.participants),
            cents: match rng.random_range(0..20) {
                0 => TOO_MUCH,
                _ => rng.random_range(1..100),
            },
            nested: rng.random_range(0..12) == 0,
        })
        .collect()
}

fn reserve(rng: &mut SmallRng, setup: &Setup) -> Op {
    let branches = branches(rng, setup);
    let most = u8::try_from(branches.len() - 1).unwrap_or_default();
    let slow = rng.random_range(0..20) == 0;
    Op::Reserve {
        initiator: rng.random_range(0..setup.initiators),
        joins: rng.random_range(0..=most),
        branches,
        messages: if rng.random() {
            draw::messages(rng, setup)
        } else {
            vec![]
        },
        think_ms: if slow {
            rng.random_range(0..30_000)
        } else {
            rng.random_range(0..10)
        },
        check_after_ms: *[50, 500, 2_000, 10_000].choose(rng).expect("not empty"),
        budget: *[1, 2, 15].choose(rng).expect("not empty"),
        end: draw::end(rng),
    }
}

fn execute(rng: &mut SmallRng, setup: &Setup) -> Op {
    let check_after_ms = *[50, 500, 5_000].choose(rng).expect("not empty");
    Op::Execute {
        initiator: rng.random_range(0..setup.initiators),
        branches: branches(rng, setup),
        messages: if rng.random() {
            draw::messages(rng, setup)
        } else {
            vec![]
        },
        check_after_ms,
        decide: (rng.random_range(0..3) == 0)
            .then(|| (rng.random(), rng.random_range(0..check_after_ms))),
    }
}

fn fault(rng: &mut SmallRng, setup: &Setup) -> Fault {
    let participant = rng.random_range(0..setup.participants);
    let node = rng.random_range(0..setup.nodes);
    let initiator = rng.random_range(0..setup.initiators);
    let kind = match rng.random_range(0..10) {
        0..3 => FaultKind::CrashParticipant(participant),
        3..5 => {
            let near = if rng.random() {
                Party::Node(node)
            } else {
                Party::Initiator(initiator)
            };
            let far = Party::Participant(participant);
            let (from, to) = if rng.random() {
                (near, far)
            } else {
                (far, near)
            };
            FaultKind::Cut(from, to, rng.random())
        }
        _ => FaultKind::Participant(
            participant,
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
        at_ms: rng.random_range(0..setup.safety_ms * 8 / 10),
        for_ms: rng.random_range(500..8_000),
        kind,
    }
}
