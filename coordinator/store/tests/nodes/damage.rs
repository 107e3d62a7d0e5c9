//! Rows that can't be read: they are left alone, and hold up nothing else.

use std::time::Duration;

use earnest_protocol::{Name, Settled, TransactionId};
use earnest_store::{
    Clock, Endpoint, EndpointProtocol, ServiceRow, Work,
    conformance::{
        branch_settled, branched, confirm, done, id, message, prepare, submit, transaction,
    },
};

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
    s.advance(Duration::from_mins(1));
    let node = s.node().await;
    let claimed = s.claim(node).await;
    // 1 and 4: three deliveries each, without the damaged one; 2 and 3: none, since of 3 no message's place is sure; 6.
    assert_eq!(claimed.work.len(), 7, "{:#?}", claimed.work);
    // Four deliveries, one transaction, one message, one check-back.
    assert_eq!(claimed.damaged, 7);
    let (deliveries, check_backs): (Vec<_>, Vec<_>) = claimed
        .work
        .into_iter()
        .partition(|work| matches!(work, Work::Delivery(_)));
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

/// P11: a service that registers is asked and called at once, although some of what waits for it can't be read: a row that is
/// damaged, or of a newer version. `run` runs a statement on the database.
pub(crate) async fn p11_service_registers_past_rows_that_cant_be_read(
    n: Nodes,
    run: impl AsyncFn(&'static str),
) {
    let s = &n.a;
    let node = s.node().await;
    for k in 1..=3 {
        s.ok(prepare(transaction(k, vec![]))).await;
    }
    s.ok(prepare(branched(4, 3))).await;
    s.ok(confirm(4)).await;
    let later = Settled::RetryAfter(Duration::from_hours(1));
    for work in s.branch_work(node).await {
        s.ok(branch_settled(&work, later.clone())).await;
    }
    // As if all had been asked about already, and nobody had answered.
    run("UPDATE transactions SET unanswered = 1 WHERE phase = 1").await;
    run("UPDATE transactions SET message_count = -1 WHERE business_key = 'order-1'").await;
    run("UPDATE transactions SET format = 99 WHERE business_key = 'order-2'").await;
    run("UPDATE branches SET attempts = -1 WHERE ordinal = 0").await;
    run("UPDATE branches SET format = 99 WHERE ordinal = 1").await;

    let initiator = s.row(3).await.initiator.expect("it has one");
    let participant = "account".parse().expect("it is a name");
    let mut found = Vec::new();
    for called in [initiator, participant] {
        let service = ServiceRow {
            namespace: Name::default_namespace(),
            name: called,
            endpoints: vec![Endpoint {
                url: "http://127.0.0.1:7001".into(),
                protocol: EndpointProtocol::Http,
                resource_id: String::new(),
            }],
            updated_at: s.clock.now(),
        };
        s.store
            .put_service(service, false)
            .await
            .expect("it registers");
        found.extend(s.claim(node).await.work.iter().map(asked));
    }
    assert_eq!(found, [(id(3), None), (id(4), Some(2))]);
}

/// The transaction, and the place of a branch.
fn asked(work: &Work) -> (TransactionId, Option<u32>) {
    match work {
        Work::CheckBack(work) => (work.id, None),
        Work::Branch(work) => (work.key.transaction, Some(work.key.ordinal.0)),
        Work::Delivery(_) => panic!("there are no messages: {work:?}"),
    }
}
