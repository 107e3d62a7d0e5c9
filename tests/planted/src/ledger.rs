//! The ledger: every defect that can be planted, what it takes out, what breaks, and who must notice.
//!
//! The checkers know nothing of it. An entry is caught only when its layer names its invariant. A defect may stand here more
//! than once, for different layers.

use earnest_planted_hooks::Bug;

use crate::{
    Database::{Postgres, Sqlite},
    Layer::{self, Conformance, Model, Process, Simulation, Wire},
};

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
pub const LEDGER: &[Entry] = &[
    entry(
        Bug::NoCompareAndSet,
        "a decision is written over the one that stands",
        "M3",
        Model(&["reuse"]),
    ),
    entry(
        Bug::OppositeIsToldOk,
        "a caller whose decision lost the race is told OK",
        "M3",
        Model(&["reuse"]),
    ),
    entry(
        Bug::TwoOfOneIdInABatch,
        "two commands of one transaction share a batch",
        "M3",
        Simulation,
    ),
    entry(
        Bug::OtherContentIsTaken,
        "a Prepare of the same id with other content is taken for a repeated one",
        "M6",
        Model(&["reuse"]),
    ),
    entry(
        Bug::NoTombstone,
        "a Cancel that comes before its Prepare leaves nothing behind",
        "M5",
        Model(&["initiator"]),
    ),
    entry(
        Bug::SilenceCounts,
        "a check-back without an answer uses the budget up",
        "P6",
        Model(&["initiator"]),
    ),
    entry(
        Bug::SilenceCancels,
        "a check-back without an answer cancels",
        "P6",
        Model(&["initiator"]),
    ),
    entry(
        Bug::BudgetCancelsLocal,
        "a spent budget cancels a transaction with a local outcome",
        "P6",
        Model(&["initiator"]),
    ),
    entry(
        Bug::DeadlineCancelsLocal,
        "the deadline cancels a transaction whose initiator can be asked",
        "M2",
        Simulation,
    ),
    entry(
        Bug::FenceIsOnlyRead,
        "the fencing read reads and inserts nothing",
        "M4",
        Model(&["initiator"]),
    ),
    entry(
        Bug::FenceIsNotReadLast,
        "COMMIT is sent without a last look at the fence row",
        "M1",
        Model(&["initiator"]),
    ),
    entry(
        Bug::InboxIsIgnored,
        "a message that was taken before runs its handler again",
        "K2",
        Model(&["initiator"]),
    ),
    entry(
        Bug::CancelOwes,
        "a cancelled transaction owes its deliveries too",
        "P3",
        Model(&["reuse"]),
    ),
    entry(
        Bug::StaleCheckBackCounts,
        "the end of a check-back is written without a look at its token",
        "R2",
        Model(&["nodes"]),
    ),
    entry(
        Bug::StaleDeadlineCounts,
        "a passed deadline is written without a look at its token",
        "R2",
        Model(&["deadline"]),
    ),
    entry(
        Bug::StaleDeliveryCounts,
        "the end of a delivery is written without a look at its token",
        "R2",
        Model(&["nodes"]),
    ),
    entry(
        Bug::TokenIsNotSpent,
        "work that a person takes away keeps its token",
        "R2",
        Model(&["people"]),
    ),
    entry(
        Bug::ClaimKeepsTheToken,
        "a claim of a delivery does not raise its token",
        "R2",
        Model(&["nodes"]),
    ),
    entry(
        Bug::SilenceDelivers,
        "a delivery without an answer counts as done",
        "K1",
        Model(&["reuse"]),
    ),
    entry(
        Bug::FailureDelivers,
        "a delivery that was refused for good counts as done",
        "K1",
        Model(&["people"]),
    ),
    entry(
        Bug::MissingAnswerIsOk,
        "a message that the answer to its batch left out counts as done",
        "K1",
        Simulation,
    ),
    entry(
        Bug::DeletionDelivers,
        "what a deleted subscription was owed counts as done",
        "K1",
        Model(&["nobody"]),
    ),
    entry(
        Bug::DoneIsNotCounted,
        "a delivery that is done is still counted as owed",
        "K3",
        Model(&["initiator"]),
    ),
    entry(
        Bug::ParkedIsFinal,
        "a transaction is final although a delivery of it is parked",
        "K3",
        Model(&["nobody"]),
    ),
    entry(
        Bug::OrphanIsDropped,
        "a message whose topic has no subscription at the decision is dropped",
        "P4",
        Simulation,
    ),
    entry(
        Bug::OrderIsIgnored,
        "a message does not wait for the one in front of it",
        "P9",
        Model(&["ordered"]),
    ),
    entry(
        Bug::RetryJumpsTheQueue,
        "a retry by hand makes a message due that is not the first of its key",
        "P9",
        Simulation,
    ),
    entry(
        Bug::DeadKeepTheirWork,
        "what a dead node held stays held",
        "V1",
        Model(&["ordered"]),
    ),
    entry(
        Bug::BuriedNodeLivesOn,
        "a node that was taken for dead is told that it lives",
        "V1",
        Simulation,
    ),
    entry(
        Bug::OrphansAreKept,
        "after a COMMIT of unknown outcome the node keeps the epoch that leased it work",
        "V1",
        Simulation,
    ),
    entry(
        Bug::RetryIsForgotten,
        "a delivery that failed for now is never due again",
        "V1",
        Model(&["reuse"]),
    ),
    entry(
        Bug::NextOfKeyIsForgotten,
        "a delivery that is done makes the next one of its key not due",
        "V1",
        Model(&["ordered"]),
    ),
    entry(
        Bug::BreakerStaysOpen,
        "a breaker that opened never lets a probe through",
        "V1",
        Simulation,
    ),
    entry(
        Bug::SqliteClaimKeepsTheToken,
        "SQLite: a claim of a delivery does not raise its token",
        "P10",
        Conformance(Sqlite),
    ),
    entry(
        Bug::SqliteClaimTakesWhatIsHeld,
        "SQLite: a claim frees what a living node holds",
        "P10",
        Conformance(Sqlite),
    ),
    entry(
        Bug::SqliteBuriedNodeLivesOn,
        "SQLite: a node that was taken for dead is told that it lives",
        "P11",
        Conformance(Sqlite),
    ),
    entry(
        Bug::SqliteKeyIsNeverBusy,
        "SQLite: a new message of a key does not see what waits in front of it",
        "P9",
        Conformance(Sqlite),
    ),
    entry(
        Bug::SqliteHorizonIsForgotten,
        "SQLite: a purge does not store how far it came",
        "P1",
        Conformance(Sqlite),
    ),
    entry(
        Bug::PostgresRowsAreNotCounted,
        "PostgreSQL: a batch does not count the rows that it wrote",
        "R1",
        Conformance(Postgres),
    ),
    entry(
        Bug::PostgresClaimTakesWhatIsHeld,
        "PostgreSQL: a claim frees what a living node holds",
        "P10",
        Conformance(Postgres),
    ),
    entry(
        Bug::PostgresBuriedNodeLivesOn,
        "PostgreSQL: a node that was taken for dead is told that it lives",
        "P11",
        Conformance(Postgres),
    ),
    entry(
        Bug::PostgresSubscriptionsAreNotLocked,
        "PostgreSQL: a decision reads the subscriptions of a topic without a lock",
        "P4",
        Conformance(Postgres),
    ),
    entry(
        Bug::PostgresKeysAreNotLocked,
        "PostgreSQL: positions of a key are given out without its lock",
        "P9",
        Conformance(Postgres),
    ),
    entry(
        Bug::PostgresUnknownIsTakenForCommitted,
        "PostgreSQL: a COMMIT without an answer is taken for one that landed",
        "R4",
        Conformance(Postgres),
    ),
    entry(
        Bug::AnswersBeforeCommit,
        "SQLite: a batch is answered before its COMMIT",
        "M5",
        Process,
    ),
    entry(
        Bug::ConfirmsBeforeCommit,
        "the SDK confirms before its COMMIT is answered",
        "M1",
        Process,
    ),
    entry(
        Bug::SilenceDelivers,
        "a delivery without an answer counts as done",
        "K1",
        Process,
    ),
    entry(
        Bug::InboxIsIgnored,
        "a message that was taken before runs its handler again",
        "K2",
        Process,
    ),
    entry(
        Bug::OrderIsIgnored,
        "a message does not wait for the one in front of it",
        "P9",
        Process,
    ),
    entry(
        Bug::ResourceIsIgnored,
        "a check-back is answered from another database than the one that did the work",
        "M2",
        Wire,
    ),
    entry(
        Bug::HorizonIsIgnored,
        "a fence row that was purged is taken for one that never was",
        "M2",
        Wire,
    ),
    entry(
        Bug::CancelWithoutProof,
        "a local transaction whose end was not seen is cancelled",
        "M2",
        Wire,
    ),
    entry(
        Bug::SlowWorkIsNotRenewed,
        "a node's lease is not renewed while it has calls under way",
        "V1",
        Simulation,
    ),
    entry(
        Bug::AnyPageIsTaken,
        "any page with status 200 is taken for *committed*, such as a proxy's",
        "M1",
        Simulation,
    ),
    entry(
        Bug::LateTryRuns,
        "a Try that comes after its Cancel runs",
        "T2",
        Model(&["fence"]),
    ),
    entry(
        Bug::ConfirmRunsTwice,
        "a Confirm that was carried out before runs again",
        "T1",
        Model(&["fence"]),
    ),
    entry(
        Bug::ConfirmNeedsNoTry,
        "a Confirm of what was never tried runs",
        "T3",
        Model(&["fence"]),
    ),
    entry(
        Bug::CancelUndoesConfirm,
        "a Cancel that comes after the Confirm runs",
        "T1",
        Model(&["fence"]),
    ),
    entry(
        Bug::HorizonIsIgnored,
        "a fence row that was purged is taken for one that never was",
        "T6",
        Model(&["fence"]),
    ),
    entry(
        Bug::CommitsBeforeTry,
        "COMMIT is sent although a Try was not answered OK",
        "T3",
        Model(&["reserve"]),
    ),
    entry(
        Bug::LateBranchJoins,
        "a branch is registered beside a decision",
        "T4",
        Model(&["beside"]),
    ),
    entry(
        Bug::JoinIsNotCounted,
        "a branch that is registered later is not counted in its transaction's row",
        "K3",
        Model(&["beside"]),
    ),
    entry(
        Bug::UntriedIsConfirmed,
        "a caller confirms before the coordinator's Trys are answered",
        "T3",
        Model(&["execute"]),
    ),
    entry(
        Bug::RefusalIsSilence,
        "a Try that was refused counts as not answered",
        "T5",
        Model(&["execute"]),
    ),
    entry(
        Bug::SilenceReserves,
        "a Try without an answer counts as reserved",
        "T3",
        Model(&["unanswered"]),
    ),
    entry(
        Bug::SilenceSettles,
        "a Confirm or Cancel without an answer counts as done",
        "K1",
        Model(&["combined"]),
    ),
    entry(
        Bug::RefusalParks,
        "a refused Confirm or Cancel is set aside instead of tried again",
        "T5",
        Model(&["reserve"]),
    ),
    entry(
        Bug::StaleBranchCounts,
        "the end of a branch's call is written without a look at its token",
        "R2",
        Model(&["execute-nodes"]),
    ),
    entry(
        Bug::CancelForgetsBranches,
        "a cancelled transaction owes its branches nothing",
        "T5",
        Model(&["reserve"]),
    ),
    entry(
        Bug::CallsBeforeDecision,
        "a branch is told to confirm as soon as it is registered",
        "T4",
        Model(&["reserve"]),
    ),
    entry(
        Bug::AnswersAreSwapped,
        "one branch's answer is taken for another's of the same call",
        "K1",
        Simulation,
    ),
    entry(
        Bug::SilenceReserves,
        "a Try without an answer counts as reserved",
        "T3",
        Simulation,
    ),
    entry(
        Bug::CancelForgetsBranches,
        "a cancelled transaction owes its branches nothing",
        "P4",
        Simulation,
    ),
    entry(
        Bug::LateTryRuns,
        "a Try that comes after its Cancel runs",
        "T2",
        Simulation,
    ),
    entry(
        Bug::ConfirmRunsTwice,
        "a Confirm that was carried out before runs again",
        "T1",
        Simulation,
    ),
    entry(
        Bug::LateTryRuns,
        "a Try that comes after its Cancel runs",
        "T2",
        Wire,
    ),
    entry(
        Bug::ConfirmRunsTwice,
        "a Confirm that was carried out before runs again",
        "T1",
        Wire,
    ),
];
