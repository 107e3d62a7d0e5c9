//! One life of one process: how it is watched, killed, and asked to stop.

use std::{process::ExitStatus, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal};
use tokio::{
    process::Child,
    time::{sleep, timeout},
};

use crate::{
    books::Books,
    member::Member,
    stage::{Stage, signal},
};

const STOPPED_WITHIN: Duration = Duration::from_secs(15);

/// A process that runs, or has just died.
pub(crate) struct Running {
    stage: Arc<Stage>,
    pub member: Member,
    child: Child,
}

impl Running {
    pub(crate) fn new(stage: Arc<Stage>, member: Member, child: Child) -> Self {
        Self {
            stage,
            member,
            child,
        }
    }

    /// Waits for its end.
    pub(crate) async fn died(&mut self) -> ExitStatus {
        loop {
            // Fails only when the process can't be waited for at all, and then nothing is known of it.
            if let Ok(status) = self.child.wait().await {
                // In the same step as the reaping, so that no signal goes to a number that somebody else has by now.
                self.stage.note(self.member, None);
                return status;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether it has ended.
    pub(crate) fn has_died(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok().flatten()?;
        self.stage.note(self.member, None);
        Some(status)
    }

    /// SIGKILL, while everything stands still; returns what the databases say at that moment.
    pub(crate) async fn kill(mut self) -> anyhow::Result<Books> {
        let stage = Arc::clone(&self.stage);
        stage
            .look(async || {
                if let Some(pid) = self.pid() {
                    signal(pid, Signal::KILL);
                }
                self.died().await;
            })
            .await
    }

    /// SIGTERM, and waits until it has drained.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.pid() {
            signal(pid, Signal::TERM);
        }
        let status = timeout(STOPPED_WITHIN, self.died())
            .await
            .with_context(|| {
                format!(
                    "the {} does not stop within {STOPPED_WITHIN:?} of a SIGTERM",
                    self.member
                )
            })?;
        if !status.success() {
            bail!(
                "the {} ended with {status} when it was told to stop; its log ends with:\n{}",
                self.member,
                self.stage.log_end(self.member)
            );
        }
        Ok(())
    }

    fn pid(&self) -> Option<Pid> {
        self.child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stage.note(self.member, None);
    }
}
