//! gRPC by itself: calls with 1 KiB to another process that stores nothing. Two of them, one after the other, are what
//! a transaction costs at least. The same process is what branches are called at: it says yes to all.

use std::{io::Write, process::Stdio};

use anyhow::Context;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::consumer::Consumer;

/// The other process.
pub struct Echo {
    pub url: String,
    _process: Child,
}

impl Echo {
    pub async fn start() -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        let mut process = Command::new(program)
            .arg("echo")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the echo server can't be started")?;
        let stdout = process.stdout.take().context("it has no output")?;
        let line = BufReader::new(stdout).lines().next_line().await?;
        Ok(Self {
            url: line.context("the echo server did not say where it listens")?,
            _process: process,
        })
    }
}

/// The other process's own main: says where it listens, and serves until its input ends, however its parent does.
pub async fn serve() -> anyhow::Result<()> {
    let url = Consumer::default().serve()?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{url}")?;
    stdout.flush()?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while lines.next_line().await?.is_some() {}
    Ok(())
}
