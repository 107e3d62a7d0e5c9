//! The coordinators' database server, where it is one of its own: behind a proxy, killed and started again.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use earnest_harness::{Kind, OwnServer};
use tokio::task::spawn_blocking;

use crate::proxy::Proxy;

/// A server, and the proxy that leads to it.
pub(crate) struct DatabaseServer {
    pub(crate) proxy: Proxy,
    server: Arc<Mutex<OwnServer>>,
    url: String,
}

impl DatabaseServer {
    pub(crate) async fn start() -> Result<Self> {
        let server = spawn_blocking(|| OwnServer::start(Kind::Postgres)).await??;
        let proxy = Proxy::start().await?;
        proxy.lead_to(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())));
        let own = format!(":{}", server.port());
        let (_, proxied) = proxy
            .url()
            .rsplit_once(':')
            .map(|(host, port)| (host.to_owned(), format!(":{port}")))
            .context("a proxy without a port")?;
        Ok(Self {
            url: server.url().replacen(&own, &proxied, 1),
            proxy,
            server: Arc::new(Mutex::new(server)),
        })
    }

    /// What coordinators are told.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// SIGKILL, and a new life over the same data.
    pub(crate) async fn kill(&self, down: Duration) -> Result<()> {
        let server = Arc::clone(&self.server);
        spawn_blocking(move || lock(&server).kill()).await??;
        tokio::time::sleep(down).await;
        let server = Arc::clone(&self.server);
        spawn_blocking(move || lock(&server).start_again()).await?
    }
}

fn lock(server: &Mutex<OwnServer>) -> std::sync::MutexGuard<'_, OwnServer> {
    server.lock().unwrap_or_else(PoisonError::into_inner)
}
