//! Named steps at which a test may kill this process, to see what the rest makes of it.
//!
//! Without the feature `crash-points` a step is an empty function. With it, `EARNEST_CRASH_AT=name` kills the
//! process with SIGKILL when it first passes that step, `name:n` when it passes it the n-th time: no destructor,
//! no flush, no goodbye. Never build a coordinator for production with it.
//!
//! Steps of the journal are named by the command: `before_prepare` (in the queue, not written), `after_prepare`
//! (committed, nobody told), and the same for `submit`, `confirm`, `cancel`, `checked_back`, `deadline_passed`,
//! `delivery_settled`, `operator`. Steps of the driver: `before_deliver`, `after_deliver`, `before_check_back`,
//! `after_check_back`.

use earnest_store::Command;

/// On which side of the commit a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Taken from the queue, not written.
    Before,
    /// Committed; no caller was told and no effect was started.
    After,
}

/// A step of a batch: passed once by each of its commands, in order.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub fn batch(_: Side, _: &[Command]) {}

/// A step.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub fn point(_: &str) {}

#[cfg(feature = "crash-points")]
pub use armed::{batch, point};

#[cfg(feature = "crash-points")]
mod armed {
    use std::{
        env,
        sync::{
            OnceLock,
            atomic::{AtomicU64, Ordering},
        },
    };

    use super::{Command, Side};

    struct Armed {
        name: String,
        passing: u64,
        passed: AtomicU64,
    }

    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

    fn armed() -> Option<&'static Armed> {
        let read = || {
            let text = env::var("EARNEST_CRASH_AT").ok()?;
            let (name, passing) = match text.split_once(':') {
                Some((name, n)) => (name, n.parse().expect("EARNEST_CRASH_AT is name or name:n")),
                None => (text.as_str(), 1),
            };
            Some(Armed {
                name: name.to_owned(),
                passing,
                passed: AtomicU64::new(0),
            })
        };
        ARMED.get_or_init(read).as_ref()
    }

    /// A step of a batch: passed once by each of its commands, in order.
    pub fn batch(side: Side, commands: &[Command]) {
        if armed().is_none() {
            return;
        }
        let side = match side {
            Side::Before => "before",
            Side::After => "after",
        };
        for command in commands {
            point(&format!("{side}_{}", command.name()));
        }
    }

    /// A step.
    pub fn point(name: &str) {
        let Some(armed) = armed().filter(|armed| armed.name == name) else {
            return;
        };
        if armed.passed.fetch_add(1, Ordering::SeqCst) + 1 == armed.passing {
            // SIGKILL to itself is delivered before the call returns.
            let killed = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
            unreachable!("SIGKILL to this very process returned: {killed:?}");
        }
    }
}
