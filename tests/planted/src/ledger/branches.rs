//! Defects of TCC.

use earnest_planted_hooks::Bug;

use super::{Entry, entry};
use crate::Layer::{Model, Process, Simulation, Wire};

pub(super) const ENTRIES: &[Entry] = &[
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
    entry(
        Bug::LateTryRuns,
        "a Try that comes after its Cancel runs",
        "T2",
        Process,
    ),
    entry(
        Bug::ConfirmRunsTwice,
        "a Confirm that was carried out before runs again",
        "T1",
        Process,
    ),
    entry(
        Bug::SilenceReserves,
        "a Try without an answer counts as reserved",
        "T3",
        Process,
    ),
    entry(
        Bug::SilenceSettles,
        "a Confirm or Cancel without an answer counts as done",
        "T5",
        Process,
    ),
];
