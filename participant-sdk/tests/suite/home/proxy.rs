//! A wire between a service and its database server, which a test can cut at a COMMIT or altogether.
//!
//! A connection is told its fate in band: a statement that carries [`Fate`]'s mark decides about the next COMMIT of that
//! connection, and of no other.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What becomes of a marked connection at its next COMMIT.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// Cut before the server gets it.
    Before,
    /// Cut when the server has answered it, and before the service gets the answer.
    After,
    /// Cut towards the service; the server gets it when the test lets it land.
    Late,
}

impl Fate {
    const ALL: [Self; 3] = [Self::Before, Self::After, Self::Late];

    /// A statement that changes nothing, and tells the wire.
    pub(crate) fn mark(self) -> &'static str {
        match self {
            Self::Before => "SELECT 'cut before COMMIT'",
            Self::After => "SELECT 'cut after COMMIT'",
            Self::Late => "SELECT 'hold the COMMIT'",
        }
    }

    fn marked(bytes: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|fate| contains(bytes, fate.mark().as_bytes()))
    }
}

/// Ends with its test.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    wire: Arc<Wire>,
}

struct Wire {
    server: (String, u16),
    /// A COMMIT as it looks on this server's wire.
    commit: &'static [u8],
    away: watch::Sender<bool>,
    lands: watch::Sender<bool>,
}

impl Proxy {
    pub(crate) async fn start(server: (&str, u16), commit: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let wire = Arc::new(Wire {
            server: (server.0.to_owned(), server.1),
            commit,
            away: watch::Sender::new(false),
            lands: watch::Sender::new(false),
        });
        let accepting = Arc::clone(&wire);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&accepting).relay(client));
            }
        });
        Self { address, wire }
    }

    /// From now on nobody gets through.
    pub(crate) fn go_away(&self) {
        self.wire.away.send_replace(true);
    }

    /// Lets the COMMITs that were held back get to the server.
    pub(crate) fn let_land(&self) {
        self.wire.lands.send_replace(true);
    }
}

impl Wire {
    async fn relay(self: Arc<Self>, client: TcpStream) {
        let mut away = self.away.subscribe();
        tokio::select! {
            // However it ends, both sides are closed.
            _ = self.carry(client) => {}
            _ = away.wait_for(|away| *away) => {}
        }
    }

    async fn carry(&self, mut client: TcpStream) -> std::io::Result<()> {
        let (host, port) = &self.server;
        let mut server = TcpStream::connect((host.as_str(), *port)).await?;
        let (mut up, mut down) = ([0; 16 * 1024], [0; 16 * 1024]);
        let mut fate = None;
        loop {
            tokio::select! {
                read = client.read(&mut up) => {
                    let bytes = &up[..some(read)?];
                    if contains(bytes, self.commit)
                        && let Some(fate) = fate
                    {
                        return self.end(fate, bytes, client, server).await;
                    }
                    fate = fate.or(Fate::marked(bytes));
                    server.write_all(bytes).await?;
                }
                read = server.read(&mut down) => client.write_all(&down[..some(read)?]).await?,
            }
        }
    }

    async fn end(
        &self,
        fate: Fate,
        commit: &[u8],
        client: TcpStream,
        mut server: TcpStream,
    ) -> std::io::Result<()> {
        match fate {
            Fate::Before => return Ok(()),
            Fate::After => {}
            Fate::Late => {
                drop(client);
                let mut lands = self.lands.subscribe();
                let _landed = lands.wait_for(|lands| *lands).await;
            }
        }
        server.write_all(commit).await?;
        // Answered, so that it took effect.
        some(server.read(&mut [0; 1024]).await)?;
        Ok(())
    }
}

/// The bytes read; the end is an error here.
fn some(read: std::io::Result<usize>) -> std::io::Result<usize> {
    match read? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        bytes => Ok(bytes),
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
