//! The one writer of results.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
};

use serde_json::Value;

use super::error::CliError;

/// A meaning that a colour may show. No meaning is carried by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// Headings.
    Strong,
    /// What matters less.
    Faint,
    /// Done.
    Good,
    /// Under way.
    Waiting,
    /// Waits for a person.
    Bad,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Strong => "1",
            Self::Faint => "2",
            Self::Good => "32",
            Self::Waiting => "33",
            Self::Bad => "31",
        }
    }
}

/// Where results go.
pub(super) struct Output {
    to: Box<dyn Write + Send>,
    colour: bool,
    json: bool,
}

impl Output {
    /// Stdout; in colours only on a terminal, and not if `NO_COLOR` is set.
    pub(super) fn stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let stdout = io::stdout();
        Self {
            colour: wanted && stdout.is_terminal(),
            to: Box::new(stdout),
            json: false,
        }
    }

    /// From here on, JSON.
    pub(super) fn set_json(&mut self, json: bool) {
        self.json = json;
    }

    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// One line, or several.
    pub(super) fn line(&mut self, text: impl fmt::Display) -> Result<(), CliError> {
        writeln!(self.to, "{text}")
            .and_then(|()| self.to.flush())
            .map_err(CliError::Output)
    }

    /// Exactly this text.
    pub(super) fn text(&mut self, text: &str) -> Result<(), CliError> {
        self.to
            .write_all(text.as_bytes())
            .and_then(|()| self.to.flush())
            .map_err(CliError::Output)
    }

    /// A JSON document, indented.
    pub(super) fn json(&mut self, value: &Value) -> Result<(), CliError> {
        self.line(format_args!("{value:#}"))
    }

    /// `text` in the colour of `tone`, where colours are shown.
    pub(super) fn paint(&self, tone: Tone, text: impl fmt::Display) -> String {
        if self.colour {
            format!("\x1b[{}m{text}\x1b[0m", tone.code())
        } else {
            text.to_string()
        }
    }
}
