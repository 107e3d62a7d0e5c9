//! The rounds of a batch: run, fetch what was missing, run again; then once for good.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use earnest_protocol::Timestamp;

use super::{Needs, Tables, WorkingSet, fetch::fetch};
use crate::{Admission, Applied, Command, LeaseGrant, StoreError, Target, engine};

/// The rounds of one batch at most: each fetches something, and a command's reads are few.
const ROUNDS: usize = 64;

/// Admits nothing, and remembers whether it was asked: a run that asked must be repeated with the true one.
#[derive(Default)]
struct Unasked(AtomicBool);

impl Admission for Unasked {
    fn admits(&self, _: &Target) -> bool {
        self.0.store(true, Ordering::Relaxed);
        false
    }
}

/// Runs `commands` over what `tables` has; afterwards `set` holds what is to be written.
pub(crate) async fn run<T: Tables>(
    tables: &mut T,
    set: &mut WorkingSet,
    commands: &[Command],
    grant: &LeaseGrant,
) -> Result<Applied, StoreError> {
    fetch(tables, &Needs::of(commands), set).await?;
    let now = tables.now(set).await?;
    for _ in 0..ROUNDS {
        let unasked = Arc::new(Unasked::default());
        let trial = LeaseGrant {
            epoch: grant.epoch,
            admission: Arc::clone(&unasked) as _,
            line: grant.line,
        };
        let tried = attempt(set, commands, &trial, now);
        let missing = set.take_missing();
        if !missing.is_empty() {
            set.begin_again();
            fetch(tables, &missing, set).await?;
            continue;
        }
        let tried = tried?;
        if !unasked.0.load(Ordering::Relaxed) {
            return Ok(tried);
        }
        set.begin_again();
        return engine::apply(set, commands, grant, now);
    }
    Err(StoreError::Corrupt(format!(
        "a batch read on and on: {} commands, after {ROUNDS} rounds",
        commands.len()
    )))
}

/// Runs each command, also after one that missed a row, so that one round finds what all of them miss.
fn attempt(
    set: &mut WorkingSet,
    commands: &[Command],
    grant: &LeaseGrant,
    now: Timestamp,
) -> Result<Applied, StoreError> {
    let mut all = Applied::default();
    for command in commands {
        match engine::apply(set, std::slice::from_ref(command), grant, now) {
            Ok(one) => {
                all.results.extend(one.results);
                all.leased.extend(one.leased);
            }
            // What follows a miss may be wrong in any way: it is all done again.
            Err(_) if !set.missing.is_empty() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}
