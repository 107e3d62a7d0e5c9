//! The wire is cut, the server dies: what was acknowledged is there, and what is not known is found out by doing it again.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use earnest_harness::{Database, Kind, OwnServer};
use earnest_store::{
    ClaimRequest, Reply, Store, StoreError,
    conformance::{LEASE, Subject, TestClock, id, message, no_grant, prepare, submit, transaction},
};

use super::proxy::Proxy;

/// Opens a store at a URL, under a clock.
pub(crate) trait Open:
    AsyncFn(&str, &TestClock) -> Result<Arc<dyn Store>, StoreError>
{
}
impl<F: AsyncFn(&str, &TestClock) -> Result<Arc<dyn Store>, StoreError>> Open for F {}

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
    let (s, proxy) = behind_a_proxy(url, open).await;
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

async fn behind_a_proxy(url: &str, open: impl Open) -> (Subject, Proxy) {
    let server = server_of(url);
    let proxy = Proxy::to(server).await;
    let clock = TestClock::default();
    let store = open(&proxy.instead_of(url, server), &clock).await;
    (Subject::new(store.expect("it opens"), clock, ()), proxy)
}

/// R4, P11: the connection is lost at the COMMIT of a claim. What it may have leased is nobody's once the node is not heard
/// of under that epoch any more, and nothing is leased twice.
pub(crate) async fn r4_claim_whose_commit_is_unknown_orphans_nothing(url: &str, open: impl Open) {
    let (s, proxy) = behind_a_proxy(url, open).await;
    s.subscribe("ledger", "paid").await;
    s.ok(submit(transaction(1, vec![message("paid")]))).await;
    let request = |epoch| ClaimRequest {
        epoch,
        total: 8,
        per_target: 8,
        room: HashMap::new(),
    };

    let first = s.node().await;
    proxy.cut_before_commit();
    let error = s.store.claim(request(first)).await.expect_err("cut");
    assert!(
        matches!(error, StoreError::CommitUnknown { .. }),
        "{error:?}"
    );
    assert!(s.delivery(1).await.holder.is_none(), "nothing was leased");

    proxy.cut_after_commit();
    let error = s.store.claim(request(first)).await.expect_err("cut");
    assert!(
        matches!(error, StoreError::CommitUnknown { .. }),
        "{error:?}"
    );
    let lost = s.delivery(1).await;
    assert_eq!(
        lost.holder,
        Some(first),
        "it was leased, unknown to its node"
    );

    // The node goes on under a new epoch, and no longer under the old one.
    let second = s.node().await;
    assert!(s.deliveries(second).await.is_empty(), "not yet");
    s.advance(LEASE / 2);
    let lives = s.store.heartbeat(second, LEASE).await;
    assert!(lives.expect("it runs"));
    s.advance(LEASE / 2 + Duration::from_micros(1));
    let work = s.one_delivery(second).await;
    assert!(work.token > lost.token);
}

/// P2, P13: the server is killed under load and comes back: errors that say *try again*, then all goes on.
pub(crate) async fn p2_killed_server_loses_nothing_acknowledged(kind: Kind, open: impl Open) {
    let mut server = OwnServer::start(kind).expect("a server of this test's own");
    let database = Database::on(&server).await;
    let clock = TestClock::default();
    let store = open(database.url(), &clock).await.expect("it opens");
    let s = Subject::new(store, clock, ());
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
