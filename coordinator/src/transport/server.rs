//! The listening port: HTTP/1.1 and HTTP/2 without TLS, bounded in every direction, drained in order.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use super::greeting::Greeting;
use crate::connection::Listener;

/// Bounds of the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerOptions {
    /// Connections at the same time; more wait in the system's queue.
    pub connections: usize,
    /// HTTP/2 requests of one connection at the same time.
    pub streams: u32,
    /// How long a peer may take to send a request's headers, or to answer a ping.
    pub patience: Duration,
    /// How long a drain waits for what is under way.
    pub grace: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            connections: 10_000,
            streams: 1_024,
            patience: Duration::from_secs(20),
            grace: Duration::from_secs(10),
        }
    }
}

/// Why the port can't be had; says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else has it.
    #[error(
        "{address} is in use: another process listens there (perhaps another `earnest serve`). Stop it, or give \
         another address with --listen or EARNEST_LISTEN"
    )]
    InUse {
        /// The address.
        address: SocketAddr,
        /// The system's own error.
        #[source]
        source: io::Error,
    },
    /// Not allowed, not one of this machine's, …
    #[error("can't listen on {address}: give another address with --listen or EARNEST_LISTEN")]
    Other {
        /// The address.
        address: SocketAddr,
        /// The system's own error.
        #[source]
        source: io::Error,
    },
}

/// A bound port.
#[derive(Debug)]
pub struct Server<L = TcpListener> {
    listener: L,
    address: SocketAddr,
    options: ServerOptions,
}

impl Server {
    /// Takes the port; nothing is served yet.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { address, source },
            _ => BindError::Other { address, source },
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self::over(listener, address))
    }
}

impl<L: Listener> Server<L> {
    /// Serves what `listener` takes; `address` is for people.
    pub fn over(listener: L, address: SocketAddr) -> Self {
        Self {
            listener,
            address,
            options: ServerOptions::default(),
        }
    }

    /// With other bounds.
    pub fn with_options(mut self, options: ServerOptions) -> Self {
        self.options = options;
        self
    }

    /// Where it listens; the port is known even if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `app` until `shutdown`, then takes no more connections or requests (HTTP/2 peers are told by
    /// GOAWAY), finishes what is under way, and returns; after the grace it cuts off what is left.
    pub async fn serve(self, app: Router, shutdown: CancellationToken) {
        let Self {
            mut listener,
            options,
            ..
        } = self;
        let room = Arc::new(Semaphore::new(options.connections));
        let builder = builder(&options);
        let service = TowerToHyperService::new(app);
        let graceful = GracefulShutdown::new();
        let cut = CancellationToken::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = accept(&mut listener, &room) => accepted,
            };
            let Some((stream, place)) = accepted else {
                continue;
            };
            let connection = builder
                .serve_connection(
                    TokioIo::new(Greeting::new(stream, options.patience)),
                    service.clone(),
                )
                .into_owned();
            let watched = graceful.watch(connection);
            let cut = cut.clone();
            tokio::spawn(async move {
                let _place = place;
                tokio::select! {
                    () = cut.cancelled() => {}
                    ended = watched => if let Err(error) = ended {
                        tracing::debug!(error, "connection ended early");
                    }
                }
            });
        }
        drop(listener);
        let open = graceful.count();
        if tokio::time::timeout(options.grace, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!(open, "drain: connections still open are cut off");
        }
        cut.cancel();
    }
}

/// The next connection and its place; `None`: look again.
async fn accept<L: Listener>(
    listener: &mut L,
    room: &Arc<Semaphore>,
) -> Option<(L::Connection, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok(stream) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "connection not accepted"
            );
            None
        }
    }
}

fn builder(options: &ServerOptions) -> auto::Builder<TokioExecutor> {
    const WINDOW: u32 = 1 << 20;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.patience)
        .max_buf_size(256 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW)
        .max_concurrent_streams(options.streams)
        .max_header_list_size(64 << 10)
        .keep_alive_interval(options.patience)
        .keep_alive_timeout(options.patience);
    builder
}
