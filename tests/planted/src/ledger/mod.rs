//! The ledger: every defect that can be planted, what it takes out, what breaks, and who must notice.
//!
//! The checkers know nothing of it. An entry is caught only when its layer names its invariant. A defect may stand here more
//! than once, for different layers.

mod branches;
mod messages;

use earnest_planted_hooks::Bug;

use crate::Layer;

/// One defect.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Which.
    pub bug: Bug,
    /// What it takes out.
    pub removes: &'static str,
    /// What must be seen broken.
    pub breaks: &'static str,
    /// Who must see it.
    pub layer: Layer,
}

const fn entry(bug: Bug, removes: &'static str, breaks: &'static str, layer: Layer) -> Entry {
    Entry {
        bug,
        removes,
        breaks,
        layer,
    }
}

/// All of them.
pub fn ledger() -> impl Iterator<Item = &'static Entry> {
    messages::ENTRIES.iter().chain(branches::ENTRIES)
}
