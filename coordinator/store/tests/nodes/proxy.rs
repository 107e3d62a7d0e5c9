//! A wire between a node and its database that can be cut at a chosen moment.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const WHOLE: u8 = 0;
const CUT_BEFORE_COMMIT: u8 = 1;
const CUT_AFTER_COMMIT: u8 = 2;

/// Listens on a free port and passes everything on.
pub(crate) struct Proxy {
    port: u16,
    mode: Arc<AtomicU8>,
}

impl Proxy {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let mode = Arc::new(AtomicU8::new(WHOLE));
        let of_connections = Arc::clone(&mode);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server, Arc::clone(&of_connections)));
            }
        });
        Self { port, mode }
    }

    /// `url` with this proxy in the place of its server.
    pub(crate) fn instead_of(&self, url: &str, server: SocketAddr) -> String {
        url.replace(
            &format!("127.0.0.1:{}", server.port()),
            &format!("127.0.0.1:{}", self.port),
        )
    }

    /// The next COMMIT never reaches the database.
    pub(crate) fn cut_before_commit(&self) {
        self.mode.store(CUT_BEFORE_COMMIT, Ordering::SeqCst);
    }

    /// The next COMMIT reaches the database, and its answer nobody.
    pub(crate) fn cut_after_commit(&self) {
        self.mode.store(CUT_AFTER_COMMIT, Ordering::SeqCst);
    }
}

async fn carry(mut client: TcpStream, server: SocketAddr, mode: Arc<AtomicU8>) {
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(count @ 1..) = read else { return };
                // The whole statement, and not READ COMMITTED.
                let is_commit = [&b"COMMIT"[..], b"COMMIT\0"].iter().any(|end| up[..count].ends_with(end));
                let cut = if is_commit { mode.swap(WHOLE, Ordering::SeqCst) } else { WHOLE };
                if cut == CUT_BEFORE_COMMIT || server.write_all(&up[..count]).await.is_err() {
                    return;
                }
                if cut == CUT_AFTER_COMMIT {
                    answer_to_commit(&mut server, &up[..count], &mut down).await;
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(count @ 1..) = read else { return };
                if client.write_all(&down[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Waits for the answer to `commit`: when it has come the database is done with it. It goes no further. (PostgreSQL may still be sending
/// what answers an earlier statement; its answer to COMMIT names it. MySQL answers one statement at a time.)
async fn answer_to_commit(server: &mut TcpStream, commit: &[u8], down: &mut [u8]) {
    const POSTGRES: &[u8] = b"COMMIT\0";
    while let Ok(count @ 1..) = server.read(down).await {
        let names_it = down[..count]
            .windows(POSTGRES.len())
            .any(|word| word == POSTGRES);
        if names_it || !commit.ends_with(POSTGRES) {
            return;
        }
    }
}
