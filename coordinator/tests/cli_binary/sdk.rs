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

/// Migrates twice; returns what was said. The URL goes through the environment, as a password should.
async fn migrated_on(database: &earnest_harness::Database) {
    let url = database.url().to_owned();
    let migrate = move || {
        let directory = tempfile::tempdir().unwrap();
        let mut command = earnest(directory.path());
        run(command.args(["sdk", "migrate"]).env("DATABASE_URL", &url))
            .ok()
            .out
    };
    let said = tokio::task::spawn_blocking(move || [migrate(), migrate()]);
    let [first, again] = said.await.unwrap();
    assert!(first.contains("has Earnest's tables now"), "{first}");
    assert!(again.contains("already"), "{again}");
    // Of the place, and of nobody who may enter it.
    let name = database.url().rsplit_once('/').unwrap().1;
    assert!(first.contains(name) && !first.contains('@'), "{first}");
}

#[tokio::test]
async fn migrates_postgres_once_and_again() {
    migrated_on(&earnest_harness::postgres().await).await;
}

#[tokio::test]
async fn migrates_mysql_once_and_again() {
    migrated_on(&earnest_harness::mariadb().await).await;
}

#[test]
fn prints_each_databases_own_schema_and_connects_to_nothing() {
    for (url, own) in [
        ("postgres:", "UUID    NOT NULL"),
        (
            "postgresql://user:secret@nowhere.invalid/db",
            "UUID    NOT NULL",
        ),
        ("mysql:", "ENGINE = InnoDB"),
        (
            "mariadb://user:secret@nowhere.invalid/db",
            "ENGINE = InnoDB",
        ),
    ] {
        let printed = alone(&["sdk", "migrate", url, "--print"]).ok().out;
        assert!(
            printed.contains(own) && printed.contains("GRANT"),
            "{url}: {printed}"
        );
        assert!(!printed.contains("secret"), "{url}: {printed}");
    }
}

#[test]
fn mistakes_say_what_to_do_and_show_no_password() {
    alone(&["sdk", "migrate", "sqlite:"]).failed(2);
    let unknown = alone(&["sdk", "migrate", "oracle://user:secret@host/db"]).failed(2);
    assert!(unknown.err.contains("postgres://"), "{unknown:#?}");
    let nowhere = alone(&["sdk", "migrate", "sqlite:no/such/directory/x.db"]).failed(1);
    assert!(nowhere.err.contains("check the path"), "{nowhere:#?}");
    let unnamed = alone(&["sdk", "migrate", "mysql://user:secret@127.0.0.1:9"]).failed(1);
    assert!(unnamed.err.contains("names no database"), "{unnamed:#?}");
    for url in [
        "postgres://user:secret@127.0.0.1:9/db",
        "mysql://user:secret@127.0.0.1:9/db",
    ] {
        let away = alone(&["sdk", "migrate", url]).failed(1);
        assert!(away.err.contains("is the server running?"), "{away:#?}");
        assert!(away.err.contains("127.0.0.1:9/db"), "{away:#?}");
        assert!(!away.err.contains("secret"), "{away:#?}");
    }
    assert!(!unknown.err.contains("secret") && !unnamed.err.contains("secret"));
}
