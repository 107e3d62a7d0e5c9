//! The one place that reads the machine's clocks.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// Microseconds of the monotonic clock, which all processes of a machine share: what histories are ordered by.
pub fn micros() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000
}

/// Milliseconds since 1970, which ids of version 7 begin with.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that all others are handed"
)]
pub fn unix_millis() -> u64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(0)
}
