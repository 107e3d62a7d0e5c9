//! A server from local binaries, which a test may kill and start again.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, bail};

use crate::{Kind, certificate::Certificate, keeper::Keeper, mariadb, postgres};

const READY_WITHIN: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A server of this process's own, gone with it in whatever way it ends.
pub struct OwnServer {
    keeper: Keeper,
    kind: Kind,
    url: String,
    port: u16,
    directory: PathBuf,
    issuer: Option<PathBuf>,
}

impl OwnServer {
    /// On a free loopback port, in a temporary directory. Blocks for some seconds.
    pub fn start(kind: Kind) -> anyhow::Result<Self> {
        Self::start_as(kind, false)
    }

    /// The same, and it encrypts for whoever asks for it; [`issuer`](Self::issuer) is whom to trust.
    pub fn start_encrypting(kind: Kind) -> anyhow::Result<Self> {
        Self::start_as(kind, true)
    }

    fn start_as(kind: Kind, encrypting: bool) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix(&format!("earnest-{kind}-"))
            .tempdir()
            .context("can't make a temporary directory")?;
        open_to_all(directory.path())?;
        let port = free_port()?;
        let (mut command, url) = match kind {
            Kind::Postgres => (
                postgres::prepare(directory.path(), port)?,
                postgres::url(port),
            ),
            Kind::Mariadb => (
                mariadb::prepare(directory.path(), port)?,
                mariadb::url(port),
            ),
        };
        let certificate = encrypting.then(|| Certificate::make(directory.path(), kind));
        let certificate = certificate.transpose()?;
        command.extend(certificate.iter().flat_map(|made| made.flags(kind)));
        // From here on the keeper removes it.
        let directory = directory.keep();
        let mut server = Self {
            keeper: Keeper::new(&directory, &command)?,
            kind,
            url,
            port,
            directory,
            issuer: certificate.map(|made| made.issuer),
        };
        server.start_again()?;
        Ok(server)
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Of its administrator, and a database that is always there.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate of who vouches for it, where it encrypts.
    pub fn issuer(&self) -> Option<&Path> {
        self.issuer.as_deref()
    }

    /// Where it listens, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// SIGKILL to it and all its children. What it committed is on disk.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.keeper.kill()
    }

    /// Starts it over the same data, killing it first if it runs, and waits until it takes connections.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        self.keeper.start()?;
        let looks = READY_WITHIN.as_millis() / LOOK_EVERY.as_millis();
        for _ in 0..looks {
            if self.answers() {
                return Ok(());
            }
            thread::sleep(LOOK_EVERY);
        }
        let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        bail!(
            "{} did not take connections within {READY_WITHIN:?}; its log ends with:\n{}",
            self.kind,
            lines[lines.len().saturating_sub(15)..].join("\n")
        )
    }

    /// A session, not only a connection: a server that recovers takes connections and refuses sessions.
    fn answers(&self) -> bool {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            return false;
        }
        let (kind, url) = (self.kind, self.url.clone());
        let session = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(crate::database::session(kind, &url))
        });
        matches!(session.join(), Ok(Ok(())))
    }
}

/// The server may run as another user.
fn open_to_all(directory: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o777))
        .context("can't open the temporary directory to the server")
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}
