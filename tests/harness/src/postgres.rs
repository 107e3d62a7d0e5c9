//! PostgreSQL from local binaries. Durable as in production: tests of durability run on it.

use std::path::Path;

use anyhow::Context;

use crate::programs;

/// Makes a cluster in `directory` and returns the command that serves it on `port`.
pub(crate) fn prepare(directory: &Path, port: u16) -> anyhow::Result<Vec<String>> {
    const MISSING: &str = "PostgreSQL is not installed (Debian: postgresql)";
    let initdb = programs::postgres("initdb").context(MISSING)?;
    let server = programs::postgres("postgres").context(MISSING)?;
    let data = directory.join("data").display().to_string();
    let mut command = programs::as_user("postgres");
    command.extend([
        initdb.display().to_string(),
        "--pgdata".into(),
        data.clone(),
    ]);
    command.extend(
        [
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]
        .map(str::to_owned),
    );
    programs::run(&command, directory)?;

    let mut serve = programs::as_user("postgres");
    serve.extend([server.display().to_string(), "-D".into(), data]);
    for setting in [
        "listen_addresses=127.0.0.1",
        &format!("port={port}"),
        "unix_socket_directories=",
        "max_connections=300",
        "shared_buffers=128MB",
        "log_min_messages=warning",
    ] {
        serve.extend(["-c".into(), setting.to_owned()]);
    }
    Ok(serve)
}

/// Of its administrator.
pub(crate) fn url(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/postgres")
}
