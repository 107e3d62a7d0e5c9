//! Where the coordinator under test keeps its data: a fresh database for each measurement.
//!
//! A server is one of the harness's: from the environment, a container, or local binaries, on loopback and durable. What it
//! says of its durability is read from the live connection, and a run over one that isn't durable fails.

use std::{fs, path::Path};

use anyhow::{Context, ensure};
use clap::ValueEnum;

/// The kinds of database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    #[default]
    Sqlite,
    Postgres,
    /// MySQL, or MariaDB in its place.
    Mysql,
}

/// One database, gone when [`Database::remove`] says so or its server goes.
#[derive(Clone, Debug)]
pub enum Database {
    /// A file in a directory that the measurement makes.
    File,
    /// One on a server.
    Server(earnest_harness::Database),
    /// One that somebody named, and keeps.
    Named(String),
}

impl Database {
    /// A new and empty one.
    pub async fn fresh(kind: Kind) -> Self {
        match kind {
            Kind::Sqlite => Self::File,
            Kind::Postgres => Self::Server(earnest_harness::postgres().await),
            Kind::Mysql => Self::Server(earnest_harness::mariadb().await),
        }
    }

    /// As `--database` takes it.
    pub fn name(&self) -> &str {
        match self {
            Self::File => "earnest.db",
            Self::Server(database) => database.url(),
            Self::Named(url) => url,
        }
    }

    /// Its server must not go on tidying up after it while the next one is measured.
    pub async fn remove(self) -> anyhow::Result<()> {
        match self {
            Self::File | Self::Named(_) => Ok(()),
            Self::Server(database) => database.remove().await,
        }
    }
}

/// Fails where a server of the harness's would keep its data in memory, which is durable in no way.
pub fn ensure_disk(kind: Kind) -> anyhow::Result<()> {
    if kind == Kind::Sqlite {
        return Ok(());
    }
    let directory = std::env::temp_dir();
    let mounts = fs::read_to_string("/proc/self/mounts").context("no list of file systems")?;
    ensure!(
        !is_in_memory(&mounts, &directory),
        "{} is kept in memory: let TMPDIR name a directory on a disk",
        directory.display()
    );
    Ok(())
}

fn is_in_memory(mounts: &str, directory: &Path) -> bool {
    let mounted = mounts.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        Some((Path::new(words.next()?), words.next()?))
    });
    let holds = mounted.filter(|(at, _)| directory.starts_with(at));
    let nearest = holds.max_by_key(|(at, _)| at.components().count());
    nearest.is_some_and(|(_, kind)| matches!(kind, "tmpfs" | "ramfs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_from_a_disk() {
        let mounts =
            "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/vdb /tmp/disk xfs rw 0 0\n";
        let at = |path| is_in_memory(mounts, Path::new(path));
        assert_eq!(
            [at("/var"), at("/tmp/x"), at("/tmp/disk/y"), at("/tmpfs")],
            [false, true, false, false]
        );
    }
}
