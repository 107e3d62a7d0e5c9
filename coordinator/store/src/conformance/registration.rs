//! A service that registers is asked at once about what it did not answer.

use std::{collections::HashMap, time::Duration};

use earnest_protocol::{CheckBackAnswer, InitiatorOutcome, Options, Phase, Settled, TransactionId};

use super::{
    Subject, TestClock, answered, branch_done, branch_settled, branched, check_back::prepared,
    confirm, id, name, no_grant, prepare, transaction,
};
use crate::{
    ClaimRequest, Endpoint, EndpointProtocol, NewTransaction, ServiceRow, TransactionRow, Work,
};

/// A service that was away and registers is asked at once about what it didn't answer, and about nothing else.
pub async fn p11_service_that_registers_is_asked_at_once(s: Subject) {
    for (n, check_after) in [(1, 1), (2, 1), (3, 1), (4, 60)] {
        let check_after = Duration::from_secs(check_after);
        prepared(
            &s,
            n,
            Options {
                check_after,
                ..Options::default()
            },
        )
        .await;
    }
    let deadline = Options {
        outcome: InitiatorOutcome::None,
        check_after: Duration::from_mins(1),
        ..Options::default()
    };
    prepared(&s, 5, deadline).await;
    s.advance(Duration::from_secs(1));
    let node = s.node().await;
    let work = s.check_backs(node).await;
    let ids: Vec<_> = work.iter().map(|work| work.id).collect();
    assert_eq!(ids, [1, 2, 3].map(id));
    s.ok(answered(&work[0], CheckBackAnswer::Unknown)).await;
    s.ok(answered(&work[1], CheckBackAnswer::InProgress)).await;
    // The third is still under way.
    let others = [2, 3, 4, 5];
    let before: Vec<_> = rows(&s, others).await;
    register(&s, "ledger", 1).await;
    assert!(s.claim(node).await.work.is_empty(), "another service");
    register(&s, "cashier", 0).await;
    assert!(s.claim(node).await.work.is_empty(), "it has no endpoint");
    register(&s, "cashier", 1).await;
    let again = s.one_check_back(node).await;
    assert_eq!((again.id, again.attempt), (id(1), 2));
    assert_eq!(rows(&s, others).await, before, "the others wait as before");
    let row = s.ok_row(answered(&again, CheckBackAnswer::Committed)).await;
    assert_eq!(row.state.phase, Phase::Confirming);
    s.dump().await.check();
}

/// One registration is one bounded step, however much waits.
pub async fn p13_registration_makes_a_bounded_number_due(s: Subject) {
    const MANY: u16 = 1_100;
    let new = |n: u16| NewTransaction {
        id: TransactionId::from_parts(
            TestClock::START,
            [n.to_be_bytes(); 5].concat()[..]
                .try_into()
                .expect("10 bytes"),
        ),
        business_key: String::new(),
        ..transaction(0, vec![])
    };
    let commands: Vec<_> = (0..MANY).map(|n| prepare(new(n))).collect();
    s.batch(commands, no_grant()).await;
    s.advance(Duration::from_secs(10));
    let node = s.node().await;
    let claim = async || {
        let request = ClaimRequest {
            epoch: node,
            total: 10_000,
            per_target: 10_000,
            room: HashMap::new(),
        };
        s.claim_within(request).await.work
    };
    let work = claim().await;
    assert_eq!(work.len(), usize::from(MANY));
    let unknown = work.iter().map(|work| match work {
        Work::CheckBack(work) => answered(work, CheckBackAnswer::Unknown),
        Work::Delivery(other) => panic!("a delivery is due: {}", other.key),
        Work::Branch(other) => panic!("a branch is due: {}", other.key),
    });
    s.batch(unknown.collect(), no_grant()).await;
    for left in [1_024, usize::from(MANY) - 1_024, 0] {
        register(&s, "cashier", 1).await;
        assert_eq!(claim().await.len(), left);
    }
}

async fn rows<const N: usize>(s: &Subject, of: [u8; N]) -> Vec<TransactionRow> {
    let mut found = Vec::new();
    for n in of {
        found.push(s.row(n).await);
    }
    found
}

async fn register(s: &Subject, called: &str, endpoints: u16) {
    let endpoint = |n| Endpoint {
        url: format!("http://127.0.0.1:{n}"),
        protocol: EndpointProtocol::Grpc,
        resource_id: String::new(),
    };
    let row = ServiceRow {
        namespace: name("default"),
        name: name(called),
        endpoints: (0..endpoints).map(endpoint).collect(),
        updated_at: TestClock::START,
    };
    s.store.put_service(row, true).await.expect("it is kept");
}

/// A branch that waits for its next attempt is called at once where its service registers; one in somebody's hands is not.
pub async fn p11_service_that_registers_is_called_at_once(s: Subject) {
    let node = s.node().await;
    s.ok(prepare(branched(1, 2))).await;
    s.ok(confirm(1)).await;
    let work = s.branch_work(node).await;
    let later = Settled::RetryAfter(Duration::from_hours(1));
    s.ok(branch_settled(&work[0], later)).await;
    assert!(s.claim(node).await.work.is_empty());
    let service = ServiceRow {
        namespace: name("default"),
        name: name("account"),
        endpoints: vec![Endpoint {
            url: "http://127.0.0.1:7001".into(),
            protocol: EndpointProtocol::Http,
            resource_id: String::new(),
        }],
        updated_at: crate::Clock::now(&s.clock),
    };
    s.store
        .put_service(service, false)
        .await
        .expect("it is put");
    let again = s.one_branch(node).await;
    assert_eq!((again.key, again.attempt), (work[0].key, 2));
    s.ok(branch_done(&again)).await;
    s.ok(branch_done(&work[1])).await;
    s.dump().await.check();
}
