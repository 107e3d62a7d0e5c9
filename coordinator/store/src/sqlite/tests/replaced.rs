//! Another file under the name of the open one, and an older copy of it (R5).

use std::fs;

use super::{apply, directory, open, prepared, subscribe};
use crate::{
    JournalStore, LeaseGrant, Line, QueryStore, RecallStore, Store, StoreError,
    conformance::{id, no_grant},
};

#[tokio::test]
async fn r5_a_file_that_was_replaced_is_not_written_to() {
    let dir = directory();
    let at = |name: &str| dir.path().join(name);
    drop(open(&at("old.db")));
    let store = open(&at("earnest.db"));
    subscribe(&store).await;
    apply(&store, vec![prepared(1)]).await.unwrap();
    store.ping().await.unwrap();

    fs::rename(at("earnest.db"), at("aside.db")).unwrap();
    for replaced in [false, true] {
        if replaced {
            fs::copy(at("old.db"), at("earnest.db")).unwrap();
        }
        let error = apply(&store, vec![prepared(2)]).await.unwrap_err();
        assert!(
            error.is_retryable() && error.to_string().contains("was replaced or removed"),
            "{error}"
        );
        assert!(store.ping().await.is_err());
    }
    fs::rename(at("aside.db"), at("earnest.db")).unwrap();
    assert!(apply(&store, vec![prepared(2)]).await.unwrap()[0].is_ok());
}

#[tokio::test]
async fn r5_an_older_copy_is_not_written_to() {
    let dir = directory();
    let (path, copy) = (dir.path().join("earnest.db"), dir.path().join("copy.db"));
    let grant = |last| LeaseGrant {
        line: Line { id: 3, last },
        ..no_grant()
    };
    let store = open(&path);
    subscribe(&store).await;
    let first = store.apply(&[prepared(1)], grant(None)).await.unwrap().mark;
    drop(store);
    fs::copy(&path, &copy).unwrap();

    let store = open(&path);
    let second = store
        .apply(&[prepared(2)], grant(first))
        .await
        .unwrap()
        .mark;
    drop(store);
    fs::rename(&copy, &path).unwrap();

    let store = open(&path);
    let refused = store.apply(&[prepared(3)], grant(second)).await;
    let Err(StoreError::Forgot(loss)) = refused else {
        panic!("it was written: {refused:?}")
    };
    assert_eq!((loss.acknowledged.batches, loss.found), (2, Some(1)));
    assert!(store.transaction(id(3)).await.unwrap().is_none());
    let row = store.report_loss(&second.unwrap(), "a").await.unwrap();
    assert_eq!(row.unwrap().kept_until, first.map(|mark| mark.at));
}
