//! The database's time: a node's clock decides nothing (R3).

use std::sync::Arc;

use crate::Clock;

/// Where the time comes from. It goes into every statement as a parameter: NULL asks the database.
#[derive(Clone)]
pub(crate) enum TimeSource {
    /// The database: of the statement.
    Database,
    /// A test that turns it by hand.
    Given(Arc<dyn Clock>),
}

impl TimeSource {
    /// What is bound where a dialect's `now!` has its parameter.
    pub(crate) fn bind(&self) -> Option<i64> {
        match self {
            Self::Database => None,
            Self::Given(clock) => Some(clock.now().as_micros()),
        }
    }
}
