//! The servers there are.

use std::{fmt, str::FromStr};

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL 15 or newer.
    Postgres,
    /// MariaDB 10.11 or newer, standing in for MySQL 8: only what both understand is used.
    Mariadb,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Postgres, Self::Mariadb];

    /// The variable of the environment that names a server to use instead of starting one.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "EARNEST_TEST_POSTGRES_URL",
            Self::Mariadb => "EARNEST_TEST_MYSQL_URL",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Postgres => "postgres",
            Self::Mariadb => "mariadb",
        })
    }
}

impl FromStr for Kind {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|kind| kind.to_string() == text);
        known
            .ok_or_else(|| anyhow::anyhow!("no server is called {text:?}: use postgres or mariadb"))
    }
}
