//! What the figures were measured on.

use std::{fmt, fs, thread};

/// The machine, as it tells of itself.
#[derive(Clone, Debug)]
pub struct Machine {
    cores: usize,
    processor: String,
    memory_mib: u64,
    kernel: String,
}

impl Machine {
    pub fn this() -> Self {
        let value_of = |file: &str, key: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(key));
            line.and_then(|line| line.split_once(':'))
                .map(|(_, value)| value.trim().to_owned())
        };
        let memory = value_of("/proc/meminfo", "MemTotal").unwrap_or_default();
        Self {
            cores: thread::available_parallelism().map_or(1, usize::from),
            processor: value_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".into()),
            memory_mib: memory
                .trim_end_matches(" kB")
                .parse()
                .map_or(0, |kib: u64| kib / 1_024),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| "unknown".into(), |text| text.trim().to_owned()),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cores,
            processor,
            memory_mib,
            kernel,
        } = self;
        write!(
            f,
            "{cores} cores ({processor}), {memory_mib} MiB memory, kernel {kernel}"
        )
    }
}
