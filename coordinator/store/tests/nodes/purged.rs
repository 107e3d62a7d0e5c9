//! What the purge leaves behind.

use earnest_store::conformance::{Subject, whole_life};

/// Not a row of a finished transaction stays in any table. `count` counts a table's.
pub(crate) async fn purge_leaves_no_row_in_any_table(
    s: &Subject,
    count: impl AsyncFn(&str) -> i64,
) {
    whole_life::lived(s).await;
    for table in whole_life::TABLES {
        assert!(count(table).await > 0, "{table} has nothing to be purged");
    }
    whole_life::purged(s).await;
    for table in whole_life::TABLES {
        assert_eq!(count(table).await, 0, "{table}");
    }
}
