//! The model, scope after scope.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use earnest_model::{Order, Scope, explore, small};

use super::{Found, missed};
use crate::{Caught, Entry};

pub(crate) fn search(entry: Entry, names: &[&'static str]) -> Found {
    let mut steps = 0;
    for (searched, name) in (1..).zip(names) {
        let Some(scope) = small().into_iter().find(|scope| scope.name == *name) else {
            continue;
        };
        let report = explore(scope, Order::Until(entry.breaks), 1);
        steps += report.states as u64;
        if report
            .broken
            .iter()
            .any(|(broken, _)| *broken == entry.breaks)
        {
            let place = format!("scope {name}");
            let caught = Caught {
                place,
                searched,
                steps,
            };
            let clean = move || holds(scope);
            return (Some(caught), Box::new(clean));
        }
    }
    missed()
}

/// Scopes that were searched to the end with nothing planted, and held: once is enough for all defects.
static HOLD: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());

fn holds(scope: Scope) -> bool {
    let mut hold = HOLD.lock().unwrap_or_else(PoisonError::into_inner);
    hold.contains(scope.name)
        || (explore(scope, Order::Depth, 1).broken.is_empty() && hold.insert(scope.name))
}
