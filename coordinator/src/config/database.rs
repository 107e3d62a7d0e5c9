//! Which database, in one line of text. A password in it is never shown.

use std::{fmt, path::PathBuf, str::FromStr};

/// Where a server is, with whatever it takes to get in.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl(String);

impl ServerUrl {
    /// The whole of it, for the database's driver and nobody else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerUrl {
    /// Without the password, and without parameters, which may hold one, too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let Some((user, place)) = rest.rsplit_once('@') else {
            return write!(f, "{scheme}://{rest}");
        };
        match user.split_once(':') {
            Some((user, _)) => write!(f, "{scheme}://{user}:***@{place}"),
            None => write!(f, "{scheme}://{user}@{place}"),
        }
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where everything is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// One SQLite file; created when it is not there.
    Sqlite(PathBuf),
    /// A PostgreSQL database, shared with other nodes.
    Postgres(ServerUrl),
    /// A MySQL or MariaDB database, shared with other nodes.
    MySql(ServerUrl),
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

    /// `sqlite:PATH`, `PATH`, `postgres://…`, `mysql://…` or `memory:`; the error reads on after a key's name, and doesn't repeat the
    /// text, which may hold a password.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        let path = match scheme {
            "memory" if text == "memory:" => return Ok(Self::Memory),
            "sqlite" => text
                .strip_prefix("sqlite://")
                .or_else(|| text.strip_prefix("sqlite:"))
                .unwrap_or_default(),
            "postgres" | "postgresql" if text.contains("://") => {
                return Ok(Self::Postgres(ServerUrl(text.to_owned())));
            }
            "postgres" | "postgresql" => {
                return Err(
                    "is not a PostgreSQL URL: give postgres://USER:PASSWORD@HOST:PORT/DATABASE"
                        .into(),
                );
            }
            "mysql" | "mariadb" if text.contains("://") => {
                return Ok(Self::MySql(ServerUrl(text.to_owned())));
            }
            "mysql" | "mariadb" => {
                return Err(
                    "is not a MySQL URL: give mysql://USER:PASSWORD@HOST:PORT/DATABASE".into(),
                );
            }
            _ if text.contains("://") => {
                return Err(
                    "is not a database URL: give postgres://…, mysql://…, sqlite:PATH or memory:"
                        .into(),
                );
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
            Self::Postgres(url) | Self::MySql(url) => url.fmt(f),
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
    }

    #[test]
    fn a_password_is_never_shown() {
        for (url, shown) in [
            (
                "postgres://u:se@cr:et@h:5432/db",
                "postgres://u:***@h:5432/db",
            ),
            ("postgresql://u@h/db?password=secret", "postgresql://u@h/db"),
            ("postgres://h/db", "postgres://h/db"),
            ("mysql://u:se@h:3306/db", "mysql://u:***@h:3306/db"),
            ("mariadb://u:se@h/db", "mariadb://u:***@h/db"),
        ] {
            let database: Database = url.parse().unwrap();
            assert_eq!(database.to_string(), shown);
            assert!(!format!("{database:?}").contains("se"), "{database:?}");
            let (Database::Postgres(kept) | Database::MySql(kept)) = database else {
                panic!("a server")
            };
            assert_eq!(kept.expose(), url);
        }
        for wrong in ["postgres:secret", "mysql:secret"] {
            let refused = wrong.parse::<Database>();
            assert!(refused.is_err_and(|e| !e.contains("secret")), "{wrong}");
        }
    }
}
