//! One life of one process: started, watched, sent signals. It never outlives who started it.

use std::{
    fs::OpenOptions,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// How long a start, or an orderly end, may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is started.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Where it runs, and writes its log.
    pub(crate) directory: PathBuf,
}

impl Program {
    /// Where its log is.
    pub(crate) fn log(&self) -> PathBuf {
        self.directory.join(format!("{}.log", self.name))
    }

    fn command(&self) -> Command {
        // The kernel then kills it when this process dies, in whatever way.
        const SETPRIV: &str = "/usr/bin/setpriv";
        let mut command = if Path::new(SETPRIV).exists() {
            let mut command = Command::new(SETPRIV);
            command.args(["--pdeathsig", "KILL", "--"]).arg(&self.path);
            command
        } else {
            Command::new(&self.path)
        };
        for (setting, _) in std::env::vars_os() {
            // What the shell sets for another coordinator is not for this one.
            if setting.to_string_lossy().starts_with("EARNEST_") {
                command.env_remove(setting);
            }
        }
        command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .current_dir(&self.directory)
            // Ctrl-C is for who started this, and ends it too.
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

/// A process that was started.
pub(crate) struct Process {
    child: Child,
    name: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts it and waits until it says where it listens.
    pub(crate) async fn start(program: &Program) -> Result<Self> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(program.log())?;
        let mut child = program
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} can't be started", program.path.display()))?;
        let address = timeout(PATIENCE, listening(&mut child))
            .await
            .context("it takes too long")
            .and_then(|said| said);
        let address = address.with_context(|| {
            format!(
                "{} did not start; its log ends with:\n{}",
                program.name,
                log_end(program)
            )
        })?;
        Ok(Self {
            child,
            name: program.name.clone(),
            address,
        })
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        let pid = id.and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("{} has ended", self.name))?;
        kill_process(pid, signal).with_context(|| format!("{signal:?} to {}", self.name))
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) async fn kill(mut self) -> Result<()> {
        self.child.kill().await?;
        Ok(())
    }

    /// SIGTERM, and waits until it has ended well.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let status = timeout(PATIENCE, self.child.wait())
            .await
            .with_context(|| format!("{} does not end after SIGTERM", self.name))??;
        if !status.success() {
            bail!("{} ended with {status} after SIGTERM", self.name);
        }
        Ok(())
    }
}

/// Reads where it listens from its output, and goes on reading, so that it never blocks on it.
async fn listening(child: &mut Child) -> Result<SocketAddr> {
    let output = child.stdout.take().context("it has no output")?;
    let mut lines = BufReader::new(output).lines();
    let line = lines.next_line().await?;
    let line = line.context("it ended before it listened")?;
    let address = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix("http://"));
    let address = address.with_context(|| format!("it did not say where it listens: {line}"))?;
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(address.parse()?)
}

/// The last lines of its log.
pub(crate) fn log_end(program: &Program) -> String {
    let text = std::fs::read(program.log()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
