//! The coordinator under load: the binary `earnest` as a process of its own.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use earnest_proto::v1::{
    Destination, Endpoint, EndpointProtocol, PutSubscriptionRequest, RegisterServiceRequest,
    Subscription, admin_client::AdminClient, coordinator_client::CoordinatorClient,
    destination::To,
};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use tonic::transport::Channel;

use crate::database::Database;

/// The topic that the consumer is subscribed to.
pub const TOPIC: &str = "bench.message";
/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where things are on this machine.
#[derive(Clone, Debug)]
pub struct Site {
    /// The binary `earnest`.
    pub program: PathBuf,
    /// On the disk that counts.
    pub directory: PathBuf,
}

impl Site {
    /// The binary lies beside this program; so do the databases, unless somebody says otherwise.
    pub fn find(directory: Option<PathBuf>) -> anyhow::Result<Self> {
        let me = std::env::current_exe().context("this program does not know where it is")?;
        let beside = me.parent().context("this program is nowhere")?;
        let program = beside.join("earnest");
        ensure!(
            program.is_file(),
            "{} is not there: `make bench` builds it, or cargo build --release -p earnest-coordinator",
            program.display()
        );
        let directory = directory.unwrap_or_else(|| beside.join("bench-data"));
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("{} can't be created", directory.display()))?;
        Ok(Self { program, directory })
    }

    /// A directory that is removed with what is in it.
    pub fn fresh_directory(&self) -> anyhow::Result<TempDir> {
        let made = tempfile::Builder::new()
            .prefix("run-")
            .tempdir_in(&self.directory);
        made.with_context(|| format!("{} can't be written to", self.directory.display()))
    }
}

/// What the live connection to its database says of itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Durability {
    pub store: String,
    /// `journal_mode=wal synchronous=full`.
    #[serde(rename = "durability")]
    pub settings: String,
    /// Whether an acknowledged commit survives power loss.
    pub durable: bool,
}

/// A running one; killed when dropped.
pub struct Coordinator {
    pub url: String,
    pub durability: Durability,
    pub process: u32,
    child: Child,
    log: PathBuf,
    _directory: TempDir,
}

impl Coordinator {
    /// Starts one over `database` with these settings (`key=value`) and waits until it is ready.
    pub async fn start(
        site: &Site,
        database: &Database,
        settings: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> anyhow::Result<Self> {
        let directory = site.fresh_directory()?;
        let log = directory.path().join("log");
        let mut command = Command::new(&site.program);
        command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--database",
                database.name(),
                "--log-level",
                "warn",
            ])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log)?)
            .kill_on_drop(true);
        for setting in settings {
            command.args(["--set", setting.as_ref()]);
        }
        for (name, _) in std::env::vars_os() {
            // What the shell sets for another coordinator must not change what is measured.
            if name.to_string_lossy().starts_with("EARNEST_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("{} can't be started", site.program.display()))?;
        let process = child.id().context("it has ended already")?;
        let started = tokio::time::timeout(PATIENCE, ready(&mut child)).await;
        let (url, durability) = match started.context("not ready in time").and_then(|ready| ready) {
            Ok(ready) => ready,
            Err(error) => {
                return Err(error.context(format!(
                    "the coordinator did not start; it says: {}",
                    tail(&log)
                )));
            }
        };
        Ok(Self {
            url,
            durability,
            process,
            child,
            log,
            _directory: directory,
        })
    }

    /// What became of a run; where that failed because the coordinator has ended, says so and what it said.
    pub fn explain<T>(&mut self, run: anyhow::Result<T>) -> anyhow::Result<T> {
        run.map_err(|error| match self.child.try_wait() {
            Ok(Some(status)) => error.context(format!(
                "the coordinator ended during the run ({status}); it says: {}",
                tail(&self.log)
            )),
            _ => error,
        })
    }

    /// Says that a service is at `url`; the channel that said it may say more.
    pub async fn register(&self, service: &str, url: &str) -> anyhow::Result<Channel> {
        let channel = Channel::from_shared(self.url.clone())?.connect().await?;
        let endpoint = Endpoint {
            url: url.to_owned(),
            protocol: EndpointProtocol::Grpc.into(),
            ..Endpoint::default()
        };
        let registration = RegisterServiceRequest {
            name: service.to_owned(),
            endpoints: vec![endpoint],
            ..RegisterServiceRequest::default()
        };
        CoordinatorClient::new(channel.clone())
            .register_service(registration)
            .await?;
        Ok(channel)
    }

    /// Delivers what goes to [`TOPIC`] to the consumer at `url`.
    pub async fn subscribe(&self, url: &str) -> anyhow::Result<()> {
        const CONSUMER: &str = "bench-consumer";
        let channel = self.register(CONSUMER, url).await?;
        let subscription = Subscription {
            name: CONSUMER.to_owned(),
            topic: TOPIC.to_owned(),
            destination: Some(Destination {
                to: Some(To::Service(CONSUMER.to_owned())),
            }),
            ..Subscription::default()
        };
        let request = PutSubscriptionRequest {
            subscription: Some(subscription),
        };
        AdminClient::new(channel).put_subscription(request).await?;
        Ok(())
    }
}

/// Reads where it listens from its first line, and asks there.
async fn ready(child: &mut Child) -> anyhow::Result<(String, Durability)> {
    let stdout = child.stdout.take().context("it has no output")?;
    let mut lines = BufReader::new(stdout).lines();
    let Some(line) = lines.next_line().await? else {
        bail!("it ended before it was ready")
    };
    let mut words = line.split_whitespace();
    let url = words
        .find(|word| word.starts_with("http://"))
        .context("it did not say where it listens")?;
    let response = reqwest::get(format!("{url}/readyz"))
        .await?
        .error_for_status()?;
    let durability = response
        .json()
        .await
        .context("/readyz does not tell the durability")?;
    // Whatever else it says is read, so that it never blocks on its output.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((url.to_owned(), durability))
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" / ")
}
