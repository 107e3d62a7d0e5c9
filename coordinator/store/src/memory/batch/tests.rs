//! A batch that is not kept leaves no trace, in the rows nor in the indexes.

use std::sync::Arc;

use earnest_protocol::{
    Decision, LeaseToken, Name, NodeEpoch, Options, ParkReason, Settled, Timestamp,
};

use super::*;
use crate::{
    AdmitNone, AttemptNote, Command, Decide, DeliverySettled, LeaseGrant, NewTransaction,
    OperatorAction, Reply, engine,
};

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn id(n: u8) -> TransactionId {
    TransactionId::from_parts(NOW, [n; 10])
}

fn new(n: u8) -> NewTransaction {
    let message = Message {
        topic: "paid".parse().expect("a topic"),
        key: String::new(),
        headers: [].into(),
        payload: bytes::Bytes::new(),
        content_type: String::new(),
        content_encoding: String::new(),
        key_id: String::new(),
    };
    NewTransaction {
        id: id(n),
        namespace: Name::default_namespace(),
        initiator: "cashier".parse().expect("a name"),
        resource_id: String::new(),
        business_key: String::new(),
        options: Options {
            allow_no_subscription: true,
            ..Options::default()
        },
        content: earnest_protocol::ContentHash([n; 32]),
        messages: vec![message],
        branches: vec![],
        traceparent: String::new(),
    }
}

fn run(batch: &mut Batch<'_>, commands: &[Command]) -> usize {
    let grant = LeaseGrant {
        epoch: NodeEpoch(0),
        admission: Arc::new(AdmitNone),
        line: crate::Line::default(),
    };
    let applied = engine::apply(batch, commands, &grant, NOW).expect("the batch runs");
    let written = applied.results.iter().flatten();
    written.filter(|reply| **reply != Reply::LostLease).count()
}

fn shown(tables: &Tables) -> String {
    let deliveries: Vec<_> = (0..9).flat_map(|n| tables.deliveries_of(id(n))).collect();
    let index = tables.index();
    format!(
        "{:#?}",
        (
            (
                tables.transactions(),
                deliveries,
                &tables.messages,
                &tables.attempts,
                &tables.audit
            ),
            (&index.free, &index.held, &index.unfinished, &index.finished),
        )
    )
}

/// Prepares 1, owes 2 to nobody and 3 to a subscription.
fn some() -> Tables {
    let mut tables = Tables::default();
    let mut batch = Batch::new(&mut tables);
    assert_eq!(run(&mut batch, &[Command::Prepare(Box::new(new(1)))]), 1);
    for n in [2, 3] {
        let mut row = batch
            .transaction(id(1))
            .expect("it reads")
            .expect("it is known");
        row.id = id(n);
        row.check_due = None;
        row.state.phase = earnest_protocol::Phase::Confirming;
        row.state.open_effects = 1;
        batch.insert_transaction(&row).expect("it is written");
        let subscription = (n == 3).then(|| "ledger".parse().expect("a name"));
        let key = DeliveryKey {
            transaction: id(n),
            ordinal: Ordinal(0),
            subscription,
        };
        let delivery = DeliveryRow {
            key,
            namespace: row.namespace.clone(),
            state: earnest_protocol::DeliveryState::Pending,
            attempts: 0,
            due: Some(NOW),
            created_at: NOW,
            done_at: None,
            parked: None,
            order: None,
            holder: None,
            token: LeaseToken::NONE,
        };
        batch.insert_delivery(&delivery).expect("it is written");
    }
    batch.keep();
    tables
}

#[test]
fn what_is_not_kept_leaves_no_trace() {
    let mut tables = some();
    let before = shown(&tables);
    let key = DeliveryKey {
        transaction: id(3),
        ordinal: Ordinal(0),
        subscription: Some("ledger".parse().expect("a name")),
    };
    let note = AttemptNote {
        node: "a".into(),
        target: "b".into(),
        code: "c".into(),
        error: "d".into(),
        duration: std::time::Duration::ZERO,
    };
    let decide = |n, decision| {
        Command::Decide(Decide {
            id: id(n),
            decision,
            initiator: None,
            namespace: Name::default_namespace(),
        })
    };
    let commands = [
        Command::Prepare(Box::new(new(4))),
        Command::Submit(Box::new(new(5))),
        decide(1, Decision::Confirm),
        decide(6, Decision::Cancel),
        Command::DeliverySettled(Box::new(DeliverySettled {
            key: key.clone(),
            token: LeaseToken::NONE,
            settled: Settled::RetryAfter(std::time::Duration::ZERO),
            note: Some(note),
        })),
        Command::Operator {
            id: id(2),
            action: OperatorAction::Park(ParkReason::new("why")),
            actor: "ada".into(),
            detail: String::new(),
        },
    ];
    let mut batch = Batch::new(&mut tables);
    assert_eq!(run(&mut batch, &commands), commands.len());
    batch.delete_delivery(&key).expect("it is there");
    drop(batch);
    assert_eq!(shown(&tables), before);
    let mut batch = Batch::new(&mut tables);
    run(&mut batch, &commands);
    batch.keep();
    assert_ne!(shown(&tables), before, "and kept, it leaves one");
}

#[test]
fn p1_a_row_that_was_written_since_it_was_read_is_not_written_over() {
    let mut tables = some();
    let read = tables.transactions()[&id(1)].clone();
    let mut batch = Batch::new(&mut tables);
    batch
        .update_transaction(&mut read.clone())
        .expect("it is as it was read");
    let late = batch.update_transaction(&mut read.clone());
    assert!(late.is_err(), "{late:?}");
}

#[test]
fn a_record_that_was_removed_for_a_newer_one_is_put_back() {
    let mut tables = some();
    let note = AttemptNote {
        node: "node".into(),
        target: String::new(),
        code: "unreachable".into(),
        error: String::new(),
        duration: std::time::Duration::ZERO,
    };
    let mut fail = |keep: bool| {
        let row = &tables.transactions()[&id(1)];
        let failed = Command::CheckedBack {
            id: id(1),
            token: row.token,
            answer: earnest_protocol::CheckBackAnswer::Unknown,
            jitter: earnest_protocol::Jitter(0),
            note: note.clone(),
        };
        let before = shown(&tables);
        let mut batch = Batch::new(&mut tables);
        assert_eq!(run(&mut batch, &[failed]), 1);
        if keep {
            batch.keep();
        } else {
            drop(batch);
            assert_eq!(shown(&tables), before);
        }
    };
    for _ in 0..25 {
        fail(true);
    }
    fail(false);
    fail(true);
    let numbers: Vec<_> = tables.attempts[&id(1)]
        .iter()
        .map(|row| row.number)
        .collect();
    assert_eq!(numbers, (1..=5).chain(7..=26).collect::<Vec<_>>());
}
