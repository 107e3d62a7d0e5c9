//! Tells what is happening, with the time since the start.

use std::io::{self, Write};

use tokio::time::Instant;

/// Writes to standard output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Narrator {
    began: Instant,
}

impl Narrator {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
        }
    }

    /// One line, with the time.
    pub(crate) fn say(&self, what: &str) {
        self.print(&format!(
            "{:6.1} s  {what}\n",
            self.began.elapsed().as_secs_f64()
        ));
    }

    /// Text as it is. A reader who has gone away is no reason to fail.
    #[expect(clippy::unused_self, reason = "what is printed comes from one place")]
    pub(crate) fn print(&self, text: &str) {
        let mut out = io::stdout().lock();
        let _gone = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}
