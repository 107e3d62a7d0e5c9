//! Where connections come from and go to: TCP, or whatever a simulation puts in its place. Nothing here knows what is
//! spoken over them.

use std::{io, time::Duration};

use async_trait::async_trait;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

/// A stream of bytes to and from another process.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// Takes connections.
#[async_trait]
pub trait Listener: Send + 'static {
    /// What it takes.
    type Connection: Stream;

    /// The next one; an error passes.
    async fn accept(&mut self) -> io::Result<Self::Connection>;
}

/// Makes connections.
#[async_trait]
pub trait Dialer: Send + Sync {
    /// Connects to `host` and `port`; bounded in time by the caller.
    async fn dial(&self, host: &str, port: u16) -> io::Result<Box<dyn Stream>>;
}

#[async_trait]
impl Listener for TcpListener {
    type Connection = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let accepted = TcpListener::accept(self).await;
        match &accepted {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "TCP_NODELAY not set"
                    );
                }
            }
            // Out of file handles, mostly: it passes when connections end, and a tight loop wouldn't help.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
        Ok(accepted?.0)
    }
}
