//! Certificates for a server that encrypts.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{Kind, programs};

/// The files, in the server's directory: its key, and its certificate for 127.0.0.1, which is its own issuer.
pub(crate) struct Certificate {
    key: PathBuf,
    pub(crate) issuer: PathBuf,
}

impl Certificate {
    pub(crate) fn make(directory: &Path, kind: Kind) -> anyhow::Result<Self> {
        let openssl = programs::in_path("openssl").context("openssl is not installed")?;
        let (key, issuer) = (directory.join("key.pem"), directory.join("issuer.pem"));
        // PostgreSQL takes a key only from a file of its own user that nobody else can read.
        let mut command = match kind {
            Kind::Postgres => programs::as_user("postgres"),
            Kind::Mariadb => Vec::new(),
        };
        command.push(openssl.display().to_string());
        command.extend(
            "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 \
             -addext basicConstraints=critical,CA:FALSE"
                .split(' ')
                .map(str::to_owned),
        );
        command.extend(["-keyout".into(), key.display().to_string()]);
        command.extend(["-out".into(), issuer.display().to_string()]);
        programs::run(&command, directory)?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))
            .context("can't hide the key")?;
        Ok(Self { key, issuer })
    }

    /// What makes the server use it.
    pub(crate) fn flags(&self, kind: Kind) -> Vec<String> {
        let (key, certificate) = (self.key.display(), self.issuer.display());
        match kind {
            Kind::Postgres => vec![
                "-c".into(),
                "ssl=on".into(),
                "-c".into(),
                format!("ssl_key_file={key}"),
                "-c".into(),
                format!("ssl_cert_file={certificate}"),
            ],
            Kind::Mariadb => vec![
                format!("--ssl-key={key}"),
                format!("--ssl-cert={certificate}"),
                format!("--ssl-ca={certificate}"),
            ],
        }
    }
}
