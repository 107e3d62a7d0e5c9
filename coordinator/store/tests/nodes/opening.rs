//! Starting: several nodes at once, a database of another version, mistakes.

use earnest_store::conformance::TestClock;

use super::outage::Open;

/// Several nodes start at once on a new database: one makes the schema, the others find it.
pub(crate) async fn nodes_that_start_at_once_make_one_schema(url: &str, open: impl Open) {
    let clock = TestClock::default();
    let start = async || open(url, &clock).await.map(drop);
    let pair = async || tokio::join!(start(), start());
    let (a, b, c, d) = tokio::join!(pair(), pair(), pair(), pair());
    for (one, other) in [a, b, c, d] {
        one.and(other).expect("they open");
    }
}

/// A newer version's database is left alone, and the error says what to do. `age` makes it one of version 99.
pub(crate) async fn newer_schema_is_refused(url: &str, open: impl Open, age: impl AsyncFn()) {
    let clock = TestClock::default();
    drop(open(url, &clock).await.expect("it opens"));
    age().await;
    let error = open(url, &clock).await.map(drop);
    let shown = error.expect_err("it is refused").to_string();
    assert!(
        shown.contains("newer Earnest") && shown.contains("99"),
        "{shown}"
    );
}

/// Mistakes of whoever starts the program say what to do, and no text shows the password, which is `hush`.
pub(crate) async fn mistakes_say_what_to_do(mistakes: &[(String, &str)], open: impl Open) {
    let clock = TestClock::default();
    for (url, says) in mistakes {
        let error = open(url, &clock).await.map(drop).expect_err("a mistake");
        assert!(error.to_string().contains(says), "{error}");
        assert!(!format!("{error:?} {error}").contains("hush"), "{error:?}");
    }
}
