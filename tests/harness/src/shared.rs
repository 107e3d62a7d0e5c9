//! One server of each kind per process.

use std::sync::OnceLock;

use crate::{Kind, Server};

static POSTGRES: OnceLock<Server> = OnceLock::new();
static MARIADB: OnceLock<Server> = OnceLock::new();

/// Started by whoever asks first. Panics where none can be had: a test must not pass by skipping.
pub(crate) fn server(kind: Kind) -> &'static Server {
    let cell = match kind {
        Kind::Postgres => &POSTGRES,
        Kind::Mariadb => &MARIADB,
    };
    // On a thread of its own, since starting one blocks and may run a runtime of its own.
    let start = || std::thread::spawn(move || Server::start(kind)).join();
    cell.get_or_init(|| {
        let started = start().expect("starting a server does not panic");
        started.unwrap_or_else(|error| panic!("{error:#}"))
    })
}
