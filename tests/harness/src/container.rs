//! Servers in containers, where a Docker engine answers.

use std::{env, path::Path};

use anyhow::Context;
use testcontainers_modules::{
    mariadb::Mariadb,
    postgres::Postgres,
    testcontainers::{Container as Running, ImageExt, runners::SyncRunner},
};

use crate::Kind;

/// Removed when dropped; a process that is killed leaves it behind, as Docker keeps it.
pub(crate) struct Container {
    url: String,
    _running: Image,
}

enum Image {
    Postgres { _running: Running<Postgres> },
    Mariadb { _running: Running<Mariadb> },
}

impl Container {
    /// `Ok(None)`: no Docker engine is here.
    pub(crate) fn start(kind: Kind) -> anyhow::Result<Option<Self>> {
        if !an_engine_is_here() {
            return Ok(None);
        }
        let started = match kind {
            Kind::Postgres => Self::postgres(),
            Kind::Mariadb => Self::mariadb(),
        };
        started.map(Some).with_context(|| {
            format!("a Docker engine is here but {kind} can't be started in it; {} names another server", kind.variable())
        })
    }

    fn postgres() -> anyhow::Result<Self> {
        let running = Postgres::default().with_tag("15-alpine").start()?;
        let (host, port) = (running.get_host()?, running.get_host_port_ipv4(5432)?);
        Ok(Self {
            url: format!("postgres://postgres:postgres@{host}:{port}/postgres"),
            _running: Image::Postgres { _running: running },
        })
    }

    fn mariadb() -> anyhow::Result<Self> {
        let running = Mariadb::default().with_tag("10.11").start()?;
        let (host, port) = (running.get_host()?, running.get_host_port_ipv4(3306)?);
        Ok(Self {
            url: format!("mysql://root@{host}:{port}/mysql"),
            _running: Image::Mariadb { _running: running },
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

fn an_engine_is_here() -> bool {
    env::var_os("DOCKER_HOST").is_some() || Path::new("/var/run/docker.sock").exists()
}
