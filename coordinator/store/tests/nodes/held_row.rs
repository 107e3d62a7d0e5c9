//! A row that somebody else holds for longer than is waited for.

use std::time::Duration;

use earnest_store::conformance::{Subject, confirm, id, no_grant, prepare, transaction};

/// P13: whoever waits for a row that somebody else holds hears of it in the end, in words that say to try again, and nothing of the
/// batch is there, not even of the statements before. Transaction 1's row is held by `hold` until `release`.
pub(crate) async fn p13_row_that_is_held_for_long_is_an_error_to_try_again<H>(
    s: &Subject,
    hold: impl AsyncFn() -> H,
    release: impl AsyncFn(H),
) {
    s.ok(prepare(transaction(1, vec![]))).await;
    let held = hold().await;
    let batch = [prepare(transaction(2, vec![])), confirm(1)];
    let waited = tokio::time::timeout(Duration::from_mins(1), s.store.apply(&batch, no_grant()));
    let error = waited
        .await
        .expect("not for ever")
        .expect_err("the row is held");
    assert!(error.is_retryable() && error.is_passing(), "{error:?}");
    assert!(s.detail_of(id(2)).await.is_none(), "all of it or nothing");
    release(held).await;
    for result in s.batch(batch.to_vec(), no_grant()).await.results {
        result.expect("it runs");
    }
}
