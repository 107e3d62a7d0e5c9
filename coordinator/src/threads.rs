//! Threads of the journal's and the driver's own, apart from those that serve callers.
//!
//! Under load hundreds of callers' calls are ready to run at any moment. On the same threads each batch and each
//! delivery would wait for its turn behind all of them, and the more is taken in, the less would be handed on
//! (measured with 512 callers on two cores: a third). So the operating system shares the cores out instead.

use std::io;

use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinError, spawn_blocking},
};

/// A runtime that may be dropped anywhere: what still runs on it is given up.
#[derive(Debug)]
pub struct InnerThreads(Option<Runtime>);

impl InnerThreads {
    /// Starts them.
    pub fn start() -> io::Result<Self> {
        // One is enough: the work is to wait for the database and for destinations.
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("journal+driver")
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// None: all runs on the caller's own runtime, as a simulation wants it.
    pub fn none() -> Self {
        Self(None)
    }

    /// Runs `start` so that the tasks it spawns, and those which they spawn, run on these threads.
    pub fn run<T>(&self, start: impl FnOnce() -> T) -> T {
        let _inside = self.0.as_ref().map(Runtime::enter);
        start()
    }

    /// Lets go of `value` where that may wait without holding anybody up.
    pub async fn let_go<T: Send + 'static>(&self, value: T) -> Result<(), JoinError> {
        if self.0.is_none() {
            drop(value);
            return Ok(());
        }
        spawn_blocking(move || drop(value)).await
    }
}

impl Drop for InnerThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
