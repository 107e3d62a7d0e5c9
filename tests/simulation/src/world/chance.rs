//! Chance that stays what it is when something else is left out of a plan.
//!
//! A number depends on the seed, on what it is drawn for, and on the moment; not on what was drawn before elsewhere. So a
//! plan that shrinks keeps most of its accidents.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use tokio::time::Instant;

pub(super) struct Chance {
    seed: u64,
    start: Instant,
    /// For each thing that is drawn for: the moment, and how many numbers were drawn at it.
    drawn: BTreeMap<u64, (u64, u32)>,
}

impl Chance {
    pub(super) fn new(seed: u64, start: Instant) -> Self {
        Self {
            seed,
            start,
            drawn: BTreeMap::new(),
        }
    }

    /// A number below `bound`, for `what`.
    pub(super) fn draw(&mut self, what: impl Hash, bound: u32) -> u32 {
        let moment = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut hasher = DefaultHasher::new();
        (self.seed, what).hash(&mut hasher);
        let what = hasher.finish();
        let drawn = self.drawn.entry(what).or_default();
        if drawn.0 != moment {
            *drawn = (moment, 0);
        }
        drawn.1 += 1;
        (what, *drawn).hash(&mut hasher);
        u32::try_from(hasher.finish() % u64::from(bound.max(1))).unwrap_or_default()
    }
}
