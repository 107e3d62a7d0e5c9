//! What is broken, for whom, after what: everything that a seed chooses about faults. Pure, so that the same seed makes the
//! same choices.

use std::{collections::VecDeque, fmt, time::Duration};

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom, seq::SliceRandom};

use crate::{
    proxy::{Direction, Trouble},
    stage::LEASE,
};

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// SIGKILL, and a new life.
    Kill,
    /// SIGKILL, again and again, each new life included.
    KillLoop,
    /// SIGTERM, and a new life.
    Stop,
    /// SIGSTOP for longer than a lease, then SIGCONT.
    Pause,
    /// The network refuses.
    Refuse,
    /// All connections are reset.
    Reset,
    /// Everything comes late.
    Delay,
    /// What is sent to it does not arrive, or only when the fault is over.
    SilenceIn,
    /// What it sends does not arrive, or only when the fault is over.
    SilenceOut,
    /// Connections end in the middle of a message.
    Cut,
    /// There is no room left on its disk.
    DiskFull,
    /// The shop is killed while it waits for the coordinator's answer to a prepare, which does not come.
    Orphan,
    /// The shop dies inside a local transaction; not planned here, but asked for by a client.
    Die,
}

impl Kind {
    /// Everything that a run has to have seen.
    pub const ALL: [Self; 13] = [
        Self::Kill,
        Self::KillLoop,
        Self::Stop,
        Self::Pause,
        Self::Refuse,
        Self::Reset,
        Self::Delay,
        Self::SilenceIn,
        Self::SilenceOut,
        Self::Cut,
        Self::DiskFull,
        Self::Orphan,
        Self::Die,
    ];

    /// As histories call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::KillLoop => "kill-loop",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Refuse => "refuse",
            Self::Reset => "reset",
            Self::Delay => "delay",
            Self::SilenceIn => "silence-in",
            Self::SilenceOut => "silence-out",
            Self::Cut => "cut",
            Self::DiskFull => "disk-full",
            Self::Orphan => "kill-unanswered",
            Self::Die => "die-in-transaction",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What is waited for before something is broken; always also some orders more that were placed, so that things work in
/// between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// So many more orders were placed.
    Placed(u64),
    /// The coordinator shows a transaction that is undecided.
    Undecided,
    /// The coordinator shows a transaction whose messages are owed.
    Owed,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) when: When,
    pub(crate) kind: Kind,
    pub(crate) target: &'static str,
    /// How long it lasts, at least.
    pub(crate) lasts: Duration,
    /// How often, for a loop.
    pub(crate) times: u32,
    /// What the proxy does.
    pub(crate) trouble: Trouble,
}

/// Who can be a target, by how often.
const TARGETS: [&str; 8] = [
    "coordinator",
    "coordinator",
    "coordinator",
    "coordinator",
    "shop",
    "shop",
    "books",
    "mail",
];

/// Faults one after the other. Two hands break things at the same time, and never the same kind of thing.
pub(crate) struct Hand {
    rng: SmallRng,
    kinds: &'static [Kind],
    /// What happens in any case.
    first: VecDeque<Step>,
}

/// What a hand can do to processes. Each with the targets that it has in any case.
const PROCESSES: [(Kind, &[&str]); 4] = [
    (Kind::Kill, &["coordinator", "shop", "books"]),
    (Kind::KillLoop, &["coordinator"]),
    (Kind::Stop, &["coordinator"]),
    (Kind::Pause, &["coordinator", "shop"]),
];
/// … and to networks and disks.
const SURROUNDINGS: [(Kind, &[&str]); 8] = [
    (Kind::Refuse, &["shop"]),
    (Kind::Reset, &["coordinator"]),
    (Kind::Delay, &["coordinator", "coordinator"]),
    (Kind::SilenceIn, &["coordinator"]),
    (Kind::SilenceOut, &["coordinator"]),
    (Kind::Cut, &["coordinator", "books"]),
    (Kind::DiskFull, &["coordinator", "shop"]),
    (Kind::Orphan, &["shop"]),
];

impl Hand {
    /// Both hands of a seed.
    pub(crate) fn both(seed: u64) -> [Self; 2] {
        [
            Self::of(
                seed,
                &PROCESSES,
                &[Kind::Kill, Kind::KillLoop, Kind::Stop, Kind::Pause],
            ),
            Self::of(
                seed ^ 0x5eed_0fc4_a05a,
                &SURROUNDINGS,
                &[
                    Kind::Refuse,
                    Kind::Reset,
                    Kind::Delay,
                    Kind::SilenceIn,
                    Kind::SilenceOut,
                    Kind::Cut,
                    Kind::DiskFull,
                    Kind::Orphan,
                ],
            ),
        ]
    }

    fn of(seed: u64, always: &[(Kind, &[&'static str])], kinds: &'static [Kind]) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut first = Vec::new();
        for (kind, targets) in always {
            for target in *targets {
                first.push(step(&mut rng, *kind, target));
            }
        }
        first.shuffle(&mut rng);
        Self {
            rng,
            kinds,
            first: first.into(),
        }
    }

    /// The next fault; none: all that has to happen has, and there is no time for more.
    pub(crate) fn next(&mut self, time_is_over: bool) -> Option<Step> {
        if let Some(step) = self.first.pop_front() {
            return Some(step);
        }
        if time_is_over {
            return None;
        }
        let kind = *self.kinds.choose(&mut self.rng)?;
        let target = match kind {
            // Nothing is promised of how a service ends.
            Kind::Stop => "coordinator",
            Kind::Orphan => "shop",
            _ => TARGETS.choose(&mut self.rng)?,
        };
        Some(step(&mut self.rng, kind, target))
    }
}

fn step(rng: &mut SmallRng, kind: Kind, target: &'static str) -> Step {
    let milliseconds = match kind {
        Kind::Kill | Kind::Stop | Kind::KillLoop | Kind::Orphan => 20..=600,
        Kind::Pause => {
            let lease = LEASE.as_millis() as u64;
            lease * 2..=lease * 3
        }
        Kind::Reset => 0..=300,
        Kind::Refuse | Kind::Cut => 500..=2_000,
        Kind::Delay => 1_500..=2_500,
        // Longer than the SDK waits for an answer.
        Kind::SilenceIn | Kind::SilenceOut => 2_500..=4_000,
        Kind::DiskFull | Kind::Die => 1_500..=3_000,
    };
    let direction = *[Direction::In, Direction::Out]
        .choose(rng)
        .unwrap_or(&Direction::In);
    Step {
        when: match rng.random_range(0..4) {
            0 => When::Undecided,
            1 => When::Owed,
            _ => When::Placed(rng.random_range(10..=40)),
        },
        kind,
        target,
        lasts: Duration::from_millis(rng.random_range(milliseconds)),
        times: rng.random_range(3..=5),
        trouble: match kind {
            Kind::Refuse => Trouble::Refuse,
            Kind::Reset => Trouble::Reset,
            // A check-back is then between COMMIT and confirm.
            Kind::Delay => Trouble::Delay(Duration::from_millis(rng.random_range(280..=360))),
            Kind::SilenceIn => Trouble::Silence(Direction::In),
            Kind::SilenceOut => Trouble::Silence(Direction::Out),
            Kind::Cut => Trouble::Cut(direction, rng.random_range(1..=4_000)),
            _ => Trouble::None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(seed: u64, more: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        for mut hand in Hand::both(seed) {
            while let Some(step) = hand.next(true) {
                steps.push(step);
            }
            steps.extend((0..more).filter_map(|_| hand.next(false)));
        }
        steps
    }

    #[test]
    fn the_same_seed_makes_the_same_choices_and_another_one_others() {
        assert_eq!(steps(7, 20), steps(7, 20));
        assert_ne!(steps(7, 20), steps(8, 20));
    }

    #[test]
    fn the_shortest_plan_has_every_kind() {
        for seed in 0..20 {
            let steps = steps(seed, 0);
            for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Die) {
                assert!(steps.iter().any(|step| step.kind == kind), "{kind}");
            }
        }
    }
}
