//! Promises seen broken.

use std::{fmt, sync::Mutex};

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The invariant or promise, by its short name: `M1`, `K2`, `V1`, `P9`, …
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// One broken promise often shows in thousands of rows; the first ones tell.
const KEPT: usize = 20;

/// Those of one run.
#[derive(Default)]
pub(crate) struct Violations(Mutex<Vec<Violation>>);

impl Violations {
    pub(crate) fn unless(
        &self,
        holds: bool,
        invariant: &'static str,
        what: impl FnOnce() -> String,
    ) {
        if holds {
            return;
        }
        let mut seen = self.0.lock().expect("nothing panics in here");
        if seen.len() < KEPT {
            let what = what();
            seen.push(Violation { invariant, what });
        }
    }

    pub(crate) fn any(&self) -> bool {
        !self.0.lock().expect("nothing panics in here").is_empty()
    }

    pub(crate) fn take(&self) -> Vec<Violation> {
        std::mem::take(&mut self.0.lock().expect("nothing panics in here"))
    }
}
