//! What a process uses, as the kernel counts it.

use std::{fs, time::Duration};

use anyhow::Context;

/// The kernel counts processor time for user space in hundredths of a second, on every architecture that matters.
const TICK: Duration = Duration::from_millis(10);

/// Bytes of memory that it holds.
pub fn resident(pid: u32) -> anyhow::Result<u64> {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .context("no VmRSS")?
        .parse()?;
    Ok(kib * 1_024)
}

/// Processor time that it has had, all threads together.
pub fn processor_time(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    // The name may hold anything; what is counted from comes after its closing parenthesis.
    let (_, fields) = stat.rsplit_once(')').context("no name")?;
    let mut ticks = fields.split_whitespace().skip(11);
    let mut next = || {
        ticks
            .next()
            .context("too short")?
            .parse::<u32>()
            .context("not a number")
    };
    Ok(TICK * (next()? + next()?))
}
