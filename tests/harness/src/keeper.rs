//! Keeps one server process, in a small shell that outlives this process just long enough to end the server.
//!
//! A static is never dropped and a killed test drops nothing, but the shell's standard input closes in every case. On a line
//! `start` or `kill` it does so and answers with one line; at the end of its input it kills the server and removes the directory.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, bail};

/// `$1` is the directory, the rest is the server's command. With `set -m` it has a process group of its own, so that Ctrl-C is not
/// for it. PostgreSQL's sessions lead groups of their own, so the children are looked up, while their parent stands still and makes
/// no more of them.
const SHELL: &str = r#"
set -m
directory=$1; shift
trap '' INT TERM HUP
child=
end() {
  [ -n "$child" ] || return
  kill -STOP "$child"
  kill -KILL $(cat "/proc/$child/task/$child/children") "$child"
  wait "$child"
  child=
} 2>/dev/null
while read -r word; do
  case $word in
    start) end; "$@" </dev/null >>"$directory/log" 2>&1 & child=$!; echo started ;;
    kill) end; echo killed ;;
  esac
done
end
rm -rf "$directory"
"#;

/// The shell, and with it the server.
pub(crate) struct Keeper {
    shell: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Keeper {
    /// Takes the server's command and the directory to remove in the end; starts nothing yet.
    pub(crate) fn new(directory: &Path, server: &[String]) -> anyhow::Result<Self> {
        let mut shell = Command::new("bash")
            .args(["-c", SHELL, "keeper"])
            .arg(directory)
            .args(server)
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("can't start bash")?;
        let (orders, answers) = (shell.stdin.take(), shell.stdout.take());
        let answers = BufReader::new(answers.context("the shell has no output")?);
        Ok(Self {
            shell,
            orders,
            answers,
        })
    }

    /// Starts the server; a running one is killed first.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        self.order("start", "started")
    }

    /// SIGKILL to the server and all its children.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.order("kill", "killed")
    }

    fn order(&mut self, word: &str, expected: &str) -> anyhow::Result<()> {
        let orders = self.orders.as_mut().context("the shell is gone")?;
        writeln!(orders, "{word}").context("the shell that keeps the server is gone")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        if answer.trim() != expected {
            bail!("the shell that keeps the server answered {answer:?} to {word}");
        }
        Ok(())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ended = self.shell.wait();
    }
}
