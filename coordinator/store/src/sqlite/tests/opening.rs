//! Opening: every mistake of whoever starts the program is told apart, with what to do.

use std::fs;

use rusqlite::Connection;

use super::{apply, directory, open, prepared, refusal, subscribe};
use crate::{QueryStore, Store, conformance::id};

#[tokio::test]
async fn what_was_written_is_there_after_opening_again() {
    let dir = directory();
    let path = dir.path().join("earnest.db");
    let store = open(&path);
    subscribe(&store).await;
    apply(&store, vec![prepared(1)]).await.unwrap();
    let before = store.detail(id(1)).await.unwrap().unwrap();
    drop(store);
    let after = open(&path).detail(id(1)).await.unwrap().unwrap();
    assert_eq!(before.transaction, after.transaction);
    assert_eq!(before.messages, after.messages);
}

#[tokio::test]
async fn closing_leaves_nothing_in_the_log() {
    let dir = directory();
    let path = dir.path().join("earnest.db");
    let store = open(&path);
    subscribe(&store).await;
    drop(store);
    let log = fs::metadata(dir.path().join("earnest.db-wal")).map_or(0, |file| file.len());
    assert_eq!(log, 0);
}

#[tokio::test]
async fn a_commit_is_durable_as_read_from_the_connection() {
    let dir = directory();
    let durability = open(&dir.path().join("earnest.db"))
        .durability()
        .await
        .unwrap();
    assert_eq!(durability.settings, "journal_mode=wal synchronous=full");
    assert!(durability.durable);
}

#[test]
fn a_second_coordinator_is_refused_while_the_first_runs() {
    let dir = directory();
    let path = dir.path().join("earnest.db");
    let first = open(&path);
    let why = refusal(&path);
    assert!(why.contains("another coordinator is running"), "{why}");
    drop(first);
    drop(open(&path));
}

#[cfg(unix)]
#[test]
fn a_link_to_the_file_is_the_same_file() {
    let dir = directory();
    let path = dir.path().join("earnest.db");
    let _first = open(&path);
    let link = dir.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let why = refusal(&link);
    assert!(why.contains("another coordinator is running"), "{why}");
}

#[test]
fn a_newer_schema_is_refused() {
    let dir = directory();
    let path = dir.path().join("earnest.db");
    drop(open(&path));
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 7)
        .unwrap();
    let why = refusal(&path);
    assert!(
        why.contains("schema version 7, written by a newer Earnest"),
        "{why}"
    );
}

#[test]
fn another_programs_database_is_refused_and_left_alone() {
    let dir = directory();
    let path = dir.path().join("other.db");
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        .unwrap();
    drop(other);
    let why = refusal(&path);
    assert!(why.contains("another program"), "{why}");
    let tables: i64 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let dir = directory();
    let path = dir.path().join("earnest.db");
    fs::write(
        &path,
        "not a database, but long enough to be taken for one. ".repeat(40),
    )
    .unwrap();
    let why = refusal(&path);
    assert!(why.contains("is not an SQLite database"), "{why}");
}

#[test]
fn a_damaged_file_is_refused() {
    let dir = directory();
    let path = dir.path().join("earnest.db");
    drop(open(&path));
    let mut bytes = fs::read(&path).unwrap();
    bytes[100..4_000].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let why = refusal(&path);
    assert!(why.contains("is damaged"), "{why}");
}

#[test]
fn a_directory_is_refused() {
    let dir = directory();
    let why = refusal(dir.path());
    assert!(why.contains("is a directory"), "{why}");
}

#[test]
fn a_directory_that_is_not_there_is_refused() {
    let dir = directory();
    let why = refusal(&dir.path().join("no/such/earnest.db"));
    assert!(why.contains("directory doesn't exist"), "{why}");
}

#[cfg(unix)]
#[test]
fn an_unwritable_place_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = directory();
    let place = dir.path().join("place");
    fs::create_dir(&place).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o555)).unwrap();
    // Whoever may do everything may write here too; for them a place that nobody can write to.
    let may_all = fs::write(place.join("probe"), "").is_ok();
    let path = if may_all {
        "/proc/earnest.db".into()
    } else {
        place.join("earnest.db")
    };
    let why = refusal(&path);
    assert!(why.contains("writable"), "{why}");
}
