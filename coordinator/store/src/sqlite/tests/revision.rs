//! The one conditional write, by itself: the writer is alone on its file, so no command ever loses it here. A second writer
//! must not get past it all the same.

use super::{apply, directory, open, prepared, subscribe};
use crate::{QueryStore, StoreError, conformance::id, sqlite::transaction};

#[tokio::test]
async fn p1_a_row_that_was_written_since_it_was_read_is_not_written_over() {
    let dir = directory();
    let store = open(&dir.path().join("earnest.db"));
    subscribe(&store).await;
    assert!(apply(&store, vec![prepared(1)]).await.unwrap()[0].is_ok());
    let read = store.transaction(id(1)).await.unwrap().unwrap();
    let written = store.writer.run("test", {
        let mut row = read.clone();
        move |db, _| {
            row.check_attempts = 7;
            transaction::update(db, &mut row)?;
            Ok(row.revision)
        }
    });
    assert_eq!(written.await.unwrap(), read.revision + 1);
    let late = store.writer.run("test", {
        let mut row = read.clone();
        move |db, _| transaction::update(db, &mut row)
    });
    let refused = late.await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Unavailable { .. }) && refused.is_retryable(),
        "run again, it reads what is there: {refused}"
    );
    let row = store.transaction(id(1)).await.unwrap().unwrap();
    assert_eq!((row.check_attempts, row.revision), (7, read.revision + 1));
}
