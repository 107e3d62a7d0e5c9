//! Says how far a long search is.

use std::{collections::BTreeMap, time::Duration};

use stateright::report::{ReportData, ReportDiscovery, Reporter};

use crate::world::Model;

/// Nobody wants to read a line each second.
const BETWEEN: Duration = Duration::from_secs(10);

/// Writes to the standard error.
pub(crate) struct Aloud {
    scope: &'static str,
    last: Duration,
}

impl Aloud {
    /// Of the search of this scope.
    pub(crate) fn of(scope: &'static str) -> Self {
        Self {
            scope,
            last: Duration::ZERO,
        }
    }
}

impl Reporter<Model> for Aloud {
    fn report_checking(&mut self, data: ReportData) {
        if data.done || data.duration >= self.last + BETWEEN {
            self.last = data.duration;
            let so_far = if data.done { "took" } else { "is at it for" };
            eprintln!(
                "{} {so_far} {} s: {} states, {} steps, {} deep",
                self.scope,
                data.duration.as_secs(),
                data.unique_states,
                data.total_states,
                data.max_depth
            );
        }
    }

    /// They are in the report.
    fn report_discoveries(&mut self, _: &Model, _: BTreeMap<&'static str, ReportDiscovery<Model>>) {
    }
}
