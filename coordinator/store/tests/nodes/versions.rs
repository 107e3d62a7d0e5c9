//! Two versions over one database.

use earnest_store::{
    NewTransaction, Rejection, StoreError,
    conformance::{
        branched, cancel, confirm, message, no_grant, prepare, register, reserve, submit,
        transaction,
    },
};

use super::Nodes;

/// Mixed versions: what a newer node has written is left to it. An older one takes up all else, answers a call about it in
/// words that send the caller on, and doesn't stop the calls that came with it. And a newer one knows how old the oldest is.
/// `run` runs a statement on the database.
pub(crate) async fn r1_what_a_newer_version_wrote_is_left_alone(
    n: Nodes,
    run: impl AsyncFn(&'static str),
) {
    let older = &n.a;
    older.subscribe("ledger", "paid").await;
    for n in 1..=4 {
        older
            .ok(submit(transaction(n, vec![message("paid")])))
            .await;
    }
    older.ok(prepare(transaction(5, vec![]))).await;
    older.ok(prepare(transaction(6, vec![]))).await;
    run("UPDATE deliveries SET format = 3 WHERE transaction_id IN \
         (SELECT id FROM transactions WHERE business_key IN ('order-1', 'order-2'))")
    .await;
    run("UPDATE transactions SET format = 3 WHERE business_key = 'order-6'").await;
    older.advance(std::time::Duration::from_hours(1));
    let node = older.node().await;
    let claimed = older.claim(node).await;
    assert_eq!(
        (claimed.work.len(), claimed.damaged),
        (3, 0),
        "two deliveries and a check-back: {claimed:?}"
    );

    let batch = [cancel(6), prepare(transaction(7, vec![]))];
    let error = older
        .store
        .apply(&batch[..1], no_grant())
        .await
        .expect_err("it is newer");
    assert!(
        matches!(error, StoreError::Newer(_)) && error.is_retryable(),
        "{error:?}"
    );
    assert!(
        !error.is_passing(),
        "trying again here does not help, and the rest of a batch need not wait"
    );
    older
        .store
        .apply(&batch[1..], no_grant())
        .await
        .expect("the other runs");

    // Leased by the older one, it would be out of the newer one's reach for as long as that lives.
    run("UPDATE deliveries SET format = 1").await;
    run("UPDATE transactions SET format = 1").await;
    let free = older.claim(node).await.work;
    assert_eq!(free.len(), 3, "nothing of it was leased: {free:?}");

    let format = async || older.store.recall(&[]).await.expect("it answers").format;
    assert_eq!(format().await, 2);
    run("INSERT INTO nodes (name, format, expires_at) VALUES ('old', 0, 9223372036854775807), ('dead', -1, 0)").await;
    assert_eq!(format().await, 0, "of those that live");
}

/// Mixed versions: no branch is written while a node lives that doesn't know them; messages go on. And what belongs to a
/// transaction with branches says so, so that such a node, should it come back, leaves it alone. `run` runs a statement on the
/// database, and `count` reads a number.
pub(crate) async fn r1_no_branch_is_written_while_an_older_node_lives(
    n: Nodes,
    run: impl AsyncFn(&'static str),
    count: impl AsyncFn(&'static str) -> i64,
) {
    let s = &n.a;
    s.subscribe("ledger", "paid").await;
    let node = s.node().await;
    let both = |n| NewTransaction {
        messages: vec![message("paid")],
        ..branched(n, 1)
    };
    s.ok(prepare(both(1))).await;
    run("INSERT INTO nodes (name, format, expires_at) VALUES ('old', 1, 9223372036854775807)")
        .await;
    s.ok(prepare(transaction(2, vec![message("paid")]))).await;
    let before = s.dump().await;
    for refused in [prepare(both(3)), register(2, &[(0, reserve(0))])] {
        let refused = s.run(refused).await;
        assert!(
            matches!(refused, Err(Rejection::OlderNode { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(s.dump().await, before, "nothing is left of it");
    // What was begun before it came is gone on with.
    s.ok(prepare(both(1))).await;
    s.ok(register(1, &[(1, reserve(1))])).await;
    s.ok(confirm(1)).await;
    for (sql, expected) in [
        ("SELECT COUNT(*) FROM transactions WHERE format = 2", 1),
        ("SELECT COUNT(*) FROM branches WHERE format = 2", 2),
        ("SELECT COUNT(*) FROM deliveries WHERE format = 2", 1),
        ("SELECT COUNT(*) FROM transactions WHERE format = 1", 1),
    ] {
        assert_eq!(count(sql).await, expected, "{sql}");
    }
    // It dies, and a claim sees that.
    run("UPDATE nodes SET expires_at = 0 WHERE name = 'old'").await;
    s.claim(node).await;
    s.ok(prepare(both(3))).await;
    s.ok(register(2, &[(0, reserve(0))])).await;
    let sql = "SELECT COUNT(*) FROM transactions WHERE format = 2";
    assert_eq!(count(sql).await, 3, "one became one with branches");
    s.ok(confirm(2)).await;
    let sql = "SELECT COUNT(*) FROM deliveries WHERE format = 2";
    assert_eq!(count(sql).await, 2);
}
