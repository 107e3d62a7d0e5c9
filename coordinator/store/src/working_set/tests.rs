use earnest_protocol::{DeliveryState, LeaseToken, Name, Ordinal, Timestamp, TransactionId};

use super::{WorkingSet, queue::WINDOW};
use crate::{DeliveryKey, DeliveryRow, engine::Rows};

fn name() -> Name {
    "ledger".parse().expect("a name")
}

/// The delivery at `position` of key `k`.
fn at(position: i64, state: DeliveryState) -> DeliveryRow {
    let made = Timestamp::from_micros(position * 1_000);
    DeliveryRow {
        key: DeliveryKey {
            transaction: TransactionId::from_parts(made, [0; 10]),
            ordinal: Ordinal(0),
            subscription: Some(name()),
        },
        namespace: name(),
        state,
        attempts: 0,
        due: None,
        created_at: made,
        done_at: (state == DeliveryState::Done).then_some(made),
        parked: None,
        order: Some(("k".into(), position)),
        holder: None,
        token: LeaseToken::NONE,
    }
}

/// A set that has fetched `open` of the key, whose last position is `last`.
fn fetched(open: std::ops::RangeInclusive<i64>, last: i64, complete: bool) -> WorkingSet {
    let mut set = WorkingSet::default();
    let rows = open.map(|n| at(n, DeliveryState::Pending)).collect();
    set.put_queue((name(), name(), "k".into()), Some(last), rows, complete);
    set
}

fn head(set: &mut WorkingSet) -> Option<i64> {
    let head = set.order_head(&name(), &name(), "k").ok()?;
    head.and_then(|row| row.order).map(|(_, position)| position)
}

#[test]
fn p9_key_that_was_not_fetched_is_missing() {
    let mut set = WorkingSet::default();
    assert!(set.order_tail(&name(), &name(), "k").is_err());
    let missing = set.take_missing();
    assert_eq!(
        missing.queues.values().copied().collect::<Vec<_>>(),
        [WINDOW]
    );
    assert!(set.take_missing().is_empty());
}

#[test]
fn p9_next_is_found_behind_what_the_batch_ends() {
    let mut set = fetched(3..=5, 5, true);
    assert_eq!(head(&mut set), Some(3));
    for (done, next) in [(3, Some(4)), (4, Some(5)), (5, None)] {
        set.update_delivery(&at(done, DeliveryState::Done))
            .expect("it is there");
        assert_eq!(head(&mut set), next);
    }
    let tail = set
        .order_tail(&name(), &name(), "k")
        .expect("all is fetched");
    assert_eq!(tail, Some((5, false)), "and nothing waits");
}

#[test]
fn p9_what_lies_behind_the_fetched_is_never_passed_over() {
    // The batch ends all that was fetched, and adds to the end.
    let mut set = fetched(1..=2, 9, false);
    for done in [1, 2] {
        set.update_delivery(&at(done, DeliveryState::Done))
            .expect("it is there");
    }
    let new = at(10, DeliveryState::Pending);
    set.insert_delivery(&new).expect("there is none");
    assert_eq!(head(&mut set), None);
    let missing = set.take_missing();
    assert!(
        missing.queues.values().all(|wanted| *wanted > WINDOW),
        "{missing:?}"
    );
    assert!(!missing.is_empty(), "position 3 comes next, not 10");
}

#[test]
fn r1_only_what_differs_is_written_and_with_what_was_read() {
    let mut set = fetched(1..=3, 3, true);
    let mut row = at(2, DeliveryState::Parked);
    row.token = LeaseToken(1);
    set.update_delivery(&row).expect("it is there");
    set.delete_delivery(&at(3, DeliveryState::Pending).key)
        .expect("it is there");
    let writes = set.writes();
    let [(read, written)] = writes.deliveries[..] else {
        panic!("one row: {:?}", writes.deliveries)
    };
    assert_eq!(
        (read.token, written.token),
        (LeaseToken::NONE, LeaseToken(1))
    );
    assert_eq!(
        writes.removed_deliveries,
        [&at(3, DeliveryState::Pending).key]
    );
    assert!(writes.new_deliveries.is_empty());
    assert!(
        set.update_delivery(&at(3, DeliveryState::Done)).is_err(),
        "it is gone"
    );
}
