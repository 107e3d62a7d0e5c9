//! A round of every kind of work, for tests of how the statements find their rows.

use std::time::Duration;

use earnest_protocol::{Timestamp, TransactionId};

use crate::{
    Clock, Command, Decide, Message, NewTransaction, Work,
    conformance::{
        Subject, branch_done, done, keyed, message, name, prepare, reserve, transaction,
    },
};

/// Transactions of one round.
pub(crate) const ROUND: u8 = 20;

/// Those that take the messages.
pub(crate) async fn subscribe(s: &Subject) {
    s.subscribe("bench-consumer", "bench.message").await;
    s.subscribe_ordered("ordered", "ordered").await;
}

/// Prepares, confirms, claims and delivers; `round` makes ids of its own.
pub(crate) async fn round(s: &Subject, round: u8) {
    let (node, at) = (s.node().await, s.clock.now());
    let new = |n: u8| {
        let messages = if n.is_multiple_of(2) {
            vec![message("bench.message")]
        } else {
            vec![keyed("ordered", "key")]
        };
        NewTransaction {
            branches: vec![reserve(1)],
            ..made(at, round * ROUND + n, messages)
        }
    };
    let grant = crate::conformance::no_grant;
    let prepares = (0..ROUND).map(|n| prepare(new(n))).collect();
    s.batch(prepares, grant()).await;
    let confirm = |n| {
        Command::Decide(Decide {
            id: new(n).id,
            decision: earnest_protocol::Decision::Confirm,
            initiator: None,
            namespace: name("default"),
        })
    };
    s.batch((0..ROUND).map(confirm).collect(), grant()).await;
    let end = |work: &Work| match work {
        Work::Delivery(work) => done(work),
        Work::Branch(work) => branch_done(work),
        Work::CheckBack(work) => panic!("it is decided: {work:?}"),
    };
    let mut ended = 0;
    while ended < 2 * usize::from(ROUND) {
        let work = s.claim(node).await.work;
        assert!(!work.is_empty(), "{ended} came to an end");
        ended += work.len();
        s.batch(work.iter().map(end).collect(), grant()).await;
    }
    s.advance(Duration::from_secs(1));
}

/// Transaction `n`, whose id was made at `at`.
pub(crate) fn made(at: Timestamp, n: u8, messages: Vec<Message>) -> NewTransaction {
    NewTransaction {
        id: TransactionId::from_parts(at, [n; 10]),
        ..transaction(n, messages)
    }
}
