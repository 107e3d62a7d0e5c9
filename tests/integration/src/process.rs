//! One child process, and how it ended.

use std::{
    net::TcpListener,
    os::unix::process::ExitStatusExt,
    process::Stdio,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

/// Longer than any of this takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A free port below those that outgoing connections take, so that it is still free when a killed process comes
/// back to it.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 100).unwrap_or(0) * 100;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 2_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A running child; killed when dropped.
pub struct Process {
    child: Child,
    what: String,
}

impl Process {
    /// Starts `command`, with a crash point when there is one.
    pub fn start(what: &str, mut command: Command, crash_at: Option<&str>) -> Result<Self> {
        command
            .env_remove("EARNEST_CRASH_AT")
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if let Some(point) = crash_at {
            command.env("EARNEST_CRASH_AT", point);
        }
        let child = command
            .spawn()
            .with_context(|| format!("start {what}: {command:?}"))?;
        Ok(Self {
            child,
            what: what.to_owned(),
        })
    }

    /// Waits until it has died of SIGKILL, as its crash point makes it; any other end proves nothing.
    pub async fn killed(&mut self) -> Result<()> {
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .with_context(|| format!("{} did not reach its crash point", self.what))??;
        match status.signal() {
            Some(9) => Ok(()),
            _ => bail!("{} ended with {status}, not by SIGKILL", self.what),
        }
    }

    /// Kills it from outside.
    pub async fn kill(&mut self) -> Result<()> {
        self.child
            .kill()
            .await
            .with_context(|| format!("kill {}", self.what))
    }

    /// Sends it a signal.
    pub async fn signal(&self, name: &str) -> Result<()> {
        let id = self
            .child
            .id()
            .with_context(|| format!("{} has ended", self.what))?;
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &id.to_string()])
            .status()
            .await?;
        if !sent.success() {
            bail!("SIG{name} to {}: {sent}", self.what);
        }
        Ok(())
    }

    /// Asks it to end, and waits until it has drained.
    pub async fn stop(&mut self) -> Result<()> {
        self.signal("TERM").await?;
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .with_context(|| format!("{} does not end", self.what))??;
        if !status.success() {
            bail!("{} ended with {status}", self.what);
        }
        Ok(())
    }

    /// Whether it runs no more.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}
