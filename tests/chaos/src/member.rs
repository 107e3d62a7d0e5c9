//! One place on the stage: a process that lives several lives, the proxy in front of it, and the disk under it.

use std::{os::unix::process::ExitStatusExt, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, sleep},
};

use crate::{
    disk::Disk,
    process::{Process, Program, log_end},
    proxy::Proxy,
    record,
};

/// How long a process may need until it is ready, however often it has to try.
const READY_WITHIN: Duration = Duration::from_mins(2);

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Coordinator,
    Shop,
    Consumer,
    Participant,
}

/// A place on the stage.
pub(crate) struct Member {
    pub(crate) role: Role,
    pub(crate) name: String,
    pub(crate) proxy: Proxy,
    pub(crate) disk: Disk,
    life: Mutex<Life>,
}

/// The present life; whoever holds it decides about it.
pub(crate) struct Life {
    program: Program,
    process: Option<Process>,
    lives: u32,
}

impl Member {
    pub(crate) fn new(role: Role, proxy: Proxy, disk: Disk, program: Program) -> Self {
        Self {
            role,
            name: program.name.clone(),
            proxy,
            disk,
            life: Mutex::new(Life {
                program,
                process: None,
                lives: 0,
            }),
        }
    }

    pub(crate) async fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().await
    }

    /// Starts it, and starts it again until it is ready: something may be broken that keeps it from starting.
    pub(crate) async fn start(&self, life: &mut Life) -> Result<()> {
        let began = Instant::now();
        loop {
            let started = match life.process {
                Some(_) => self.ready(life).await,
                None => self.try_start(life).await,
            };
            match started {
                Ok(()) => return Ok(()),
                Err(error) if began.elapsed() > READY_WITHIN => return Err(error),
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// A coordinator says when it is; a service is when it listens.
    async fn ready(&self, life: &mut Life) -> Result<()> {
        if life.died()? {
            bail!("{} was killed while it started", self.name);
        }
        if self.role == Role::Coordinator
            && let Some(process) = &life.process
        {
            let ready = reqwest::get(format!("http://{}/readyz", process.address)).await;
            ready?.error_for_status()?;
        }
        Ok(())
    }

    async fn try_start(&self, life: &mut Life) -> Result<()> {
        let mut program = life.program.clone();
        if self.role != Role::Coordinator {
            let events = record::file(&program.directory, &self.name, life.lives);
            let events = events.display().to_string();
            program.arguments.extend(["--events".to_owned(), events]);
        }
        life.lives += 1;
        let process = Process::start(&program).await?;
        let address = process.address;
        life.process = Some(process);
        self.proxy.lead_to(address);
        self.ready(life).await
    }

    /// Where it listens itself, without the proxy.
    pub(crate) async fn url(&self) -> Result<String> {
        let life = self.life().await;
        let process = life.process.as_ref();
        let process = process.with_context(|| format!("{} does not run", self.name))?;
        Ok(format!("http://{}", process.address))
    }

    /// Copies what is worth to be looked at by people.
    pub(crate) fn keep_in(&self, directory: &Path) -> Result<()> {
        let directory = directory.join(format!("{}.kept", self.name));
        std::fs::create_dir_all(&directory)?;
        self.disk.keep_in(&directory)
    }
}

impl Life {
    /// Whether it ended by SIGKILL without anybody here having sent it; any other end of its own is an error.
    pub(crate) fn died(&mut self) -> Result<bool> {
        let Some(process) = &mut self.process else {
            return Ok(false);
        };
        let Some(status) = process.ended()? else {
            return Ok(false);
        };
        if status.signal() == Some(9) {
            self.process = None;
            return Ok(true);
        }
        bail!(
            "{} ended by itself ({status}); its log ends with:\n{}",
            self.program.name,
            log_end(&self.program)
        )
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// SIGTERM.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        // It may have died a moment ago.
        if self.died()? {
            return Ok(());
        }
        match self.process.take() {
            Some(process) => process.stop().await,
            None => Ok(()),
        }
    }

    /// Another signal, to a process that runs.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.died()? {
            return Ok(());
        }
        match &self.process {
            Some(process) => process.signal(signal),
            None => Ok(()),
        }
    }
}
