//! The database's time, in its own words: of the statement (`now()` would be of its database transaction).

pub(super) use crate::sql::time::TimeSource;

/// The time as microseconds since 1970, where parameter `$1` is [`TimeSource::bind`]'s.
macro_rules! now {
    () => {
        "coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)"
    };
}
pub(super) use now;
