//! A participant's own database, for `earnest sdk migrate`: runs a script there, and knows nothing of what it says. The
//! coordinator must never read or write a participant's database in any other way. No text here ever shows a password.

use std::time::Duration;

mod mysql;
mod postgres;
mod sqlite;

pub use self::{mysql::migrate_mysql, postgres::migrate_postgres, sqlite::migrate_sqlite};

/// How long a server may take to let us in.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a script did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrated {
    /// The schema or some row changed.
    Changed,
    /// Everything was there before.
    Unchanged,
}

impl Migrated {
    fn of(changed: bool) -> Self {
        if changed {
            Self::Changed
        } else {
            Self::Unchanged
        }
    }
}
