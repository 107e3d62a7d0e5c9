//! MariaDB from local binaries. Durable as in production: tests of durability run on it.

use std::path::Path;

use anyhow::Context;

use crate::programs;

/// Makes a data directory in `directory` and returns the command that serves it on `port`.
pub(crate) fn prepare(directory: &Path, port: u16) -> anyhow::Result<Vec<String>> {
    const MISSING: &str = "MariaDB is not installed (Debian: mariadb-server)";
    let install = programs::in_path("mariadb-install-db").context(MISSING)?;
    let server = programs::in_path("mariadbd").context(MISSING)?;
    let data = format!("--datadir={}", directory.join("data").display());
    let is_root = rustix::process::geteuid().is_root();
    let user = is_root.then(|| "--user=root".to_owned());

    let mut command = vec![
        install.display().to_string(),
        "--no-defaults".into(),
        data.clone(),
    ];
    command.extend(
        [
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ]
        .map(str::to_owned),
    );
    command.extend(user.clone());
    programs::run(&command, directory)?;

    let mut serve = vec![server.display().to_string(), "--no-defaults".into(), data];
    serve.extend(user);
    serve.extend([
        "--bind-address=127.0.0.1".into(),
        format!("--port={port}"),
        format!("--socket={}", directory.join("socket").display()),
        "--skip-name-resolve".into(),
        "--max-connections=300".into(),
        "--innodb-flush-log-at-trx-commit=1".into(),
        "--innodb-buffer-pool-size=128M".into(),
    ]);
    Ok(serve)
}

/// Of its administrator.
pub(crate) fn url(port: u16) -> String {
    format!("mysql://root@127.0.0.1:{port}/mysql")
}
