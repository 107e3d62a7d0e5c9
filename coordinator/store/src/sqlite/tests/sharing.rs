//! Steps and turns: long work doesn't hold up the rest, and no target takes all.

use std::collections::{BTreeMap, HashMap};

use super::{apply, directory, open, subscribe};
use crate::{
    ClaimRequest, LeaseStore, QueryStore, RegistryStore,
    conformance::{LEASE, confirm, id, message, name, prepare, subscription, transaction},
    sqlite::SqliteStore,
};

/// Confirms transactions 1 to `count`, of `messages` messages each.
async fn confirmed(store: &SqliteStore, topic: &str, count: u8, messages: usize) {
    for n in 1..=count {
        let new = transaction(n, vec![message(topic); messages]);
        apply(store, vec![prepare(new)]).await.unwrap();
        assert!(apply(store, vec![confirm(n)]).await.unwrap()[0].is_ok());
    }
}

#[tokio::test]
async fn p4_a_deleted_subscription_parks_more_than_one_step_of_work() {
    let dir = directory();
    let store = open(&dir.path().join("earnest.db"));
    subscribe(&store).await;
    confirmed(&store, "order.placed", 6, 100).await;
    let row = subscription("ledger", "order.placed");
    assert!(
        store
            .delete_subscription(&row.namespace, &row.name)
            .await
            .unwrap()
    );
    assert!(
        !store
            .delete_subscription(&row.namespace, &row.name)
            .await
            .unwrap()
    );
    let backlog = store.backlog().await.unwrap();
    assert_eq!((backlog[0].pending, backlog[0].parked), (0, 600));
    let state = store.transaction(id(3)).await.unwrap().unwrap().state;
    assert_eq!((state.open_effects, state.parked_effects), (0, 100));
}

#[tokio::test]
async fn p12_targets_take_turns_when_there_is_not_enough_for_all() {
    let dir = directory();
    let store = open(&dir.path().join("earnest.db"));
    for called in ["a", "b", "c", "d"] {
        store
            .put_subscription(subscription(called, "order.placed"))
            .await
            .unwrap();
    }
    confirmed(&store, "order.placed", 3, 1).await;
    let epoch = store.enrol("node", LEASE).await.unwrap();
    let mut served: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..4 {
        let request = ClaimRequest {
            epoch,
            total: 1,
            per_target: 3,
            room: HashMap::new(),
        };
        for work in store.claim(request).await.unwrap().work {
            *served.entry(work.target().to_string()).or_default() += 1;
        }
    }
    assert_eq!(served.len(), 4, "one after the other: {served:?}");
    // What one target has no room or no use for goes to the others.
    let room = [(
        crate::Target::Subscription(subscription("a", "x").namespace, name("a")),
        0,
    )]
    .into();
    let request = ClaimRequest {
        epoch,
        total: 100,
        per_target: 3,
        room,
    };
    assert_eq!(store.claim(request).await.unwrap().work.len(), 6);
}
