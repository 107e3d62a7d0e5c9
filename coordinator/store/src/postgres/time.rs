//! The database's time: a node's clock decides nothing (R3).

use std::sync::Arc;

use crate::Clock;

/// Where the time comes from. It goes into every statement as `$n`: NULL asks the database.
#[derive(Clone)]
pub(super) enum TimeSource {
    /// The database: of the statement (`now()` would be of its database transaction).
    Database,
    /// A test that turns it by hand.
    Given(Arc<dyn Clock>),
}

impl TimeSource {
    /// What is bound where [`now`] names its parameter.
    pub(super) fn bind(&self) -> Option<i64> {
        match self {
            Self::Database => None,
            Self::Given(clock) => Some(clock.now().as_micros()),
        }
    }
}

/// The time as microseconds since 1970, where parameter `$1` is [`TimeSource::bind`]'s.
macro_rules! now {
    () => {
        "coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)"
    };
}
pub(super) use now;
