//! An initiator's local transaction: its code's steps, its database's, and the fence row between them.
//!
//! The steps are the SDK's, in the SDK's order: begin with the fence row, prepare, look at the row once more,
//! COMMIT, tell; or, where it reserves first, prepare, try, and only then begin with the fence row. What the process believes and what its database holds are kept apart, since everything
//! that goes wrong goes wrong between the two.

use earnest::fence::{self, FencingRead, Outcome};

/// How far the code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    /// Not begun.
    Idle,
    /// BEGIN, fence row inserted, business done; or, where it reserves first, nothing yet.
    Open,
    /// Prepare was sent.
    Preparing,
    /// Prepare was answered: recorded, undecided. With branches: their Trys are out.
    Prepared,
    /// A further branch was sent to be registered.
    Registering,
    /// COMMIT was sent.
    Committing,
    /// COMMIT was not answered.
    Unknown,
    /// Proven committed; confirm is next.
    Committed,
    /// Proven rolled back; cancel is next.
    RolledBack,
    /// Nothing more will be done.
    Over,
}

/// What the database makes of the local transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Local {
    /// None is open.
    None,
    /// Open, with the fence row in it, which keeps others from inserting theirs.
    Open,
    /// Gone without the code having noticed: lost to a deadlock, or aborted. Its row is gone with it.
    Lost,
    /// COMMIT arrived and is not carried out yet; the row is still locked.
    InFlight,
}

/// One initiator's one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Initiator {
    /// The code.
    pub(crate) step: Step,
    /// The coordinator may know of it.
    pub(crate) told: bool,
    /// Its branches whose Try is out: the first so many.
    pub(crate) trying: u8,
    /// Those whose Try was answered OK, a bit for each.
    pub(crate) reserved: u8,
    /// The database's open transaction.
    pub(crate) local: Local,
    /// The database's committed fence row.
    pub(crate) row: Option<Outcome>,
}

impl Initiator {
    /// Before anything.
    pub(crate) const IDLE: Self = Self {
        step: Step::Idle,
        told: false,
        trying: 0,
        reserved: 0,
        local: Local::None,
        row: None,
    };

    /// Every Try that is out was answered OK.
    pub(crate) fn holds_all(self) -> bool {
        self.reserved.count_ones() == u32::from(self.trying)
    }

    /// The first look before COMMIT: nothing that was to be reserved may be missing. (A refusal ends the step at once.)
    pub(crate) fn all_tried(self) -> bool {
        fence::all_tried(!self.holds_all(), false)
    }

    /// The last look before COMMIT: the rows that the local transaction sees of itself.
    pub(crate) fn may_commit(self) -> bool {
        match self.local {
            Local::Open => fence::may_commit(&[Outcome::Committed]),
            _ => fence::may_commit(self.row.as_slice()),
        }
    }

    /// The fencing read; `None`: its insert would wait for an open local transaction, as a mere read would not.
    pub(crate) fn fencing_read(&mut self) -> Option<FencingRead> {
        if fence::remembers(0, 0) {
            match self.local {
                Local::Open | Local::InFlight => return None,
                Local::None | Local::Lost => {
                    self.row.get_or_insert(Outcome::RolledBack);
                }
            }
        }
        Some(fence::fencing_read(self.row, 0, 0))
    }

    /// COMMIT is carried out.
    pub(crate) fn land(&mut self) {
        self.local = Local::None;
        self.row = Some(Outcome::Committed);
    }

    /// The transaction is rolled back.
    pub(crate) fn roll_back(&mut self) {
        self.local = Local::None;
    }
}
