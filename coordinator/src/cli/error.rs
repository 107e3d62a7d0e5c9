//! Errors of the command line, for people and for scripts.

use std::{error::Error, fmt, io};

use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{config::ConfigError, node::NodeError};

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(super) enum CliError {
    /// Arguments that clap can't check.
    Usage(String),
    /// Mistakes in the configuration.
    Config(ConfigError),
    /// The node did not start.
    Node(NodeError, Option<String>),
    /// The coordinator answered no.
    Refused(Refusal),
    /// There was no answer.
    Unreachable {
        /// Who was asked.
        server: String,
        /// What happened.
        problem: String,
    },
    /// Something on this machine failed.
    Failed(String),
    /// Stdout can't be written.
    Output(io::Error),
}

/// What the coordinator said.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Stable, for scripts.
    pub(super) code: String,
    /// What is wrong.
    pub(super) message: String,
    /// What to do.
    pub(super) hint: String,
    /// Whether the same command may work later.
    pub(super) retryable: bool,
}

impl CliError {
    /// What a call of `server` ended with.
    pub(super) fn of_call(server: &str, status: &Status) -> Self {
        let details = status.get_error_details();
        if let Some(info) = details.error_info().filter(|info| info.domain == "earnest") {
            let metadata = |key: &str| info.metadata.get(key).cloned().unwrap_or_default();
            return Self::Refused(Refusal {
                code: info.reason.clone(),
                message: status.message().to_owned(),
                hint: metadata("hint"),
                retryable: metadata("retryable") == "true",
            });
        }
        match status.code() {
            Code::Unavailable | Code::Unknown | Code::Cancelled => Self::Unreachable {
                server: server.into(),
                problem: innermost(status),
            },
            Code::DeadlineExceeded => Self::Unreachable {
                server: server.into(),
                problem: "it did not answer in time; --timeout gives it more".into(),
            },
            Code::Unimplemented => Self::Refused(Refusal {
                code: "UNIMPLEMENTED".into(),
                message: format!("what answers at {server} does not know this call"),
                hint: "is it an Earnest coordinator, and not older than this program?".into(),
                retryable: false,
            }),
            code => Self::Refused(Refusal {
                code: format!("{code:?}").to_uppercase(),
                message: status.message().to_owned(),
                hint: String::new(),
                retryable: false,
            }),
        }
    }

    /// The process's exit code.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Config(_) => 2,
            Self::Unreachable { .. } => 3,
            Self::Node(..) | Self::Refused(_) | Self::Failed(_) | Self::Output(_) => 1,
        }
    }

    /// Writes it to stderr: one message, and what to do.
    pub(super) fn report(&self, as_json: bool, colour: bool) {
        if as_json {
            eprintln!("{}", self.json());
            return;
        }
        let plain = !colour || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let error = if plain {
            "error:"
        } else {
            "\x1b[1;31merror:\x1b[0m"
        };
        eprintln!("{error} {self}");
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Self::Refused(of) => json!({
                "code": of.code, "message": of.message, "hint": of.hint, "retryable": of.retryable,
            }),
            Self::Unreachable { .. } => json!({
                "code": "UNREACHABLE", "message": self.to_string(), "hint": "", "retryable": true,
            }),
            other => {
                json!({ "code": "FAILED", "message": other.to_string(), "hint": "", "retryable": false })
            }
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Failed(message) => f.write_str(message),
            Self::Config(error) => error.fmt(f),
            Self::Node(error, more) => {
                write!(f, "{error}")?;
                if let Some(cause) = error.source() {
                    write!(f, " ({})", innermost(cause))?;
                }
                more.as_ref().map_or(Ok(()), |more| write!(f, "\n{more}"))
            }
            Self::Refused(of) => {
                write!(f, "{}", of.message)?;
                if !of.hint.is_empty() {
                    write!(f, "\nwhat to do: {}", of.hint)?;
                }
                write!(f, "\ncode: {}", of.code)
            }
            Self::Unreachable { server, problem } => write!(
                f,
                "the coordinator at {server} can't be reached: {problem}\nwhat to do: start one with `earnest \
                 serve`, or name the right one with --server or EARNEST_SERVER"
            ),
            Self::Output(error) => write!(f, "the result can't be written: {error}"),
        }
    }
}

/// The last of the causes: the one that says what happened.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}
