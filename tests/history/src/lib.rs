//! A history: what clients called and were told, what services answered, what their databases held at rest; and the offline
//! checker for it.
//!
//! It knows nothing of how any coordinator works, only what one owes: the compiler keeps it so, since this crate depends on
//! serde alone. Anything that writes this format can be checked.
//!
//! # Format
//!
//! JSON lines in the order of time. Each has `at_us` (microseconds of one clock that all processes of the run share),
//! `process` (who wrote it) and `event`:
//!
//! | event | fields | meaning |
//! |---|---|---|
//! | `run` | `seed`, `rest_within_ms`, `subscriptions`: `[{name, topic, ordered}]` | first line: what holds for the whole run |
//! | `invoke` | `op`, `call`, and what the call says | a client calls; written before the call leaves |
//! | `ok` | `op`, `transaction`, `phase`, `deliveries` | the call was answered; written after the answer came |
//! | `fail` | `op`, `reason`, `transaction`, `decision` | it was refused, and changed nothing |
//! | `unknown` | `op`, `why` | no answer, or none that says anything |
//! | `check-back` | `transaction`, `answer` | an initiator answers what became of its local transaction; written before the answer leaves |
//! | `delivery` | `transaction`, `ordinal`, `subscription`, `answer` | a consumer answers a delivery; written before the answer leaves |
//! | `branch` | `transaction`, `ordinal`, `participant`, `action`, `answer` | a participant answers a call of a branch (`try`, `confirm`, `cancel`); written before the answer leaves |
//! | `fault` | `fault`, `target`, `act` | something was broken (`begin`) or mended (`end`) |
//! | `quiet` | | all faults are over and no client calls any more |
//! | `committed` | `transaction`, `key`, `topics`, `keys`, `branches` | at rest, the initiator's own rows say that it committed, what it sends, and the participants of its branches in their order |
//! | `step` | `transaction`, `ordinal`, `participant`, `action`, `amount` | at rest, a row that a participant's own code wrote for a branch; in the order in which they were written |
//! | `account` | `participant`, `began`, `free`, `held`, `used` | at rest, what a participant's own books add up to |
//! | `effect` | `transaction`, `ordinal`, `subscription`, `content` | at rest, a row that a consumer's handler wrote; in the order in which they were written |
//! | `view` | `transaction`, `phase`, `parked`, `decided_by`, `deliveries`, `branches` | at rest, where a coordinator says it stands; of several that are asked each says so of every transaction |
//! | `rest` | | everything at rest has been read; last line |
//!
//! Calls: `place` (`key`; asks an initiator for business in a local transaction), `prepare` and `submit` (`transaction`,
//! `content`, `topics`), `execute` (the same, and `branches`, whose Trys decide), `confirm`, `cancel`, `look` (`transaction`). A transaction is what its id says; `ordinal` is the
//! position of a message in it, and `topics` has one topic per message, as `keys`, where it is there, has one key (those of one key have
//! an order where the subscription is `ordered`). `content` is any text that is equal if and only if
//! the contents are.
//!
//! The checks are in [`check`]; [`Invariant`] says what each means.

mod branch;
mod check;
mod entry;
mod history;
mod invariant;
mod summary;

pub use branch::{Action, BranchAnswer, BranchKey, BranchState, BranchView};
pub use check::check;
pub use entry::{
    Act, Call, CheckBackAnswer, Decision, DeliveryAnswer, DeliveryKey, DeliveryState, DeliveryView,
    Entry, Event, Phase, Reason, Subscription,
};
pub use history::{Answer, End, History, Line, Malformed, Op};
pub use invariant::{Invariant, Violation};
pub use summary::{Branches, Summary};
