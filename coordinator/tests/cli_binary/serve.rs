//! `earnest serve`: what it says when it starts, and when it can't.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt};

use super::support::{Served, earnest, run};

#[test]
fn says_where_it_serves_how_durable_it_is_and_what_comes_next() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path(), &[]);
    for part in [
        "http://127.0.0.1:",
        "sqlite:earnest.db",
        "synchronous=full, durable",
        "earnest subscription add",
    ] {
        assert!(served.ready.contains(part), "{part} in: {}", served.ready);
    }
    run(earnest(directory.path()).args(["tx", "list", "--server", &served.url])).ok();
    run(earnest(directory.path()).args(["tx", "list", "--server", served.address()])).ok();
    served.stop();
    assert!(directory.path().join("earnest.db").exists());
}

#[test]
fn a_port_in_use_says_who_may_have_it_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let done = run(earnest(directory.path()).args(["serve", "--listen", &address])).failed(1);
    for part in [
        &*address,
        "in use",
        "--listen",
        "held by process",
        &std::process::id().to_string(),
    ] {
        assert!(done.err.contains(part), "{part}: {done:#?}");
    }
    assert!(
        !directory.path().join("earnest.db").exists(),
        "the database was not touched"
    );
}

#[test]
fn one_database_takes_one_coordinator() {
    let directory = tempfile::tempdir().unwrap();
    let first = Served::start(directory.path(), &[]);
    let done = run(earnest(directory.path()).args(["serve", "--listen", "127.0.0.1:0"])).failed(1);
    assert!(
        done.err.contains("another coordinator is running"),
        "{done:#?}"
    );
    first.stop();
}

#[test]
fn a_newer_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    Served::start(directory.path(), &[]).stop();
    let path = directory.path().join("earnest.db");
    let mut file = fs::read(&path).unwrap();
    // SQLite keeps user_version at byte 60 of the file.
    file[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(&path, file).unwrap();
    let done = run(earnest(directory.path()).args(["serve", "--listen", "127.0.0.1:0"])).failed(1);
    assert!(
        done.err.contains("schema version 99") && done.err.contains("newer"),
        "{done:#?}"
    );
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("earnest.db"),
        "no database at all ".repeat(100),
    )
    .unwrap();
    let done = run(earnest(directory.path()).args(["serve", "--listen", "127.0.0.1:0"])).failed(1);
    assert!(done.err.contains("not an SQLite database"), "{done:#?}");
}

#[test]
fn a_place_that_cannot_be_written_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let serve = |database: &str| {
        run(earnest(directory.path()).args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--database",
            database,
        ]))
        .failed(1)
    };
    let done = serve("no/such/directory/x.db");
    assert!(done.err.contains("directory doesn't exist"), "{done:#?}");
    let done = serve(directory.path().to_str().unwrap());
    assert!(done.err.contains("is a directory"), "{done:#?}");

    let closed = directory.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write anywhere; then there is nothing to refuse.
    if fs::write(closed.join("probe"), "").is_err() {
        let done = serve("closed/x.db");
        assert!(done.err.contains("writable"), "{done:#?}");
    }
}

#[test]
fn configured_subscriptions_and_services_are_put_and_a_pause_survives() {
    let directory = tempfile::tempdir().unwrap();
    let file = "[[subscription]]\nname = \"ledger\"\ntopic = \"payments\"\nservice = \"ledger\"\n\n\
                [[service]]\nname = \"ledger\"\nendpoints = [{ url = \"http://127.0.0.1:1\", protocol = \"http\" }]\n";
    fs::write(directory.path().join("earnest.toml"), file).unwrap();
    let served = Served::start(directory.path(), &[]);
    let ask = |url: &str, arguments: &[&str]| {
        run(earnest(directory.path())
            .args(arguments)
            .args(["--json", "--server", url]))
        .ok()
        .json()
    };
    ask(
        &served.url,
        &[
            "subscription",
            "add",
            "audit",
            "--topic",
            "payments",
            "--service",
            "audit",
        ],
    );
    ask(&served.url, &["subscription", "pause", "ledger"]);
    assert_eq!(
        ask(&served.url, &["service", "show", "ledger"])["service"]["endpoints"][0]["protocol"],
        "HTTP"
    );
    served.stop();

    let served = Served::start(directory.path(), &[]);
    let list = ask(&served.url, &["subscription", "list"]);
    let known = list["subscriptions"].as_array().unwrap();
    let paused = |name: &str| {
        let of = known
            .iter()
            .find(|status| status["subscription"]["name"] == name);
        of.unwrap_or_else(|| panic!("{name} in {list}"))["subscription"]["paused"].clone()
    };
    assert_eq!(
        paused("ledger"),
        true,
        "a restart doesn't undo an operator's pause"
    );
    assert_eq!(
        paused("audit"),
        false,
        "what the file doesn't name is left alone"
    );
    served.stop();
}
