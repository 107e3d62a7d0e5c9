//! `earnest sdk migrate`.

use super::support::{alone, earnest, run};

#[test]
fn migrates_once_and_again() {
    let directory = tempfile::tempdir().unwrap();
    let migrate = || {
        run(earnest(directory.path()).args(["sdk", "migrate", "sqlite:cashier.db"]))
            .ok()
            .out
    };
    assert!(migrate().contains("has Earnest's tables now"));
    let before = std::fs::read(directory.path().join("cashier.db")).unwrap();
    assert!(migrate().contains("already"));
    assert_eq!(
        std::fs::read(directory.path().join("cashier.db")).unwrap(),
        before
    );
}

#[test]
fn prints_the_schema_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let done = run(earnest(directory.path()).args([
        "sdk",
        "migrate",
        "sqlite://cashier.db?mode=rwc",
        "--print",
    ]))
    .ok();
    assert!(
        done.out
            .contains("CREATE TABLE IF NOT EXISTS earnest_fence")
    );
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn other_databases_are_not_there_yet() {
    for url in ["postgres://user:secret@host/db", "mysql://host/db"] {
        let done = alone(&["sdk", "migrate", url]).failed(2);
        assert!(
            done.err.contains("not supported yet") && !done.err.contains("secret"),
            "{done:#?}"
        );
    }
    alone(&["sdk", "migrate", "sqlite:"]).failed(2);
    let nowhere = alone(&["sdk", "migrate", "sqlite:no/such/directory/x.db"]).failed(1);
    assert!(nowhere.err.contains("check the path"), "{nowhere:#?}");
}
