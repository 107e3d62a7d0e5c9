//! Connections to participants and destinations, kept and bounded.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use reqwest::redirect;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::connection::Dialer;

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(2);
/// A peer that says nothing to a ping for this long is gone.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// HTTP/2 flow-control windows, so that a batch doesn't wait for them.
const WINDOW: u32 = 1 << 20;
/// Channels kept; the one that was not used for longest goes first.
const CHANNELS: usize = 1_024;
/// Idle HTTP/1 connections kept per host.
const IDLE: usize = 64;

/// Why an endpoint can't be called at all.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not a URL that a channel can be made of.
    #[error("`{url}` can't be called")]
    BadUrl {
        /// As registered.
        url: String,
        /// What is wrong with it.
        #[source]
        source: tonic::transport::Error,
    },
    /// The HTTP client can't be made.
    #[error("no HTTP client can be made")]
    NoHttp(#[source] reqwest::Error),
}

struct Kept {
    channel: Channel,
    used_at: Instant,
}

/// The connections. Cheap to clone; all clones share them.
#[derive(Clone)]
pub struct Clients {
    http: reqwest::Client,
    /// `None`: TCP.
    dialer: Option<Arc<dyn Dialer>>,
    channels: Arc<Mutex<HashMap<String, Kept>>>,
}

impl Clients {
    /// No connection yet.
    pub fn new() -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("earnest/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(IDLE)
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_nodelay(true)
            // A redirect is an answer of somebody else's.
            .redirect(redirect::Policy::none())
            // A proxy of the environment may answer in the participant's place.
            .no_proxy()
            .build()
            .map_err(ClientError::NoHttp)?;
        Ok(Self {
            http,
            dialer: None,
            channels: Arc::default(),
        })
    }

    /// With connections to gRPC endpoints made by `dialer`.
    pub fn over(dialer: Arc<dyn Dialer>) -> Result<Self, ClientError> {
        let dialer = Some(dialer);
        Ok(Self {
            dialer,
            ..Self::new()?
        })
    }

    /// For HTTP endpoints and webhooks.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// For a gRPC endpoint; connects when it is first used, and again when it has to.
    pub fn channel(&self, url: &str) -> Result<Channel, ClientError> {
        let now = Instant::now();
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = channels.get_mut(url) {
            kept.used_at = now;
            return Ok(kept.channel.clone());
        }
        let channel = self.connect(url)?;
        if channels.len() >= CHANNELS {
            let oldest = channels.iter().min_by_key(|(_, kept)| kept.used_at);
            if let Some(oldest) = oldest.map(|(url, _)| url.clone()) {
                channels.remove(&oldest);
            }
        }
        let kept = Kept {
            channel: channel.clone(),
            used_at: now,
        };
        channels.insert(url.to_owned(), kept);
        Ok(channel)
    }
}

impl Clients {
    fn connect(&self, url: &str) -> Result<Channel, ClientError> {
        let endpoint =
            Endpoint::from_shared(url.to_owned()).map_err(|source| ClientError::BadUrl {
                url: url.to_owned(),
                source,
            })?;
        let endpoint = endpoint
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(false)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW * 4);
        let Some(dialer) = self.dialer.clone() else {
            return Ok(endpoint.connect_lazy());
        };
        Ok(
            endpoint.connect_with_connector_lazy(service_fn(move |uri: Uri| {
                let dialer = Arc::clone(&dialer);
                async move {
                    let (host, port) = (uri.host().unwrap_or_default(), uri.port_u16());
                    let stream = dialer.dial(host, port.unwrap_or(80)).await;
                    stream.map(TokioIo::new)
                }
            })),
        )
    }
}
