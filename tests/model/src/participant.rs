//! A TCC participant: the fence row of one branch, and how often the business code behind it ran.
//!
//! What a call may do is asked of the SDK's own rules; written here is only what its statements would find. Each call is one
//! step: that no two of them meet inside of a local transaction is what the databases' locks are for, and others test it.

use earnest::fence::{self, Call, Held, Wrote};
use earnest_protocol::BranchCall;

use crate::node::Answer;

/// How often the business code ran; twice is often enough to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Ran {
    /// Reserved.
    pub(crate) tries: u8,
    /// Used what was reserved.
    pub(crate) confirms: u8,
    /// Gave it back.
    pub(crate) cancels: u8,
}

impl Ran {
    fn once_more(&mut self, call: BranchCall) {
        let count = match call {
            BranchCall::Try => &mut self.tries,
            BranchCall::Confirm => &mut self.confirms,
            BranchCall::Cancel => &mut self.cancels,
        };
        *count = (*count + 1).min(2);
    }

    /// Something is reserved, and neither used nor given back.
    pub(crate) fn holds(self) -> bool {
        self.tries > self.confirms + self.cancels
    }
}

/// What a call found, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Did {
    /// The business code ran.
    Ran,
    /// Nothing ran: this rule kept it from running.
    Nothing(fence::Step),
    /// The business said no, so that all was rolled back.
    Declined,
}

/// One branch at its participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Participant {
    /// The fence row.
    pub(crate) row: Option<Held>,
    /// Rows of its age were purged.
    pub(crate) purged: bool,
    /// What was done to the resource.
    pub(crate) ran: Ran,
}

impl Participant {
    /// Carries out a call, in one local transaction.
    pub(crate) fn call(&mut self, call: BranchCall, declines: bool) -> (Answer, Did) {
        let horizon = i64::from(self.purged);
        let wrote = self.wrote(call, fence::remembers(0, horizon));
        let step = fence::branch(the_call(call), wrote, 0, horizon);
        match step {
            fence::Step::Run if declines => return (Answer::Refused, Did::Declined),
            fence::Step::Run | fence::Step::Empty => {
                let stands = self.after(call, wrote);
                if !fence::may_end(wrote, stands, the_call(call), 0, horizon) {
                    return (Answer::Unknown, Did::Declined);
                }
                self.row = stands;
            }
            _ => {}
        }
        if step == fence::Step::Run {
            self.ran.once_more(call);
            return (Answer::Taken, Did::Ran);
        }
        let answer = match step {
            fence::Step::Run | fence::Step::Empty | fence::Step::Done => Answer::Taken,
            fence::Step::Barred => Answer::Refused,
            fence::Step::Failed(_) => Answer::Failed,
            fence::Step::Unclear => Answer::Unknown,
        };
        (answer, Did::Nothing(step))
    }

    /// What the call's statements change.
    fn wrote(self, call: BranchCall, remembers: bool) -> Wrote {
        match (call, self.row) {
            (BranchCall::Try | BranchCall::Cancel, None) if remembers => Wrote::Inserted,
            (BranchCall::Confirm | BranchCall::Cancel, Some(Held::Tried)) => Wrote::Moved,
            (_, row) => Wrote::Nothing(row),
        }
    }

    /// The row as it stands after them.
    fn after(self, call: BranchCall, wrote: Wrote) -> Option<Held> {
        wrote.stands(the_call(call)).or(self.row)
    }

    /// Old rows go, and their horizon is stored with that.
    pub(crate) fn purge(&mut self) {
        self.row = None;
        self.purged = true;
    }
}

fn the_call(call: BranchCall) -> Call {
    match call {
        BranchCall::Try => Call::Try,
        BranchCall::Confirm => Call::Confirm,
        BranchCall::Cancel => Call::Cancel,
    }
}
