//! What is broken, for whom, after what: everything that a seed chooses about faults. Pure, so that the same seed makes the
//! same choices.

use std::{collections::VecDeque, time::Duration};

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom, seq::SliceRandom};

use crate::{
    kind::Kind,
    options::Store,
    proxy::{Direction, Trouble},
    reach::{self, Reach},
    stage::LEASE,
};

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

/// Faults one after the other. Two hands break things at the same time, and never the same kind of thing.
pub(crate) struct Hand {
    rng: SmallRng,
    reach: Vec<&'static Reach>,
    /// What happens in any case.
    first: VecDeque<Step>,
}

impl Hand {
    /// Both hands of a seed.
    pub(crate) fn both(seed: u64, store: Store, kinds: &[Kind]) -> [Self; 2] {
        let [processes, surroundings] = reach::of(store);
        [
            Self::of(seed, processes, kinds),
            Self::of(seed ^ 0x5eed_0fc4_a05a, surroundings, kinds),
        ]
    }

    fn of(seed: u64, reach: &'static [Reach], kinds: &[Kind]) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut first = Vec::new();
        let wanted = reach.iter().filter(|each| kinds.contains(&each.kind));
        let reach: Vec<&Reach> = wanted.collect();
        for each in &reach {
            for target in each.always {
                first.push(step(&mut rng, each.kind, target));
            }
        }
        first.shuffle(&mut rng);
        Self {
            rng,
            reach,
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
        let reach = self.reach.choose(&mut self.rng)?;
        let target = reach.targets.choose(&mut self.rng)?;
        Some(step(&mut self.rng, reach.kind, target))
    }
}

fn step(rng: &mut SmallRng, kind: Kind, target: &'static str) -> Step {
    let milliseconds = match kind {
        Kind::Kill | Kind::Stop | Kind::KillLoop | Kind::Orphan => 20..=600,
        Kind::Pause => {
            let lease = LEASE.as_millis() as u64;
            lease * 2..=lease * 3
        }
        Kind::Reset | Kind::DatabaseKill => 0..=300,
        Kind::Refuse | Kind::Cut => 500..=2_000,
        Kind::Delay | Kind::Unconfirmed => 1_500..=2_500,
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
            Kind::Delay => Trouble::Delay(Duration::from_millis(rng.random_range(50..=400))),
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

    fn steps(seed: u64, store: Store, more: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        for mut hand in Hand::both(seed, store, &Kind::ALL) {
            while let Some(step) = hand.next(true) {
                steps.push(step);
            }
            steps.extend((0..more).filter_map(|_| hand.next(false)));
        }
        steps
    }

    #[test]
    fn the_same_seed_makes_the_same_choices_and_another_one_others() {
        for store in [Store::Sqlite, Store::Postgres] {
            assert_eq!(steps(7, store, 20), steps(7, store, 20));
            assert_ne!(steps(7, store, 20), steps(8, store, 20));
        }
    }

    #[test]
    fn what_was_not_asked_for_is_not_planned() {
        let [mut processes, mut surroundings] = Hand::both(7, Store::Postgres, &[Kind::Pause]);
        let planned = std::iter::from_fn(|| processes.next(true));
        let planned: Vec<Step> = planned.collect();
        assert!(!planned.is_empty() && planned.iter().all(|step| step.kind == Kind::Pause));
        assert_eq!(surroundings.next(false), None);
    }

    #[test]
    fn the_shortest_plan_has_every_kind() {
        for store in [Store::Sqlite, Store::Postgres] {
            let steps = steps(7, store, 0);
            // Clients ask for that one.
            let planned = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Die);
            for kind in planned.filter(|kind| kind.belongs_to(store)) {
                assert!(steps.iter().any(|step| step.kind == kind), "{kind}");
            }
        }
    }
}
