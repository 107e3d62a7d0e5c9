//! What happened, in order: a hash of all of it, and on demand the text.
//!
//! Two runs of one seed must agree in every line; the hash says so cheaply, for millions of transactions.

use std::{
    fmt::{self, Write},
    hash::{DefaultHasher, Hasher},
    sync::Mutex,
};

use tokio::time::Instant;

/// A line of a trace, written into the hash and, if wanted, into the text.
pub(crate) struct Trace {
    start: Instant,
    lines: Mutex<Lines>,
}

struct Lines {
    hash: DefaultHasher,
    count: u64,
    text: Option<String>,
}

/// Feeds what is formatted to a hash.
struct Hashing<'a>(&'a mut DefaultHasher);

impl Write for Hashing<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl Trace {
    pub(crate) fn new(start: Instant, with_text: bool) -> Self {
        Self {
            start,
            lines: Mutex::new(Lines {
                // Its keys are fixed, so that processes agree.
                hash: DefaultHasher::new(),
                count: 0,
                text: with_text.then(String::new),
            }),
        }
    }

    pub(crate) fn note(&self, line: fmt::Arguments<'_>) {
        let at = self.start.elapsed().as_millis();
        let mut lines = self.lines.lock().expect("no line is half written");
        let lines = &mut *lines;
        lines.count += 1;
        lines.hash.write_u64(u64::try_from(at).unwrap_or(u64::MAX));
        // Neither can fail.
        let _ = Hashing(&mut lines.hash).write_fmt(line);
        if let Some(text) = &mut lines.text {
            let _ = writeln!(text, "{:>7}.{:03} {line}", at / 1_000, at % 1_000);
        }
    }

    /// The hash, how many lines, and the text if it was wanted.
    pub(crate) fn finish(&self) -> (u64, u64, String) {
        let mut lines = self.lines.lock().expect("no line is half written");
        let text = lines.text.take().unwrap_or_default();
        (lines.hash.finish(), lines.count, text)
    }
}
