//! What goes wrong with a batch, which ones, and how often.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use earnest_protocol::TransactionId;
use earnest_store::Command;

/// What becomes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// `Unavailable`; nothing is written.
    Before,
    /// `CommitUnknown`, and it was written.
    After,
    /// `CommitUnknown`, and it was not.
    Lost,
    /// `Rejected`; nothing is written.
    Refused,
    /// Written, but the node hears of it only after `unblock`.
    Held,
    /// The node dies before it is written.
    CrashBefore,
    /// The node dies when it is written, before it hears of it.
    CrashAfter,
}

/// Says which batches it happens to.
type Hits = dyn Fn(&[Command]) -> bool + Send + Sync;

/// Which batches it happens to, and how often. Clones share the count, so that it can be laid in wait at several
/// nodes.
#[derive(Clone)]
pub(crate) struct Fault {
    when: When,
    left: Arc<AtomicUsize>,
    hits: Arc<Hits>,
}

impl Fault {
    /// Happens `times` times, where `hits` says so of a batch.
    pub(crate) fn new(
        when: When,
        times: usize,
        hits: impl Fn(&[Command]) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            when,
            left: Arc::new(AtomicUsize::new(times)),
            hits: Arc::new(hits),
        }
    }

    /// The first time that a command of this name is written.
    pub(crate) fn once(when: When, command: &'static str) -> Self {
        Self::new(when, 1, move |batch| {
            batch.iter().any(|c| c.name() == command)
        })
    }

    /// Every time that a command of this name and transaction is in the batch.
    pub(crate) fn always_for(when: When, command: &'static str, id: TransactionId) -> Self {
        let of = move |c: &Command| c.name() == command && c.transaction() == id;
        Self::new(when, usize::MAX, move |batch| batch.iter().any(of))
    }

    /// Every batch the first time that it is offered: all is run twice.
    pub(crate) fn twice(when: When) -> Self {
        let first = AtomicBool::new(true);
        Self::new(when, usize::MAX, move |_| first.fetch_not(Ordering::SeqCst))
    }

    /// What happens to this batch, if anything does.
    pub(super) fn happens(&self, batch: &[Command]) -> Option<When> {
        let (order, spend) = (Ordering::SeqCst, |left: usize| left.checked_sub(1));
        let hit = self.left.load(order) > 0 && (self.hits)(batch);
        (hit && self.left.fetch_update(order, order, spend).is_ok()).then_some(self.when)
    }
}
