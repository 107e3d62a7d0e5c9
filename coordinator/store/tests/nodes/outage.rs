//! The wire is cut, the server dies: what was acknowledged is there, and what is not known is found out by doing it again.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use earnest_harness::{Kind, OwnServer};
use earnest_store::{
    Reply, Store, StoreError,
    conformance::{Subject, TestClock, id, message, no_grant, prepare, submit, transaction},
};

use super::proxy::Proxy;

/// Opens a store at a URL.
pub(crate) trait Open: AsyncFn(&str) -> Result<Arc<dyn Store>, StoreError> {}
impl<F: AsyncFn(&str) -> Result<Arc<dyn Store>, StoreError>> Open for F {}

fn server_of(url: &str) -> SocketAddr {
    let after = url.split("127.0.0.1:").nth(1).expect("a loopback server");
    let port = after.split('/').next().and_then(|port| port.parse().ok());
    SocketAddr::from(([127, 0, 0, 1], port.expect("a port")))
}

async fn prepared(s: &Subject, k: u8) -> Result<bool, StoreError> {
    let batch = [prepare(transaction(k, vec![]))];
    let applied = s.store.apply(&batch, no_grant()).await?;
    Ok(matches!(
        applied.results[0],
        Ok(Reply::Transaction { created: true, .. })
    ))
}

/// R4: the connection is lost at COMMIT.
pub(crate) async fn r4_commit_without_an_answer_is_unknown(url: &str, open: impl Open) {
    let server = server_of(url);
    let proxy = Proxy::to(server).await;
    let store = open(&proxy.instead_of(url, server))
        .await
        .expect("it opens");
    let s = Subject::new(store, TestClock::default(), ());
    assert!(prepared(&s, 1).await.expect("the wire is whole"));

    proxy.cut_after_commit();
    let error = prepared(&s, 2).await.expect_err("nobody answered");
    assert!(
        matches!(error, StoreError::CommitUnknown { .. }),
        "{error:?}"
    );
    assert!(error.is_retryable());
    assert!(!prepared(&s, 2).await.expect("again"), "it was committed");

    proxy.cut_before_commit();
    let error = prepared(&s, 3).await.expect_err("nobody answered");
    assert!(
        matches!(error, StoreError::CommitUnknown { .. }),
        "{error:?}"
    );
    assert!(
        prepared(&s, 3).await.expect("again"),
        "it was not committed"
    );
}

/// P2, P13: the server is killed under load and comes back: errors that say *try again*, then all goes on.
pub(crate) async fn p2_killed_server_loses_nothing_acknowledged(kind: Kind, open: impl Open) {
    let mut server = OwnServer::start(kind).expect("a server of this test's own");
    let store = open(server.url()).await.expect("it opens");
    let s = Subject::new(store, TestClock::default(), ());
    s.subscribe("ledger", "paid").await;
    let mut acknowledged = Vec::new();
    for k in 0..20 {
        s.ok(submit(transaction(k, vec![message("paid")]))).await;
        acknowledged.push(k);
    }
    server.kill().expect("it is killed");
    let error = prepared(&s, 100).await.expect_err("there is no server");
    assert!(error.is_retryable(), "{error:?}");
    assert!(s.store.ping().await.expect_err("not ready").is_retryable());
    server.start_again().expect("it starts again");
    let recovered = async {
        while s.store.ping().await.is_err() || s.store.detail(id(0)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), recovered)
        .await
        .expect("the store recovers by itself");
    for k in acknowledged {
        assert_eq!(s.detail(k).await.deliveries.len(), 1);
    }
    assert!(prepared(&s, 100).await.expect("it runs again"));
    s.dump().await.check();
}
