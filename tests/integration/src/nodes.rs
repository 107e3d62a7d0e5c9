//! Several coordinators over one database, each of which may go and come back at its address.

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::{Process, eventually, free_port};

/// The coordinators.
pub struct Nodes {
    program: &'static str,
    database: String,
    ports: Vec<u16>,
    processes: Vec<Process>,
}

impl Nodes {
    /// Starts `count` of them.
    pub async fn start(program: &'static str, database: &str, count: usize) -> Result<Self> {
        let mut nodes = Self {
            program,
            database: database.to_owned(),
            ports: (0..count).map(|_| free_port()).collect(),
            processes: Vec::new(),
        };
        for port in &nodes.ports {
            nodes.processes.push(nodes.process(*port)?);
        }
        for at in 0..count {
            nodes.ready(at).await?;
        }
        Ok(nodes)
    }

    /// The addresses of all, as a service is told them.
    pub fn urls(&self) -> String {
        let urls: Vec<String> = (0..self.ports.len()).map(|at| self.url(at)).collect();
        urls.join(",")
    }

    /// The address of one.
    pub fn url(&self, at: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[at])
    }

    /// Its process.
    pub fn node(&mut self, at: usize) -> &mut Process {
        &mut self.processes[at]
    }

    /// Starts one again that has ended, and waits until it is ready.
    pub async fn again(&mut self, at: usize) -> Result<()> {
        self.processes[at] = self.process(self.ports[at])?;
        self.ready(at).await
    }

    fn process(&self, port: u16) -> Result<Process> {
        let mut command = Command::new(self.program);
        command
            .arg("serve")
            .env("EARNEST_LISTEN", format!("127.0.0.1:{port}"))
            .env("EARNEST_DATABASE", &self.database)
            .env("EARNEST_LEASE_MS", "1000")
            .env("EARNEST_CHECK_AFTER_MS", "500")
            .env("EARNEST_LOG_LEVEL", "warn");
        Process::start("a coordinator", command, None)
    }

    async fn ready(&self, at: usize) -> Result<()> {
        let url = format!("{}/readyz", self.url(at));
        eventually(&format!("{url} says yes"), async || {
            reqwest::get(&url).await?.error_for_status()?;
            Ok(())
        })
        .await
        .context("a coordinator does not become ready")
    }
}
