//! What a database in memory holds: committed rows, locks on rows, and sessions whose end is still on its way.
//!
//! Every map is sorted, so that what is found does not depend on a hash seed.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::{
    fence::{Held, Outcome},
    ids::{BranchId, TransactionId},
    sql::InboxKey,
};

/// Names one row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Outcome(TransactionId),
    Inbox(InboxKey),
    Branch(BranchId),
    Own(String),
}

#[derive(Clone, Debug)]
pub(super) enum Row {
    Outcome { state: Outcome, created_us: i64 },
    Inbox { created_us: i64 },
    Branch { state: Held, created_us: i64 },
    Own(Vec<u8>),
}

impl Row {
    /// `None` for a row of the service's own, which Earnest never purges.
    pub(super) fn created_us(&self) -> Option<i64> {
        match self {
            Self::Outcome { created_us, .. }
            | Self::Inbox { created_us }
            | Self::Branch { created_us, .. } => Some(*created_us),
            Self::Own(_) => None,
        }
    }
}

/// What a transaction wrote; `None` deletes.
pub(super) type Writes = BTreeMap<Key, Option<Row>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SessionId(u64);

pub(super) struct State {
    pub(super) resource_id: String,
    pub(super) horizon_us: i64,
    pub(super) rows: BTreeMap<Key, Row>,
    pub(super) locks: BTreeMap<Key, SessionId>,
    pub(super) lock_timeout: Duration,
    pub(super) available: bool,
    /// How often it crashed. A session of an earlier life is gone.
    pub(super) life: u64,
    sessions: u64,
    /// Sessions without a client, which end by themselves: what they then commit.
    landing: BTreeMap<(Instant, SessionId), Writes>,
}

impl State {
    pub(super) fn new(resource_id: String) -> Self {
        Self {
            resource_id,
            horizon_us: 0,
            rows: BTreeMap::new(),
            locks: BTreeMap::new(),
            lock_timeout: Duration::from_secs(1),
            available: true,
            life: 0,
            sessions: 0,
            landing: BTreeMap::new(),
        }
    }

    /// Only what is committed.
    pub(super) fn restored(&self) -> Self {
        Self {
            horizon_us: self.horizon_us,
            rows: self.rows.clone(),
            lock_timeout: self.lock_timeout,
            ..Self::new(self.resource_id.clone())
        }
    }

    pub(super) fn crash(&mut self) {
        self.life += 1;
        self.locks.clear();
        self.landing.clear();
    }

    pub(super) fn next_session(&mut self) -> SessionId {
        self.sessions += 1;
        SessionId(self.sessions)
    }

    pub(super) fn apply(&mut self, writes: Writes) {
        for (key, row) in writes {
            match row {
                Some(row) => self.rows.insert(key, row),
                None => self.rows.remove(&key),
            };
        }
    }

    pub(super) fn release(&mut self, session: SessionId) {
        self.locks.retain(|_, holder| *holder != session);
    }

    pub(super) fn land_later(&mut self, at: Instant, session: SessionId, writes: Writes) {
        self.landing.insert((at, session), writes);
    }

    /// When the next session ends by itself.
    pub(super) fn next_landing(&self) -> Option<Instant> {
        self.landing.keys().next().map(|(at, _)| *at)
    }

    /// Ends the sessions whose time has come; says whether there were any.
    pub(super) fn land(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some(entry) = self.landing.first_entry() {
            let (at, session) = *entry.key();
            if at > now {
                break;
            }
            let writes = entry.remove();
            self.apply(writes);
            self.release(session);
            any = true;
        }
        any
    }
}
