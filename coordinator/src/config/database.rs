//! Which database, in one line of text.

use std::{fmt, path::PathBuf, str::FromStr};

/// Where everything is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// One SQLite file; created when it is not there.
    Sqlite(PathBuf),
    /// In memory: gone with the process. For trying things out.
    Memory,
}

impl Default for Database {
    fn default() -> Self {
        Self::Sqlite("earnest.db".into())
    }
}

impl FromStr for Database {
    type Err = String;

    /// `sqlite:PATH`, `PATH` or `memory:`; the error reads on after a key's name.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        let path = match scheme {
            "memory" if text == "memory:" => return Ok(Self::Memory),
            "sqlite" => text
                .strip_prefix("sqlite://")
                .or_else(|| text.strip_prefix("sqlite:"))
                .unwrap_or_default(),
            "postgres" | "postgresql" | "mysql" | "mariadb" => {
                return Err(format!(
                    "{scheme} is not supported yet: give a SQLite file, or memory: to try things out"
                ));
            }
            _ if text.contains("://") => {
                return Err("is not a database URL: give sqlite:PATH or memory:".into());
            }
            _ => text,
        };
        match path {
            "" => Err("names no file: give sqlite:PATH, or memory: to keep nothing".into()),
            "memory:" | ":memory:" => {
                Err("SQLite in memory is not offered: write memory: instead".into())
            }
            path if path.contains('\0') => Err("has a zero byte in its path".into()),
            path => Ok(Self::Sqlite(path.into())),
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Memory => f.write_str("memory:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_files_and_memory() {
        let file = |path: &str| Ok(Database::Sqlite(path.into()));
        assert_eq!("sqlite:earnest.db".parse(), file("earnest.db"));
        assert_eq!("sqlite:///var/lib/e.db".parse(), file("/var/lib/e.db"));
        assert_eq!("/var/lib/e.db".parse(), file("/var/lib/e.db"));
        assert_eq!("memory:".parse(), Ok(Database::Memory));
        for wrong in ["", "sqlite:", "sqlite::memory:", ":memory:", "redis://x"] {
            assert!(wrong.parse::<Database>().is_err(), "{wrong}");
        }
        let not_yet = "postgres://u:secret@h/db".parse::<Database>().unwrap_err();
        assert!(not_yet.contains("not supported yet") && !not_yet.contains("secret"));
    }
}
