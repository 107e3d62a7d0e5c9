//! Rows that can't be read: they are left alone, and hold up nothing else.

use earnest_store::conformance::{done, message, prepare, submit, transaction};

use super::Nodes;

/// P12: `run` runs a statement on the database. Whatever the damage, all other work of the same claim is leased.
pub(crate) async fn p12_damaged_rows_hold_up_nothing_else(
    n: Nodes,
    run: impl AsyncFn(&'static str),
) {
    let s = &n.a;
    for called in ["ledger", "rewards"] {
        s.subscribe(called, "paid").await;
    }
    for k in 1..=4 {
        let messages = vec![message("paid"), message("paid")];
        s.ok(submit(transaction(k, messages))).await;
    }
    for k in 5..=6 {
        s.ok(prepare(transaction(k, vec![]))).await;
    }
    // A delivery, the transaction of others, a message of others, a check-back: as this program never writes them.
    run("UPDATE deliveries SET attempts = -1 WHERE subscription = 'rewards' AND ordinal = 1").await;
    run("UPDATE transactions SET message_count = -1 WHERE business_key = 'order-2'").await;
    run(
        "UPDATE messages SET topic = 'not a topic!' WHERE ordinal = 0 AND transaction_id = \
         (SELECT id FROM transactions WHERE business_key = 'order-3')",
    )
    .await;
    run("UPDATE transactions SET message_count = -1 WHERE business_key = 'order-5'").await;
    s.advance(std::time::Duration::from_mins(1));
    let node = s.node().await;
    let claimed = s.claim(node).await;
    // 1 and 4: three deliveries each, without the damaged one; 2 and 3: none, since of 3 no message's place is sure; 6.
    assert_eq!(claimed.work.len(), 7, "{:#?}", claimed.work);
    // Four deliveries, one transaction, one message, one check-back.
    assert_eq!(claimed.damaged, 7);
    let (deliveries, check_backs): (Vec<_>, Vec<_>) = claimed
        .work
        .into_iter()
        .partition(|work| matches!(work, earnest_store::Work::Delivery(_)));
    assert_eq!(check_backs.len(), 1);
    for work in earnest_store::conformance::only_deliveries(deliveries) {
        s.ok(done(&work)).await;
    }
    let again = s.claim(node).await;
    assert_eq!(
        (again.work.len(), again.damaged),
        (0, 0),
        "not found anew at once"
    );
}
