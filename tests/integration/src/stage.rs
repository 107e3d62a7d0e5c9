//! A coordinator, a sender and a consumer, each with its own database in a directory of its own.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{Order, Process, free_port, process::PATIENCE};

/// Waits for a condition; `look` says what it saw while it does not hold.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let began = tokio::time::Instant::now();
    loop {
        match look().await {
            Ok(seen) => return Ok(seen),
            Err(not_yet) if began.elapsed() > PATIENCE => {
                return Err(not_yet.context(format!("waiting until {what}")));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// The programs under test.
#[derive(Debug, Clone, Copy)]
pub struct Programs {
    /// The coordinator's.
    pub coordinator: &'static str,
    /// The services'.
    pub service: &'static str,
}

/// A coordinator process that may be killed and started again over the same database.
pub struct Coordinator {
    program: &'static str,
    database: PathBuf,
    port: u16,
    process: Option<Process>,
}

impl Coordinator {
    /// Where it is called.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts it, or starts it again, and waits until it is ready.
    pub async fn start(&mut self, crash_at: Option<&str>) -> Result<()> {
        let mut command = Command::new(self.program);
        command
            .arg("serve")
            .env("EARNEST_LISTEN", format!("127.0.0.1:{}", self.port))
            .env(
                "EARNEST_DATABASE",
                format!("sqlite:{}", self.database.display()),
            )
            .env("EARNEST_CHECK_AFTER_MS", "300")
            .env("EARNEST_LOG_LEVEL", "warn")
            .current_dir(
                self.database
                    .parent()
                    .context("a database in a directory")?,
            );
        self.process = Some(Process::start("the coordinator", command, crash_at)?);
        let url = format!("{}/readyz", self.url());
        ready(&url, self.process.as_mut()).await
    }

    /// The running process.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process
            .as_mut()
            .context("the coordinator was not started")
    }

    /// A GET of its REST interface.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let response = reqwest::get(format!("{}{path}", self.url()))
            .await?
            .error_for_status()?;
        Ok(response.json().await?)
    }

    /// Every transaction that it knows.
    pub async fn transactions(&self) -> Result<Vec<Value>> {
        let page = self.get("/v1/transactions?page_size=1000").await?;
        Ok(page["transactions"]
            .as_array()
            .context("a list of transactions")?
            .clone())
    }
}

/// A service process that may be killed and started again over the same database.
pub struct Service {
    program: &'static str,
    name: &'static str,
    /// Its database.
    pub database: PathBuf,
    port: u16,
    coordinator: String,
    process: Option<Process>,
}

impl Service {
    /// Starts it, or starts it again, and waits until it is ready.
    pub async fn start(&mut self, crash_at: Option<&str>) -> Result<()> {
        let mut command = Command::new(self.program);
        command
            .arg(self.name)
            .arg(format!("127.0.0.1:{}", self.port))
            .arg(&self.database)
            .arg(&self.coordinator);
        self.process = Some(Process::start(self.name, command, crash_at)?);
        let url = format!("http://127.0.0.1:{}/ready", self.port);
        ready(&url, self.process.as_mut()).await
    }

    /// The running process.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the service was not started")
    }

    /// Places an order; `Ok(None)` when no answer came, since the process died of it.
    pub async fn place(&self, order: Order) -> Result<Option<bool>> {
        let url = format!("http://127.0.0.1:{}/orders", self.port);
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        Ok(client
            .post(url)
            .json(&order)
            .send()
            .await
            .ok()
            .map(|answer| answer.status().is_success()))
    }
}

async fn ready(url: &str, mut process: Option<&mut Process>) -> Result<()> {
    eventually(&format!("{url} answers"), async || {
        if let Some(process) = process.as_mut()
            && process.has_ended()?
        {
            // It may have been told to die before it was ready.
            return Ok(());
        }
        reqwest::get(url).await?.error_for_status()?;
        Ok(())
    })
    .await
}

/// All of it.
pub struct Stage {
    /// Who coordinates.
    pub coordinator: Coordinator,
    /// Takes orders.
    pub sender: Service,
    /// Is told of them.
    pub consumer: Service,
    directory: TempDir,
}

impl Stage {
    /// Sets the stage: nothing runs yet.
    pub fn set(programs: Programs) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let database = |name: &str| directory.path().join(format!("{name}.db"));
        let coordinator = Coordinator {
            program: programs.coordinator,
            database: database("earnest"),
            port: free_port(),
            process: None,
        };
        let service = |name: &'static str| Service {
            program: programs.service,
            name,
            database: database(name),
            port: free_port(),
            coordinator: coordinator.url(),
            process: None,
        };
        let (sender, consumer) = (service("sender"), service("consumer"));
        Ok(Self {
            coordinator,
            sender,
            consumer,
            directory,
        })
    }

    /// Where the databases are.
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Subscribes the consumer to orders.
    pub async fn subscribe(&self) -> Result<()> {
        let url = format!("{}/v1/subscriptions/books", self.coordinator.url());
        let body = serde_json::json!({
            "topic": "order.placed",
            "destination": { "service": "consumer" },
            "retry": { "initial_ms": 50, "multiplier_milli": 1500, "cap_ms": 500 },
        });
        let answer = reqwest::Client::new().put(url).json(&body).send().await?;
        if !answer.status().is_success() {
            bail!("subscribe: {}", answer.text().await?);
        }
        Ok(())
    }

    /// Waits until no transaction is unfinished.
    pub async fn settled(&self) -> Result<()> {
        eventually("every transaction is finished", async || {
            let all = self.coordinator.transactions().await?;
            let open: Vec<_> = all.iter().filter(|t| !is_final(t)).collect();
            if open.is_empty() {
                Ok(())
            } else {
                bail!("unfinished: {open:#?}")
            }
        })
        .await
    }
}

fn is_final(transaction: &Value) -> bool {
    matches!(
        transaction["phase"].as_str(),
        Some("CONFIRMED" | "CANCELLED")
    )
}
