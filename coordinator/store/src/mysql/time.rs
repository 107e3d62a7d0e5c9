//! The database's time, in its own words: UTC_TIMESTAMP is the statement's, and knows no time zone.

pub(super) use crate::sql::time::TimeSource;

/// The time as microseconds since 1970, where the parameter is [`TimeSource::bind`]'s. (UNIX_TIMESTAMP would end in 2038 on some
/// servers.)
macro_rules! now {
    () => {
        "COALESCE(CAST(? AS SIGNED), TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6)))"
    };
}
pub(super) use now;

/// The same, before and after its parameter.
pub(super) const NOW: [&str; 2] = [
    "COALESCE(CAST(",
    " AS SIGNED), TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6)))",
];
