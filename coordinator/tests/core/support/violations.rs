//! Promises seen broken inside ports and stores, where a panic would be taken for a fault of theirs.

use std::sync::{Arc, Mutex};

/// Shared by all that look; the world fails at its end if there is one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Violations(Arc<Mutex<Vec<String>>>);

impl Violations {
    pub(crate) fn unless(&self, holds: bool, broken: impl FnOnce() -> String) {
        if !holds {
            self.0.lock().unwrap().push(broken());
        }
    }

    pub(crate) fn none(&self) {
        let seen = self.0.lock().unwrap();
        assert!(seen.is_empty(), "{}", seen.join("\n"));
    }
}
