//! Runs the binary, and a node for it to talk to.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use earnest_coordinator::{
    clock::Environment,
    config::Database,
    node::{Node, NodeConfig},
};
use serde_json::Value;

/// Longer than anything takes; only a hang meets it.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The binary, away from the configuration of whoever runs the tests.
pub(crate) fn earnest(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_earnest"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EARNEST_") {
            command.env_remove(name);
        }
    }
    command.env("USER", "tester").current_dir(directory);
    command
}

/// What a command ended with.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// The same, if it did what it was asked for.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// The same, if it ended with `code`.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        assert!(!self.err.contains("panicked"), "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

pub(crate) fn run(command: &mut Command) -> Done {
    let output = command.output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Done {
        code: output.status.code().unwrap_or(-1),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// A command in an empty directory.
pub(crate) fn alone(arguments: &[&str]) -> Done {
    let directory = tempfile::tempdir().unwrap();
    run(earnest(directory.path()).args(arguments))
}

/// A node in this process, kept in memory, and commands that talk to it.
pub(crate) struct World {
    pub(crate) node: Node,
    directory: tempfile::TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        let config = NodeConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            database: Database::Memory,
            ..NodeConfig::default()
        };
        let node = Node::start(config, Environment::system()).await.unwrap();
        Self {
            node,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.node.local_addr())
    }

    /// Runs a command against the node.
    pub(crate) async fn earnest(&self, arguments: &[&str]) -> Done {
        let mut command = earnest(self.directory.path());
        command.args(arguments).env("EARNEST_SERVER", self.url());
        tokio::task::spawn_blocking(move || run(&mut command))
            .await
            .unwrap()
    }

    /// What REST answers.
    pub(crate) async fn rest(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.url());
        reqwest::get(url).await.unwrap().json().await.unwrap()
    }

    /// A call of REST with a body.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.call(reqwest::Method::POST, path, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Value {
        self.call(reqwest::Method::PUT, path, body).await
    }

    async fn call(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.url());
        let answer = reqwest::Client::new()
            .request(method, url)
            .json(&body)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{status}: {body}");
        body
    }
}

/// `earnest serve` as a process of its own; killed when it is let go of.
pub(crate) struct Served {
    child: Child,
    /// `http://127.0.0.1:1234`
    pub(crate) url: String,
    /// The line that it began with.
    pub(crate) ready: String,
    log: mpsc::Receiver<String>,
}

impl Served {
    /// Starts it on a free port, and waits until it serves.
    pub(crate) fn start(directory: &Path, arguments: &[&str]) -> Self {
        let mut child = earnest(directory)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = lines(child.stderr.take().unwrap());
        let out = lines(child.stdout.take().unwrap());
        let Ok(ready) = out.recv_timeout(PATIENCE) else {
            panic!("it did not start: {:?}", log.iter().collect::<Vec<_>>());
        };
        let url = ready
            .split_whitespace()
            .find(|word| word.starts_with("http://"));
        let url = url.expect("an address").to_owned();
        Self {
            child,
            url,
            ready,
            log,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The address without the scheme.
    pub(crate) fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits until the log says `text`.
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        loop {
            let line = self.log.recv_timeout(PATIENCE).expect("the log goes on");
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        // The log ends with the process; a full pipe must not hold it up.
        while self.log.recv_timeout(PATIENCE).is_ok() {}
        self.child.wait().unwrap()
    }

    /// Drains it and waits.
    pub(crate) fn stop(self) {
        self.signal("TERM");
        assert!(self.wait().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
