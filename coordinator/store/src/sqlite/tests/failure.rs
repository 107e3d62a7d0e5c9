//! Errors of the database: told apart, and over when they are over.

use std::collections::HashMap;

use rusqlite::Connection;

use super::{apply, directory, open, prepared, subscribe};
use crate::{
    LeaseStore, QueryStore, RegistryStore, Store, StoreError,
    conformance::{LEASE, confirm, id, message, prepare, transaction},
};

#[tokio::test]
async fn a_full_disk_is_unavailable_and_passes() {
    let dir = directory();
    let store = open(&dir.path().join("earnest.db"));
    subscribe(&store).await;
    let pages = |count: i64| {
        store.writer.look("test", move |db| {
            db.query_row(&format!("PRAGMA max_page_count = {count}"), [], |_| Ok(()))
                .unwrap();
            Ok(())
        })
    };
    pages(1).await.unwrap();
    let mut large = message("order.placed");
    large.payload = vec![7; 1 << 20].into();
    let command = || prepare(transaction(1, vec![large.clone()]));
    let error = apply(&store, vec![command()]).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(
        store.transaction(id(1)).await.unwrap().is_none(),
        "nothing was written"
    );
    pages(1_000_000).await.unwrap();
    assert!(apply(&store, vec![command()]).await.unwrap()[0].is_ok());
}

#[tokio::test]
async fn a_job_that_panics_takes_nothing_with_it() {
    let dir = directory();
    let store = open(&dir.path().join("earnest.db"));
    let broken = store.writer.run("test", |db, _| -> Result<(), StoreError> {
        db.execute_batch("INSERT INTO meta VALUES ('half', 1)")
            .unwrap();
        panic!("on purpose")
    });
    assert!(matches!(
        broken.await,
        Err(StoreError::CommitUnknown { .. })
    ));
    let count = |db: &Connection| -> i64 {
        db.query_row("SELECT count(*) FROM meta", [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(
        store
            .writer
            .look("test", move |db| Ok(count(db)))
            .await
            .unwrap(),
        0
    );
    subscribe(&store).await;
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_value_that_breaks_a_rule_is_rejected() {
    let dir = directory();
    let store = open(&dir.path().join("earnest.db"));
    let twice = store.writer.run("test", |db, _| {
        super::super::meta::raise_purge_horizon(db, crate::conformance::TestClock::START)?;
        db.execute("INSERT INTO meta VALUES ('purge_horizon', 1)", [])
            .map_err(|error| super::super::error::failed("test", error))
    });
    assert!(matches!(twice.await, Err(StoreError::Rejected { .. })));
    let horizon = store
        .writer
        .look("test", super::super::meta::purge_horizon)
        .await
        .unwrap();
    assert_eq!(horizon, None, "the whole of it was rolled back");
}

#[tokio::test]
async fn a_damaged_row_is_named_and_holds_up_no_other() {
    let dir = directory();
    let store = open(&dir.path().join("earnest.db"));
    subscribe(&store).await;
    apply(&store, vec![prepared(1), prepared(2)]).await.unwrap();
    apply(&store, vec![confirm(1), confirm(2)]).await.unwrap();
    let bad = id(1);
    let damage = move |db: &Connection, _| {
        db.execute(
            "UPDATE transactions SET phase = 1 WHERE id = ?1",
            [bad.as_bytes()],
        )
        .unwrap();
        Ok(())
    };
    store.writer.run("test", damage).await.unwrap();
    let error = store.transaction(bad).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Corrupt(why) if why.contains(&bad.to_string())),
        "{error:?}"
    );
    let epoch = store.enrol("node", LEASE).await.unwrap();
    let request = crate::ClaimRequest {
        epoch,
        total: 10,
        per_target: 10,
        room: HashMap::new(),
    };
    let work = store.claim(request).await.unwrap().work;
    assert_eq!(work.len(), 1, "the other one is delivered");
}

#[tokio::test]
async fn a_service_registers_past_rows_that_cant_be_read() {
    let dir = directory();
    let store = open(&dir.path().join("earnest.db"));
    subscribe(&store).await;
    apply(&store, vec![prepared(1), prepared(2)]).await.unwrap();
    let bad = id(1);
    let damage = move |db: &Connection, _| {
        // As if both had been asked about already, and nobody had answered.
        db.execute("UPDATE transactions SET unanswered = 1", [])
            .unwrap();
        db.execute(
            "UPDATE transactions SET message_count = -1 WHERE id = ?1",
            [bad.as_bytes()],
        )
        .unwrap();
        Ok(())
    };
    store.writer.run("test", damage).await.unwrap();
    let other = store.transaction(id(2)).await.unwrap().unwrap();
    let service = crate::ServiceRow {
        namespace: other.namespace,
        name: other.initiator.unwrap(),
        endpoints: vec![crate::Endpoint {
            url: "http://127.0.0.1:7001".into(),
            protocol: crate::EndpointProtocol::Http,
            resource_id: String::new(),
        }],
        updated_at: other.created_at,
    };
    let kept = store.put_service(service, false).await.unwrap();
    let due = store.transaction(id(2)).await.unwrap().unwrap().check_due;
    assert_eq!(due, Some(kept.updated_at), "the other is asked at once");
}

#[tokio::test]
async fn a_row_of_a_newer_format_is_left_alone() {
    let dir = directory();
    let store = open(&dir.path().join("earnest.db"));
    subscribe(&store).await;
    apply(&store, vec![prepared(1)]).await.unwrap();
    let newer = |db: &Connection, _| {
        db.execute_batch("UPDATE transactions SET format = 2")
            .unwrap();
        Ok(())
    };
    store.writer.run("test", newer).await.unwrap();
    let error = apply(&store, vec![confirm(1)]).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Corrupt(why) if why.contains("newer version")),
        "{error:?}"
    );
}
