//! Who dies how and when, from the seed of a run. Pure, so that the same seed makes the same choices; only the machine's timing differs.
//! What the customers do is drawn from the same seed, in `payments::load`.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::SliceRandom};

use crate::{member::Member, window::CrashPoint};

/// How one life of a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It dies by itself when it passes a step for the n-th time.
    At(CrashPoint, u32),
    /// It is killed this long after it was ready.
    Killed(Duration),
}

/// One life of a process, and the time until the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub end: End,
    pub down: Duration,
}

/// Who dies how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    lives: BTreeMap<Member, Vec<Life>>,
    /// How long the (first) coordinator and the ledger are down together in the last act.
    pub last_act_down: Duration,
}

impl Plan {
    /// The choices of a run with this many coordinators.
    pub(crate) fn of(seed: u64, nodes: u8) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let lives = Member::all(nodes)
            .map(|member| (member, lives(&mut rng, &deaths(member, nodes))))
            .collect();
        let down = if nodes > 1 {
            OUTLIVES_ITS_LEASE
        } else {
            100..=300
        };
        Self {
            lives,
            last_act_down: milliseconds(&mut rng, down),
        }
    }

    /// The lives of one process, but for the one that goes on to the end.
    pub(crate) fn lives(&self, member: Member) -> &[Life] {
        self.lives.get(&member).map_or(&[], Vec::as_slice)
    }
}

/// What kills a member.
struct Deaths {
    crash_points: &'static [CrashPoint],
    /// How often a step may be passed before it is the last.
    passings: RangeInclusive<u32>,
    /// Kills from outside, at any moment.
    kills: usize,
    /// How long it lies dead, in milliseconds.
    down: RangeInclusive<u64>,
}

/// How long a node lies dead that others are to stand in for, in milliseconds.
const OUTLIVES_ITS_LEASE: RangeInclusive<u64> = 1_500..=2_500;

fn deaths(member: Member, nodes: u8) -> Deaths {
    match member {
        Member::Coordinator(_) if nodes > 1 => Deaths {
            crash_points: &[],
            passings: 1..=1,
            kills: 6,
            down: OUTLIVES_ITS_LEASE,
        },
        Member::Coordinator(_) => Deaths {
            crash_points: &[],
            passings: 1..=1,
            kills: 9,
            down: 50..=500,
        },
        Member::Cashier => Deaths {
            crash_points: &[
                CrashPoint::BeforeFence,
                CrashPoint::BeforePrepare,
                CrashPoint::AfterPrepare,
                CrashPoint::BeforeTry,
                CrashPoint::AfterTry,
                CrashPoint::BeforeCommit,
                CrashPoint::AfterCommit,
                CrashPoint::BeforeConfirm,
            ],
            passings: 5..=30,
            kills: 2,
            // A check-back that finds nobody waits longer each time; one that is unlucky too often would hold up the run.
            down: 30..=150,
        },
        // Every payment passes a step of `account` four times, and few pass one of the others.
        Member::Account | Member::Credit | Member::Coupon => Deaths {
            crash_points: &[
                CrashPoint::BranchBeforeFence,
                CrashPoint::BranchBeforeCommit,
                CrashPoint::BranchAfterCommit,
            ],
            passings: if member == Member::Account {
                20..=120
            } else {
                3..=20
            },
            kills: 2,
            // A Try that finds nobody holds up the cashier, who has one writer at a time.
            down: 30..=200,
        },
        Member::Ledger | Member::Rewards => Deaths {
            crash_points: &[
                CrashPoint::ConsumerBeforeInbox,
                CrashPoint::ConsumerBeforeCommit,
                CrashPoint::ConsumerAfterCommit,
            ],
            passings: 20..=120,
            kills: 3,
            down: 50..=500,
        },
    }
}

fn lives(rng: &mut SmallRng, deaths: &Deaths) -> Vec<Life> {
    let mut ends = Vec::new();
    // Each step twice.
    for point in deaths.crash_points.iter().chain(deaths.crash_points) {
        ends.push(End::At(*point, rng.random_range(deaths.passings.clone())));
    }
    for _ in 0..deaths.kills {
        ends.push(End::Killed(milliseconds(rng, 500..=2_500)));
    }
    ends.shuffle(rng);
    // A check-back is asked for only after a death that left something to be asked, so these come right behind one.
    let leaves_something = |end: &End| matches!(end, End::At(CrashPoint::AfterCommit, _));
    if let Some(at) = ends.iter().position(leaves_something) {
        ends.insert(at + 1, End::At(CrashPoint::CheckBackBeforeFence, 1));
        ends.insert(at + 2, End::At(CrashPoint::CheckBackAfterFence, 1));
    }
    ends.into_iter()
        .map(|end| Life {
            end,
            down: milliseconds(rng, deaths.down.clone()),
        })
        .collect()
}

fn milliseconds(rng: &mut SmallRng, range: RangeInclusive<u64>) -> Duration {
    Duration::from_millis(rng.random_range(range))
}

/// What there is for rewards: enough for some hundred payments, so that it runs out on the way.
pub(crate) const BUDGET: i64 = 50_000;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::window::Window;

    #[test]
    fn the_same_seed_makes_the_same_choices_and_another_one_others() {
        assert_eq!(Plan::of(7, 2), Plan::of(7, 2));
        assert_ne!(Plan::of(7, 2), Plan::of(8, 2));
    }

    #[test]
    fn every_plan_has_a_death_for_each_window_that_a_crash_point_can_hit() {
        for (seed, nodes) in (0..50).flat_map(|seed| [(seed, 1), (seed, 2)]) {
            let plan = Plan::of(seed, nodes);
            let windows: BTreeSet<Window> = Member::all(nodes)
                .flat_map(|member| plan.lives(member))
                .filter_map(|life| match life.end {
                    End::At(point, _) => point.window(),
                    End::Killed(_) => None,
                })
                .collect();
            // confirm → delivery is hit in the last act, when the ledger is down.
            assert_eq!(
                windows.len(),
                Window::ALL.len() - 1,
                "seed {seed}: {windows:?}"
            );
            assert!(
                Member::all(nodes).all(|m| plan.lives(m).len() >= 3),
                "each is killed several times"
            );
        }
    }
}
