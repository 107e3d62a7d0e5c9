//! Mistakes in the configuration, told all at once.

use std::fmt;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key's name.
    pub key: String,
    /// Where it was set: `earnest.toml, line 3`, `EARNEST_LISTEN`, `--listen`.
    pub origin: String,
    /// What is wrong; reads on after the key's name.
    pub problem: String,
    /// How it would be right.
    pub example: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}): {}\n     for example: {}",
            self.key, self.origin, self.problem, self.example
        )
    }
}

/// Every mistake of a configuration; nothing was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one, in the order of the sources.
    pub mistakes: Vec<Mistake>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mistakes.len() {
            1 => f.write_str("1 mistake in the configuration; nothing was started:")?,
            count => write!(
                f,
                "{count} mistakes in the configuration; nothing was started:"
            )?,
        }
        for (n, mistake) in self.mistakes.iter().enumerate() {
            write!(f, "\n  {}. {mistake}", n + 1)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
