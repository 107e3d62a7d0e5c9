//! Which defect is planted now: none, or one by name, from the environment (`EARNEST_TEST_PLANTED=name`) or by [`plant`].
//!
//! The shipped crates ask here at a defence, if and only if they are built with their feature `planted`; what the defects are
//! for stands in the ledger beside this crate. It depends on nothing and does nothing but compare two numbers, so that the
//! protocol stays pure. One at a time for the whole process: a test that plants one must not run beside another.

use std::{
    env,
    sync::atomic::{AtomicU8, Ordering},
};

macro_rules! bugs {
    ($($bug:ident = $name:literal,)*) => {
        /// A defence taken out.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "what each removes is said in the ledger")]
        pub enum Bug {
            $($bug,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$bug,)*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$bug => $name,)*
                }
            }
        }
    };
}

bugs! {
    NoCompareAndSet = "no-compare-and-set",
    OppositeIsToldOk = "opposite-is-told-ok",
    SilenceCounts = "silence-counts",
    SilenceCancels = "silence-cancels",
    BudgetCancelsLocal = "budget-cancels-local",
    DeadlineCancelsLocal = "deadline-cancels-local",
    ParkedIsFinal = "parked-is-final",
    SilenceDelivers = "silence-delivers",
    FailureDelivers = "failure-delivers",
    MissingAnswerIsOk = "missing-answer-is-ok",
    StaleCheckBackCounts = "stale-check-back-counts",
    StaleDeadlineCounts = "stale-deadline-counts",
    StaleDeliveryCounts = "stale-delivery-counts",
    TokenIsNotSpent = "token-is-not-spent",
    ClaimKeepsTheToken = "claim-keeps-the-token",
    DeadKeepTheirWork = "dead-keep-their-work",
    BuriedNodeLivesOn = "buried-node-lives-on",
    OrphansAreKept = "orphans-are-kept",
    RetryIsForgotten = "retry-is-forgotten",
    NextOfKeyIsForgotten = "next-of-key-is-forgotten",
    BreakerStaysOpen = "breaker-stays-open",
    DoneIsNotCounted = "done-is-not-counted",
    OrphanIsDropped = "orphan-is-dropped",
    DeletionDelivers = "deletion-delivers",
    CancelOwes = "cancel-owes",
    NoTombstone = "no-tombstone",
    OtherContentIsTaken = "other-content-is-taken",
    TwoOfOneIdInABatch = "two-of-one-id-in-a-batch",
    OrderIsIgnored = "order-is-ignored",
    RetryJumpsTheQueue = "retry-jumps-the-queue",
    FenceIsOnlyRead = "fence-is-only-read",
    FenceIsNotReadLast = "fence-is-not-read-last",
    InboxIsIgnored = "inbox-is-ignored",
    ConfirmsBeforeCommit = "confirms-before-commit",
    AnswersBeforeCommit = "answers-before-commit",
    SqliteClaimKeepsTheToken = "sqlite-claim-keeps-the-token",
    SqliteClaimTakesWhatIsHeld = "sqlite-claim-takes-what-is-held",
    SqliteBuriedNodeLivesOn = "sqlite-buried-node-lives-on",
    SqliteKeyIsNeverBusy = "sqlite-key-is-never-busy",
    SqliteHorizonIsForgotten = "sqlite-horizon-is-forgotten",
    PostgresRowsAreNotCounted = "postgres-rows-are-not-counted",
    PostgresClaimTakesWhatIsHeld = "postgres-claim-takes-what-is-held",
    PostgresBuriedNodeLivesOn = "postgres-buried-node-lives-on",
    PostgresSubscriptionsAreNotLocked = "postgres-subscriptions-are-not-locked",
    PostgresKeysAreNotLocked = "postgres-keys-are-not-locked",
    PostgresUnknownIsTakenForCommitted = "postgres-unknown-is-taken-for-committed",
    MysqlClaimKeepsTheToken = "mysql-claim-keeps-the-token",
    MysqlBuriedNodeLivesOn = "mysql-buried-node-lives-on",
    MysqlSubscriptionsAreNotLocked = "mysql-subscriptions-are-not-locked",
    MysqlKeysAreNotLocked = "mysql-keys-are-not-locked",
    MysqlUnknownIsTakenForCommitted = "mysql-unknown-is-taken-for-committed",
    ResourceIsIgnored = "resource-is-ignored",
    HorizonIsIgnored = "horizon-is-ignored",
    CancelWithoutProof = "cancel-without-proof",
    SlowWorkIsNotRenewed = "slow-work-is-not-renewed",
    AnyPageIsTaken = "any-page-is-taken",
    LateTryRuns = "late-try-runs",
    ConfirmRunsTwice = "confirm-runs-twice",
    ConfirmNeedsNoTry = "confirm-needs-no-try",
    CancelUndoesConfirm = "cancel-undoes-confirm",
    CommitsBeforeTry = "commits-before-try",
    LateBranchJoins = "late-branch-joins",
    JoinIsNotCounted = "join-is-not-counted",
    UntriedIsConfirmed = "untried-is-confirmed",
    RefusalIsSilence = "refusal-is-silence",
    SilenceReserves = "silence-reserves",
    SilenceSettles = "silence-settles",
    RefusalParks = "refusal-parks",
    StaleBranchCounts = "stale-branch-counts",
    CancelForgetsBranches = "cancel-forgets-branches",
    CallsBeforeDecision = "calls-before-decision",
    AnswersAreSwapped = "answers-are-swapped",
}

/// The environment was not read so far.
const UNREAD: u8 = u8::MAX;
/// 0: none; else the number of the one that is planted, and one.
static PLANTED: AtomicU8 = AtomicU8::new(UNREAD);

/// Names the one that a process begins with.
pub const VARIABLE: &str = "EARNEST_TEST_PLANTED";

/// Whether `bug` is planted now.
#[inline]
pub fn on(bug: Bug) -> bool {
    let planted = match PLANTED.load(Ordering::Relaxed) {
        UNREAD => read(),
        planted => planted,
    };
    planted == number(Some(bug))
}

fn number(bug: Option<Bug>) -> u8 {
    bug.map_or(0, |bug| bug as u8 + 1)
}

#[cold]
fn read() -> u8 {
    let named = env::var(VARIABLE).ok().map(|name| {
        let bug = Bug::ALL.iter().find(|bug| bug.name() == name);
        *bug.unwrap_or_else(|| panic!("{VARIABLE} names no defect: {name}"))
    });
    let _somebody_was_faster =
        PLANTED.compare_exchange(UNREAD, number(named), Ordering::Relaxed, Ordering::Relaxed);
    PLANTED.load(Ordering::Relaxed)
}

/// Plants `bug`, in the place of whatever was planted; `None`: none.
pub fn plant(bug: Option<Bug>) {
    PLANTED.store(number(bug), Ordering::Relaxed);
}
