//! Writing a history down while it happens, each process into a file of its own, and putting the files together afterwards.
//!
//! A line is in the file before anybody else can learn what it says, and survives the SIGKILL of who wrote it.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result, bail};
use earnest_history::{Call, Entry, Event};

use crate::clock;

/// What files of one process's life are called.
const ENDING: &str = "events";

/// The file of one life of one process.
pub fn file(directory: &Path, process: &str, life: u32) -> PathBuf {
    directory.join(format!("{process}.{life:04}.{ENDING}"))
}

/// Where one process writes what happens.
pub struct Recorder {
    file: Mutex<File>,
    ops: AtomicU64,
}

impl Recorder {
    /// Writes into a new file.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: Mutex::new(File::create_new(path)?),
            ops: AtomicU64::new(0),
        })
    }

    /// Writes an event of now.
    pub fn write(&self, process: &str, event: Event) -> io::Result<()> {
        let entry = Entry {
            at_us: clock::micros(),
            process: process.to_owned(),
            event,
        };
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&line)
    }

    /// Writes that a call is about to be made; its end carries the number.
    pub fn invoke(&self, process: &str, call: Call) -> io::Result<u64> {
        let op = self.ops.fetch_add(1, Ordering::Relaxed);
        self.write(process, Event::Invoke { op, call })?;
        Ok(op)
    }
}

/// Puts all files of a run together, in the order of time.
pub fn merge(directory: &Path) -> Result<String> {
    let mut entries = Vec::new();
    for file in std::fs::read_dir(directory)? {
        let path = file?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            read(&path, &mut entries)?;
        }
    }
    entries.sort_by_key(|entry: &Entry| entry.at_us);
    let mut text = String::new();
    for entry in &entries {
        text.push_str(&serde_json::to_string(entry)?);
        text.push('\n');
    }
    Ok(text)
}

fn read(path: &Path, entries: &mut Vec<Entry>) -> Result<()> {
    let text = std::fs::read_to_string(path)?;
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    for line in text[..whole].lines() {
        let entry =
            serde_json::from_str(line).with_context(|| format!("{}: {line}", path.display()))?;
        entries.push(entry);
    }
    // A process that was killed while it wrote leaves part of a line, of which nobody has learnt.
    if text[whole..].contains('}') && serde_json::from_str::<Entry>(&text[whole..]).is_ok() {
        bail!("{} ends without a line end", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_merged_in_the_order_of_time_and_torn_ends_are_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, life, lines: &str| {
            std::fs::write(file(directory.path(), name, life), lines).unwrap();
        };
        let line = |at_us: u64, process: &str| {
            format!("{{\"at_us\":{at_us},\"process\":\"{process}\",\"event\":\"quiet\"}}\n")
        };
        write(
            "shop",
            0,
            &format!("{}{{\"at_us\":9,\"pro", line(2, "shop")),
        );
        write("shop", 1, &line(5, "shop"));
        write("books", 0, &(line(1, "books") + &line(4, "books")));
        let merged = merge(directory.path()).unwrap();
        let expected = [(1, "books"), (2, "shop"), (4, "books"), (5, "shop")];
        assert_eq!(merged, expected.map(|(at, who)| line(at, who)).concat());
    }
}
