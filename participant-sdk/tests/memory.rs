//! The database in memory behaves as a server does, in tokio's time.

use std::time::Duration;

use earnest::{
    Error, Timeouts,
    memory::{Database, Earnest, Fault, Operation, Tx},
};
use earnest_proto::v1::{CheckBackRequest, CheckBackResult, participant_client::ParticipantClient};
use tokio::time::{Instant, sleep};

/// Nobody listens there, and nobody needs to.
const NOWHERE: &str = "http://127.0.0.1:9";

async fn connect(database: &Database, fence: Duration) -> Earnest {
    let timeouts = Timeouts {
        fence,
        ..Timeouts::default()
    };
    Earnest::service("cashier")
        .pool(database.from_elsewhere())
        .timeouts(timeouts)
        .connect(NOWHERE)
        .await
        .unwrap()
}

async fn asked(earnest: &Earnest, id: String) -> CheckBackResult {
    let request = CheckBackRequest {
        transaction_id: id,
        namespace: "default".to_owned(),
        service: "cashier".to_owned(),
        resource_id: earnest.resource_id().to_owned(),
        created_at_us: 1,
        attempt: 1,
        traceparent: String::new(),
    };
    ParticipantClient::new(earnest.participant_service())
        .check_back(request)
        .await
        .unwrap()
        .into_inner()
        .result()
}

async fn increment(tx: &mut Tx) {
    tx.update("counter", |old| {
        let old = old.map_or(0, |old| String::from_utf8(old).unwrap().parse().unwrap());
        Some((old + 1_i32).to_string().into_bytes())
    })
    .await
    .unwrap();
}

/// Only COMMITs fail.
fn fail_commits(database: &Database, fault: Fault) {
    database.inject(move |next| (next == Operation::Commit).then_some(fault));
}

#[tokio::test(start_paused = true)]
async fn p5_a_commit_that_lands_late_is_waited_for() {
    let database = Database::new("d");
    let earnest = connect(&database, Duration::from_secs(30)).await;
    let mut tx = earnest.begin().await.unwrap();
    tx.put("order", "1").await.unwrap();
    let began = Instant::now();
    fail_commits(&database, Fault::UnansweredFor(Duration::from_secs(3)));
    let committing = tokio::spawn(tx.commit());
    // The fault is for the first COMMIT; the fence's own goes well.
    tokio::task::yield_now().await;
    database.heal();
    assert_eq!(database.row("order"), None);
    committing.await.unwrap().unwrap();
    assert_eq!(database.row("order").as_deref(), Some(&b"1"[..]));
    assert!(began.elapsed() >= Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn p5_an_outcome_that_lands_after_all_patience_is_unknown_and_never_rolled_back() {
    let database = Database::new("d");
    let earnest = connect(&database, Duration::from_secs(2)).await;
    let mut tx = earnest.begin().await.unwrap();
    let id = tx.id();
    tx.put("order", "1").await.unwrap();
    fail_commits(&database, Fault::UnansweredFor(Duration::from_mins(1)));
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error:?}");
    database.heal();
    for _ in 0..3 {
        let answer = asked(&earnest, id.to_string()).await;
        assert_eq!(answer, CheckBackResult::InProgress);
    }
    sleep(Duration::from_mins(1)).await;
    let answer = asked(&earnest, id.to_string()).await;
    assert_eq!(answer, CheckBackResult::Committed);
    assert_eq!(database.committed(id), Some(true));
    assert_eq!(database.outcomes(), [(id, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_crash_takes_what_was_not_committed_and_nothing_else() {
    let database = Database::new("d");
    let earnest = connect(&database, Duration::from_secs(2)).await;
    let mut tx = earnest.begin().await.unwrap();
    increment(&mut tx).await;
    tx.commit().await.unwrap();
    let mut tx = earnest.begin().await.unwrap();
    increment(&mut tx).await;
    let id = tx.id();
    database.crash();
    assert!(tx.get("counter").await.is_err());
    assert!(tx.commit().await.is_err());
    assert_eq!(
        asked(&earnest, id.to_string()).await,
        CheckBackResult::RolledBack
    );
    let mut tx = earnest.begin().await.unwrap();
    increment(&mut tx).await;
    tx.commit().await.unwrap();
    assert_eq!(database.rows(), [("counter".to_owned(), b"2".to_vec())]);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_being_written_is_waited_for_and_no_update_is_lost() {
    let database = Database::new("d");
    let earnest = connect(&database, Duration::from_secs(2)).await;
    let tasks = (0..20).map(|_| {
        let earnest = earnest.clone();
        tokio::spawn(async move {
            let mut tx = earnest.begin().await.unwrap();
            increment(&mut tx).await;
            sleep(Duration::from_millis(10)).await;
            tx.commit().await.unwrap();
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(database.row("counter").as_deref(), Some(&b"20"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_stays_locked_ends_the_patience_and_the_transaction() {
    let database = Database::new("d");
    database.set_lock_timeout(Duration::from_millis(100));
    let earnest = connect(&database, Duration::from_secs(2)).await;
    let mut first = earnest.begin().await.unwrap();
    first.put("row", "first").await.unwrap();
    let mut second = earnest.begin().await.unwrap();
    second.put("other", "second").await.unwrap();
    assert!(second.put("row", "second").await.is_err());
    // Its fence row is gone with the rest.
    let error = second.commit().await.unwrap_err();
    assert!(matches!(error, Error::Database(_)), "{error:?}");
    first.commit().await.unwrap();
    assert_eq!(database.rows(), [("row".to_owned(), b"first".to_vec())]);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_cut_off_takes_only_its_own_connections_along() {
    let database = Database::new("d");
    let here = database.from_elsewhere();
    let cut_off = Earnest::service("cashier")
        .pool(here.clone())
        .connect(NOWHERE)
        .await
        .unwrap();
    let other = connect(&database, Duration::from_secs(2)).await;
    let mut tx = cut_off.begin().await.unwrap();
    tx.put("row", "cut off").await.unwrap();
    here.set_reachable(false);
    assert!(cut_off.begin().await.is_err());
    assert!(tx.get("row").await.is_err());
    let mut tx = other.begin().await.unwrap();
    tx.put("row", "other").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(database.row("row").as_deref(), Some(&b"other"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_copy_has_what_was_committed_and_goes_its_own_way() {
    let database = Database::new("d");
    let earnest = connect(&database, Duration::from_secs(2)).await;
    let mut tx = earnest.begin().await.unwrap();
    tx.put("row", "1").await.unwrap();
    let open = database.copy();
    tx.commit().await.unwrap();
    let committed = database.copy();
    assert_eq!(open.rows(), []);
    assert_eq!(committed.rows(), database.rows());
    let earnest = connect(&committed, Duration::from_secs(2)).await;
    assert_eq!(earnest.resource_id(), "d");
    let mut tx = earnest.begin().await.unwrap();
    tx.delete("row").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(committed.rows(), []);
    assert_eq!(database.rows().len(), 1);
}
