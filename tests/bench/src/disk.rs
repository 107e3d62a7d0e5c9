//! What the disk takes for one durable write: the floor of every commit.

use std::{fs::File, io::Write, path::Path};

use anyhow::Context;
use tokio::time::Instant;

use crate::latency::Latencies;

const WRITES: usize = 500;

/// Appends 4 KiB and waits until it is on the disk, again and again. Blocks.
pub fn sync_latency(directory: &Path) -> anyhow::Result<Latencies> {
    let path = directory.join("fdatasync");
    let mut file =
        File::create(&path).with_context(|| format!("{} can't be written", path.display()))?;
    let page = [b'x'; 4_096];
    let mut latencies = Latencies::default();
    for _ in 0..WRITES {
        let began = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        latencies.record(began.elapsed());
    }
    drop(file);
    std::fs::remove_file(&path)?;
    Ok(latencies)
}
