//! R5: what was acknowledged can be asked for, and a store that doesn't have it is not written to.

use std::time::Duration;

use super::{Subject, confirm, message, no_grant, prepare, transaction};
use crate::{Clock, LeaseGrant, Line, Loss, Mark, StoreError};

fn on(line: Line) -> LeaseGrant {
    LeaseGrant { line, ..no_grant() }
}

async fn write(s: &Subject, n: u8, line: Line) -> Mark {
    let applied = s
        .batch(vec![prepare(transaction(n, vec![]))], on(line))
        .await;
    applied.mark.expect("it was written")
}

async fn forgot(s: &Subject, n: u8, line: Line) -> Loss {
    let before = s.dump().await;
    let batch = [prepare(transaction(n, vec![]))];
    let error = s
        .store
        .apply(&batch, on(line))
        .await
        .expect_err("it must be refused");
    assert!(error.is_retryable(), "{error}");
    let StoreError::Forgot(loss) = error else {
        panic!("another error: {error:?}")
    };
    assert_eq!(s.dump().await, before, "nothing is written");
    *loss
}

/// A batch that writes moves its line on by one, and no other line.
pub async fn r5_batch_that_writes_advances_its_line(s: Subject) {
    let (mut one, two) = (
        Line { id: 11, last: None },
        Line {
            id: -12,
            last: None,
        },
    );
    let first = write(&s, 1, one).await;
    assert_eq!((first.incarnation, first.line, first.batches), (1, 11, 1));
    one.last = Some(first);
    s.advance(Duration::from_secs(1));
    let second = write(&s, 2, one).await;
    assert_eq!((second.line, second.batches), (11, 2));
    assert_eq!(second.at.since(first.at), Duration::from_secs(1));
    assert_eq!(write(&s, 3, two).await.batches, 1);
    let refused = s.batch(vec![confirm(9)], on(one)).await;
    assert_eq!((refused.results[0].is_err(), refused.mark), (true, None));
    let recall = s.store.recall(&[11, -12, 13]).await.expect("it answers");
    let mut lines: Vec<_> = recall
        .lines
        .iter()
        .map(|(line, count)| (*line, *count))
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, [(-12, 1), (11, 2)]);
    assert_eq!((recall.incarnation, recall.losses.len()), (1, 0));
    assert_eq!(recall.missing(&second), None);
}

/// Where less is found than was acknowledged, nothing is written, not even a refusal is told.
pub async fn r5_store_that_forgot_is_not_written_to(s: Subject) {
    let line = Line { id: 11, last: None };
    let there = write(&s, 1, line).await;
    let ahead = |last: Mark| Line {
        id: last.line,
        last: Some(last),
    };
    for (acknowledged, found) in [
        (
            Mark {
                batches: 5,
                ..there
            },
            Some(1),
        ),
        (Mark { line: 99, ..there }, None),
        (
            Mark {
                incarnation: 2,
                ..there
            },
            None,
        ),
    ] {
        let loss = forgot(&s, 2, ahead(acknowledged)).await;
        assert_eq!(
            loss,
            Loss {
                acknowledged,
                found
            }
        );
        let unknown = [confirm(77)];
        let answered = s.store.apply(&unknown, on(ahead(acknowledged))).await;
        assert!(
            matches!(answered, Err(StoreError::Forgot(_))),
            "{answered:?}"
        );
    }
    assert_eq!(write(&s, 2, ahead(there)).await.batches, 2);
}

/// A loss stays until a person accepts it, which leaves an audit line and begins anew: what was acknowledged before no
/// longer counts.
pub async fn r5_loss_is_reported_until_it_is_accepted(s: Subject) {
    s.subscribe("ledger", "paid").await;
    s.ok(prepare(transaction(1, vec![message("paid")]))).await;
    let there = write(&s, 2, Line { id: 11, last: None }).await;
    s.advance(Duration::from_secs(5));
    let lost = Mark {
        batches: 3,
        at: s.clock.now(),
        ..there
    };
    assert_eq!(
        s.store.report_loss(&there, "a").await.expect("it runs"),
        None
    );
    assert!(
        s.store
            .accept_losses("ops", "")
            .await
            .expect("it runs")
            .is_empty()
    );
    s.advance(Duration::from_secs(5));

    let row = s
        .store
        .report_loss(&lost, "a")
        .await
        .expect("it runs")
        .expect("a loss");
    assert_eq!(
        row.loss,
        Loss {
            acknowledged: lost,
            found: Some(1)
        }
    );
    assert_eq!(
        (row.kept_until, row.noticed_by.as_str()),
        (Some(there.at), "a")
    );
    assert_eq!(row.noticed_at, s.clock.now());
    let again = s
        .store
        .report_loss(&Mark { batches: 2, ..lost }, "b")
        .await
        .expect("it runs");
    assert_eq!(
        again.expect("a loss").loss.acknowledged.batches,
        3,
        "the highest stays"
    );
    let other = Mark {
        incarnation: 4,
        line: 12,
        ..lost
    };
    s.store
        .report_loss(&other, "b")
        .await
        .expect("it runs")
        .expect("a loss");
    let known = s.store.recall(&[]).await.expect("it answers").losses;
    assert_eq!((known.len(), &known[0]), (2, &row));

    let accepted = s
        .store
        .accept_losses("ops", "ticket 12")
        .await
        .expect("it runs");
    assert_eq!(accepted, known);
    let recall = s.store.recall(&[11]).await.expect("it answers");
    assert_eq!((recall.incarnation, recall.losses.len()), (5, 0));
    assert_eq!(
        s.store.report_loss(&lost, "a").await.expect("it runs"),
        None
    );
    let audit = s.store.audit(1).await.expect("it answers").remove(0);
    assert_eq!(
        (audit.actor.as_str(), audit.action.as_str()),
        ("ops", "accept-database-loss")
    );
    assert!(
        audit.detail.starts_with("ticket 12 [incarnation 5 begins"),
        "{}",
        audit.detail
    );
    assert!(
        audit.detail.contains("remembers 1 batches"),
        "{}",
        audit.detail
    );
    let next = write(
        &s,
        3,
        Line {
            id: 11,
            last: Some(lost),
        },
    )
    .await;
    assert_eq!((next.incarnation, next.batches), (5, 1));
}
