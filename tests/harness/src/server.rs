//! A server and where it came from.

use std::env;

use anyhow::Context;

use crate::{Kind, container::Container, own::OwnServer};

/// A running server, stopped when this is dropped or this process ends (unless it came from the environment).
pub struct Server {
    kind: Kind,
    url: String,
    /// For people.
    source: &'static str,
    _keeps: Keeps,
}

/// What is stopped with the server.
enum Keeps {
    Nothing,
    Container { _container: Box<Container> },
    Process { _process: Box<OwnServer> },
}

impl Server {
    /// From the environment, a Docker engine, or local binaries, in this order.
    pub fn start(kind: Kind) -> anyhow::Result<Self> {
        if let Some(url) = env::var(kind.variable()).ok().filter(|url| !url.is_empty()) {
            return Ok(Self {
                kind,
                url,
                source: "the environment",
                _keeps: Keeps::Nothing,
            });
        }
        if let Some(container) = Container::start(kind)? {
            return Ok(Self {
                kind,
                url: container.url().to_owned(),
                source: "a container",
                _keeps: Keeps::Container {
                    _container: Box::new(container),
                },
            });
        }
        let process = OwnServer::start(kind).with_context(|| {
            format!(
                "no {kind} for the tests: {} is not set, no Docker engine answers, and none could be started from local \
                 binaries (`make deps` installs them)",
                kind.variable()
            )
        })?;
        Ok(Self {
            kind,
            url: process.url().to_owned(),
            source: "local binaries",
            _keeps: Keeps::Process {
                _process: Box::new(process),
            },
        })
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Of its administrator, and a database that is always there.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it came from, for people.
    pub fn source(&self) -> &'static str {
        self.source
    }
}
