//! Named steps at which a test may kill this process, to see what the others make of it.
//!
//! Without the feature `crash-points` a step is an empty function. With it, `EARNEST_CRASH_AT=name` kills the
//! process with SIGKILL when it first passes that step, `name:n` when it passes it the n-th time: no destructor,
//! no flush, no goodbye.

/// The steps, in the order in which a transaction, a delivery, a check-back, a branch's call and a Try pass them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    BeforeFence,
    BeforePrepare,
    AfterPrepare,
    BeforeCommit,
    AfterCommit,
    BeforeConfirm,
    AfterConfirm,
    ConsumerBeforeInbox,
    ConsumerBeforeCommit,
    ConsumerAfterCommit,
    CheckBackBeforeFence,
    CheckBackAfterFence,
    BranchBeforeFence,
    BranchBeforeCommit,
    BranchAfterCommit,
    BeforeTry,
    AfterTry,
}

#[cfg(not(feature = "crash-points"))]
pub(crate) fn crash_point(_step: Step) {}

#[cfg(feature = "crash-points")]
pub(crate) use armed::crash_point;

#[cfg(feature = "crash-points")]
mod armed {
    use std::{
        env, process, process::Command, sync::OnceLock, sync::atomic::AtomicU64,
        sync::atomic::Ordering, thread,
    };

    use super::Step;

    impl Step {
        fn name(self) -> &'static str {
            match self {
                Self::BeforeFence => "before_fence",
                Self::BeforePrepare => "before_prepare",
                Self::AfterPrepare => "after_prepare",
                Self::BeforeCommit => "before_commit",
                Self::AfterCommit => "after_commit",
                Self::BeforeConfirm => "before_confirm",
                Self::AfterConfirm => "after_confirm",
                Self::ConsumerBeforeInbox => "consumer_before_inbox",
                Self::ConsumerBeforeCommit => "consumer_before_commit",
                Self::ConsumerAfterCommit => "consumer_after_commit",
                Self::CheckBackBeforeFence => "check_back_before_fence",
                Self::CheckBackAfterFence => "check_back_after_fence",
                Self::BranchBeforeFence => "branch_before_fence",
                Self::BranchBeforeCommit => "branch_before_commit",
                Self::BranchAfterCommit => "branch_after_commit",
                Self::BeforeTry => "before_try",
                Self::AfterTry => "after_try",
            }
        }
    }

    struct Target {
        name: String,
        passing: u64,
        passed: AtomicU64,
    }

    static TARGET: OnceLock<Option<Target>> = OnceLock::new();

    fn parse(text: &str) -> Target {
        let (name, passing) = match text.split_once(':') {
            Some((name, n)) => (name, n.parse().unwrap_or(1)),
            None => (text, 1),
        };
        Target {
            name: name.to_owned(),
            passing,
            passed: AtomicU64::new(0),
        }
    }

    pub(crate) fn crash_point(step: Step) {
        let target =
            TARGET.get_or_init(|| env::var("EARNEST_CRASH_AT").ok().map(|text| parse(&text)));
        let Some(target) = target else { return };
        if target.name != step.name() {
            return;
        }
        if target.passed.fetch_add(1, Ordering::SeqCst) + 1 != target.passing {
            return;
        }
        // The shell has its own `kill`, where there may be no such program.
        let killed = Command::new("sh")
            .args(["-c", &format!("kill -9 {}", process::id())])
            .status();
        if killed.is_err() {
            process::abort();
        }
        loop {
            thread::park();
        }
    }
}
