//! What two nodes over one database do at the same moment: the outcome is one that they could have had one after the other.
//!
//! For stores that several nodes share. As tests these take a runtime with two threads, so that both really run at once.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use earnest_protocol::{
    BranchCall, BranchState, DeliveryState, Name, Phase, Timestamp, TrySettled,
};

use super::{
    Case, LEASE, Subject, TestClock, branch_done, branched, cancel, confirm, done,
    execute::executed, id, keyed, message, name, no_grant, only_deliveries, prepare, register,
    reserve, submit, transaction, tried,
};
use crate::{
    Applied, ClaimRequest, Command, Endpoint, EndpointProtocol, Rejection, Reply, ServiceRow,
    Store, StoreError, Work,
};

/// Two stores over one database, with one clock.
#[derive(Debug)]
pub struct Nodes {
    /// One node's.
    pub a: Subject,
    /// The other's.
    pub b: Subject,
}

impl Nodes {
    /// The database must be fresh, and both take their time from `clock`.
    pub fn new(a: Arc<dyn Store>, b: Arc<dyn Store>, clock: &TestClock) -> Self {
        Self {
            a: Subject::new(a, clock.clone(), ()),
            b: Subject::new(b, clock.clone(), ()),
        }
    }
}

macro_rules! cases {
    ($($case:ident,)+) => {
        &[$(Case { name: stringify!($case), run: |nodes| Box::pin($case(nodes)) },)+]
    };
}

/// All of them.
pub const CASES: &[Case<Nodes>] = cases! {
    r1_one_id_prepared_by_two_nodes_at_once_is_recorded_once,
    p1_opposite_decisions_of_two_nodes_at_once,
    p4_subscription_deleted_while_others_decide_loses_nothing,
    p9_one_key_decided_by_two_nodes_at_once_keeps_an_order,
    p9_ends_and_decisions_at_once_leave_no_key_behind,
    t4_registration_and_decision_of_two_nodes_at_once,
    p10_try_claimed_beside_a_decision_is_barred,
    p12_two_nodes_that_claim_at_once_share_the_work,
    p10_node_that_comes_back_writes_nothing,
    services_registered_at_two_nodes_at_once_keep_all_endpoints,
    one_bad_value_is_rejected_and_nothing_is_written,
};

async fn apply(s: &Subject, commands: Vec<Command>) -> Applied {
    s.store
        .apply(&commands, no_grant())
        .await
        .expect("the batch runs")
}

fn is_created(applied: &Applied, at: usize) -> bool {
    matches!(
        applied.results[at],
        Ok(Reply::Transaction { created: true, .. })
    )
}

/// R1: of two Prepares of one id one records it, and the other is told so.
pub async fn r1_one_id_prepared_by_two_nodes_at_once_is_recorded_once(n: Nodes) {
    n.a.subscribe("ledger", "paid").await;
    for first in (0..200).step_by(5) {
        let batch = |from: &str| -> Vec<Command> {
            let new = |k| transaction(k, vec![keyed("paid", from)]);
            let mut batch: Vec<_> = (first..first + 5).map(|k| prepare(new(k))).collect();
            // The same content of the first three, other content of the rest.
            for (k, command) in (first..first + 3).zip(&mut batch) {
                *command = prepare(transaction(k, vec![message("paid")]));
            }
            batch
        };
        let (one, other) = tokio::join!(apply(&n.a, batch("a")), apply(&n.b, batch("b")));
        for at in 0..5 {
            let created = [is_created(&one, at), is_created(&other, at)];
            assert_eq!(
                created.iter().filter(|c| **c).count(),
                1,
                "{one:?} {other:?}"
            );
            let loser = if created[0] { &other } else { &one };
            let is_reused = matches!(loser.results[at], Err(Rejection::IdReused { .. }));
            assert_eq!(is_reused, at >= 3, "{loser:?}");
        }
    }
    n.a.dump().await.check();
}

/// T4: a registration at one node beside a decision at another: the decision owes it its call, or it is refused.
pub async fn t4_registration_and_decision_of_two_nodes_at_once(n: Nodes) {
    for k in 0..60 {
        n.a.ok(prepare(branched(k, 1))).await;
        let (registered, decided) = tokio::join!(
            n.a.run(register(k, &[(1, reserve(1))])),
            n.b.run(confirm(k))
        );
        decided.expect("nothing speaks against it");
        let branches = n.a.detail(k).await.branches;
        let is_owed = |row: &BranchState| *row == BranchState::Pending;
        assert!(
            branches.iter().all(|(row, _)| is_owed(&row.state)),
            "{branches:?}"
        );
        match registered {
            Ok(_) => assert_eq!(branches.len(), 2),
            Err(Rejection::AlreadyDecided(_)) => assert_eq!(branches.len(), 1),
            Err(other) => panic!("{other}"),
        }
    }
    n.a.dump().await.check();
}

/// P10: a Try that one node claims while another cancels: what comes of it counts for nothing, and the Cancel is owed.
pub async fn p10_try_claimed_beside_a_decision_is_barred(n: Nodes) {
    let node = n.b.node().await;
    for k in 0..40 {
        n.a.ok(prepare(executed(k, 2))).await;
        let (cancelled, claimed) = tokio::join!(n.a.run(cancel(k)), n.b.claim(node));
        cancelled.expect("nothing speaks against it");
        for work in claimed.work {
            let Work::Branch(work) = work else {
                panic!("{work:?}")
            };
            match work.call {
                BranchCall::Try => {
                    let late = n.b.ok(tried(&work, TrySettled::Ok)).await;
                    assert_eq!(late, Reply::LostLease);
                }
                BranchCall::Cancel => drop(n.b.ok(branch_done(&work)).await),
                BranchCall::Confirm => panic!("P3: {work:?}"),
            }
        }
        for work in n.b.branch_work(node).await {
            assert_eq!(work.call, BranchCall::Cancel);
            n.b.ok(branch_done(&work)).await;
        }
        assert_eq!(n.a.row(k).await.state.phase, Phase::Cancelled);
    }
    n.a.dump().await.check();
}

/// P1: of two opposite decisions by two nodes one stands, and both nodes say which.
pub async fn p1_opposite_decisions_of_two_nodes_at_once(n: Nodes) {
    n.a.subscribe("ledger", "paid").await;
    for k in 0..60 {
        if k % 3 > 0 {
            n.a.ok(prepare(transaction(k, vec![message("paid")]))).await;
        }
        let (confirmed, cancelled) =
            tokio::join!(apply(&n.a, vec![confirm(k)]), apply(&n.b, vec![cancel(k)]));
        let won = [&confirmed.results[0], &cancelled.results[0]].map(Result::is_ok);
        if k % 3 == 0 {
            // Not known, so nothing is confirmed; the Cancel leaves its tombstone.
            assert_eq!(won, [false, true]);
            continue;
        }
        assert!(won[0] != won[1], "{confirmed:?} {cancelled:?}");
        let phase = n.b.row(k).await.state.phase;
        let expected = if won[0] {
            Phase::Confirming
        } else {
            Phase::Cancelled
        };
        assert_eq!(phase, expected);
    }
    n.a.dump().await.check();
}

/// P4: whatever is decided while a subscription is being deleted is owed or parked, and never forgotten.
pub async fn p4_subscription_deleted_while_others_decide_loses_nothing(n: Nodes) {
    let namespace = Name::default_namespace();
    for round in 0..12_u8 {
        n.a.subscribe("ledger", "paid").await;
        let decide = async {
            for k in 0..6 {
                let new = transaction(round * 6 + k, vec![message("paid")]);
                let applied = apply(&n.a, vec![submit(new)]).await;
                let gone = matches!(applied.results[0], Err(Rejection::NoSubscription { .. }));
                assert!(gone || applied.results[0].is_ok(), "{applied:?}");
            }
        };
        let called = name("ledger");
        let delete = n.b.store.delete_subscription(&namespace, &called);
        let ((), deleted) = tokio::join!(decide, delete);
        assert!(deleted.expect("the store runs"));
        let dump = n.a.dump().await;
        dump.check();
        let pending: u64 = dump.backlog.iter().map(|of| of.pending).sum();
        assert_eq!(pending, 0, "owed to nobody: {:?}", dump.backlog);
    }
}

/// P9: positions of one key are given out one after the other, and only the first is due.
pub async fn p9_one_key_decided_by_two_nodes_at_once_keeps_an_order(n: Nodes) {
    n.a.subscribe_ordered("ledger", "paid").await;
    let send = async |s: &Subject, numbers: std::ops::Range<u8>| {
        for k in numbers {
            apply(s, vec![submit(transaction(k, vec![keyed("paid", "k")]))]).await;
        }
    };
    tokio::join!(send(&n.a, 0..30), send(&n.b, 30..60));
    let mut positions = BTreeSet::new();
    let mut due = 0;
    for k in 0..60 {
        let delivery = n.b.delivery(k).await;
        positions.extend(delivery.order.map(|(_, position)| position));
        due += u32::from(delivery.due.is_some());
    }
    assert_eq!(positions, (1..=60).collect());
    assert_eq!(due, 1, "one at a time");
}

/// P9: the next of a key is due as soon as the one before it is done, whoever decides at that moment.
pub async fn p9_ends_and_decisions_at_once_leave_no_key_behind(n: Nodes) {
    n.a.subscribe_ordered("ledger", "paid").await;
    let node = n.a.node().await;
    let send = async {
        for k in 0..40 {
            apply(&n.b, vec![submit(transaction(k, vec![keyed("paid", "k")]))]).await;
        }
    };
    let deliver = async {
        let mut order = Vec::new();
        while order.len() < 40 {
            for work in n.a.deliveries(node).await {
                order.extend([work.key.transaction]);
                apply(&n.a, vec![done(&work)]).await;
            }
            tokio::task::yield_now().await;
        }
        order
    };
    let everything = async { tokio::join!(send, deliver) };
    let ((), order) = tokio::time::timeout(Duration::from_mins(2), everything)
        .await
        .expect("a key was left behind");
    assert_eq!(order, (0..40).map(id).collect::<Vec<_>>());
}

/// Work is leased to one node only, and neither node waits for the other.
pub async fn p12_two_nodes_that_claim_at_once_share_the_work(n: Nodes) {
    n.a.subscribe("ledger", "paid").await;
    n.a.subscribe("rewards", "paid").await;
    let batch = (0..200).map(|k| submit(transaction(k, vec![message("paid")])));
    apply(&n.a, batch.collect()).await;
    let (a, b) = (n.a.node().await, n.b.node().await);
    let claim = async |s: &Subject, epoch| {
        let mut all = Vec::new();
        loop {
            let request = ClaimRequest {
                epoch,
                total: 16,
                per_target: 12,
                room: HashMap::new(),
            };
            let work = s.claim_within(request).await.work;
            if work.is_empty() {
                return all;
            }
            all.extend(only_deliveries(work));
        }
    };
    let (mut one, other) = tokio::join!(claim(&n.a, a), claim(&n.b, b));
    one.extend(other);
    let keys: BTreeSet<_> = one.iter().map(|work| work.key.clone()).collect();
    assert_eq!((one.len(), keys.len()), (400, 400), "each once");
    for work in one.chunks(64) {
        apply(&n.a, work.iter().map(done).collect()).await;
    }
    n.b.dump().await.check();
}

/// P10: a node that was taken for dead comes back, and what it writes touches nothing that somebody else has taken.
pub async fn p10_node_that_comes_back_writes_nothing(n: Nodes) {
    n.a.subscribe("ledger", "paid").await;
    apply(&n.a, vec![submit(transaction(1, vec![message("paid")]))]).await;
    let zombie = n.a.node().await;
    let old = n.a.one_delivery(zombie).await;
    n.a.advance(LEASE + Duration::from_micros(1));
    let heir = n.b.node().await;
    let new = n.b.one_delivery(heir).await;
    assert!(new.token > old.token);
    let before = n.b.dump().await;
    assert_eq!(n.a.ok(done(&old)).await, Reply::LostLease);
    assert_eq!(n.b.dump().await, before);
    assert!(!n.a.store.heartbeat(zombie, LEASE).await.expect("it runs"));
    n.b.ok(done(&new)).await;
    assert_eq!(n.a.delivery(1).await.state, DeliveryState::Done);
}

/// Services that register at two nodes at once both are known.
pub async fn services_registered_at_two_nodes_at_once_keep_all_endpoints(n: Nodes) {
    let namespace = Name::default_namespace();
    for round in 0..20 {
        let called = name(&format!("s{round}"));
        let put = async |s: &Subject, port: u16| {
            let row = ServiceRow {
                namespace: namespace.clone(),
                name: called.clone(),
                endpoints: vec![Endpoint {
                    url: format!("http://127.0.0.1:{port}"),
                    protocol: EndpointProtocol::Grpc,
                    resource_id: String::new(),
                }],
                updated_at: Timestamp::default(),
            };
            s.store.put_service(row, false).await.expect("it runs")
        };
        tokio::join!(put(&n.a, 1), put(&n.b, 2));
        let known = n.a.store.service(&namespace, &called).await;
        let known = known.expect("it runs").expect("it is known");
        assert_eq!(known.endpoints.len(), 2, "{known:?}");
    }
}

/// A value that the database can't hold is refused for good, and the batch without it runs.
pub async fn one_bad_value_is_rejected_and_nothing_is_written(n: Nodes) {
    let mut bad = transaction(1, vec![]);
    bad.business_key = "\0".repeat(70_000);
    let good = prepare(transaction(2, vec![]));
    let error =
        n.a.store
            .apply(&[prepare(bad), good.clone()], no_grant())
            .await
            .expect_err("the value is refused");
    assert!(matches!(error, StoreError::Rejected { .. }), "{error:?}");
    assert!(n.a.detail_of(id(2)).await.is_none(), "nothing of the batch");
    assert!(is_created(&apply(&n.a, vec![good]).await, 0));
}

#[cfg(test)]
mod tests {
    use super::CASES;

    /// A case that is written and not listed would never run.
    #[test]
    fn every_case_is_listed() {
        let written = include_str!("nodes.rs").lines();
        let written = written.filter_map(|line| line.strip_prefix("pub async fn "));
        let written: Vec<&str> = written.filter_map(|rest| rest.split('(').next()).collect();
        let mut listed: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(listed.len(), written.len());
        listed.retain(|name| !written.contains(name));
        assert!(listed.is_empty(), "{listed:?}");
    }
}
