//! Real servers for tests, so that a claim about a database is made on that database.
//!
//! Each is taken from the first place that has it: a URL in the environment (`EARNEST_TEST_POSTGRES_URL`,
//! `EARNEST_TEST_MYSQL_URL`), a Docker engine through testcontainers, a server started from local binaries on a free loopback
//! port. Where none can be had the test fails and says what to install; nothing here ever skips.
//!
//! A server is started once per process and shared; every test gets a database of its own. `earnest-harness postgres mariadb --
//! COMMAND…` starts them once for a whole command and hands their URLs to it.

mod backup;
mod certificate;
mod container;
mod database;
mod frozen;
mod keeper;
mod kind;
mod mariadb;
mod own;
mod postgres;
mod programs;
mod server;
mod shared;

pub use crate::{
    backup::Backup, database::Database, frozen::Frozen, kind::Kind, own::OwnServer, server::Server,
};

/// A new, empty database on the shared PostgreSQL.
pub async fn postgres() -> Database {
    Database::create(shared::server(Kind::Postgres)).await
}

/// A new, empty database on the shared MariaDB (or MySQL, where the environment names one).
pub async fn mariadb() -> Database {
    Database::create(shared::server(Kind::Mariadb)).await
}
