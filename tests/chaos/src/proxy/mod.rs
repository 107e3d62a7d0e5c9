//! A TCP proxy that stands in front of a process and makes its network bad on demand.
//!
//! It has the address that others know, so that the process behind it may come back on any port. It never changes a byte:
//! it delays, keeps back, or ends connections.

mod link;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use anyhow::Result;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::Duration,
};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From who calls to the process behind the proxy.
    In,
    /// From the process to who called it.
    Out,
}

/// What is wrong with the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// Every connection is reset, and every new one at once.
    Refuse,
    /// Every connection that is open is reset, once; new ones are well.
    Reset,
    /// Whatever passes comes this much later.
    Delay(Duration),
    /// Nothing passes in this direction; it does, late, when the trouble is over.
    Silence(Direction),
    /// A connection is reset when this many more bytes have passed in this direction.
    Cut(Direction, u64),
}

/// What holds now.
#[derive(Clone, Copy, Debug)]
struct Weather {
    trouble: Trouble,
    upstream: Option<SocketAddr>,
    /// Rises with each reset of all connections.
    resets: u64,
}

/// The proxy of one process. It ends when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Takes an address; nothing is behind it yet.
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (weather, watched) = watch::channel(Weather {
            trouble: Trouble::None,
            upstream: None,
            resets: 0,
        });
        let accepting = tokio::spawn(async move {
            let mut links = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                links.spawn(link::run(client, watched.clone()));
                while links.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            address,
            weather,
            accepting,
        })
    }

    /// What others call.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the process listens in its present life.
    pub(crate) fn lead_to(&self, upstream: SocketAddr) {
        self.weather
            .send_modify(|weather| weather.upstream = Some(upstream));
    }

    /// Makes the network bad, or well again.
    pub(crate) fn set(&self, trouble: Trouble) {
        self.weather.send_modify(|weather| {
            weather.trouble = trouble;
            if matches!(trouble, Trouble::Refuse | Trouble::Reset) {
                weather.resets += 1;
            }
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
