//! `earnest subscription` and `earnest service` against a running node.

use super::support::{World, alone};

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_from_add_to_remove() {
    let world = World::start().await;
    assert!(
        world
            .earnest(&["subscription", "list"])
            .await
            .ok()
            .out
            .contains("no subscriptions")
    );
    let add = [
        "subscription",
        "add",
        "ledger",
        "--topic",
        "payments",
        "--service",
        "ledger",
    ];
    assert!(world.earnest(&add).await.ok().out.contains("is there now"));
    assert!(
        world
            .earnest(&add)
            .await
            .ok()
            .out
            .contains("nothing was changed")
    );

    let other = [&add[..], &["--ordered"]].concat();
    let refused = world.earnest(&other).await.failed(1);
    assert!(
        refused.err.contains("--replace") && refused.err.contains("EXISTS"),
        "{refused:#?}"
    );
    assert!(
        world
            .earnest(&[&other[..], &["--replace"]].concat())
            .await
            .ok()
            .out
            .contains("is replaced")
    );

    let table = world.earnest(&["subscription", "list"]).await.ok().out;
    assert!(
        table.contains("ledger") && table.contains("service ledger") && table.contains("active"),
        "{table}"
    );
    assert!(!table.contains('\x1b'), "no colours in a pipe");
    let shown = world
        .earnest(&["subscription", "show", "ledger"])
        .await
        .ok()
        .out;
    assert!(shown.contains("ordered      yes"), "{shown}");

    world
        .earnest(&["subscription", "pause", "ledger"])
        .await
        .ok();
    let paused = world
        .earnest(&["subscription", "show", "ledger", "--json"])
        .await
        .ok()
        .json();
    assert_eq!(paused["subscription"]["paused"], true);
    world
        .earnest(&["subscription", "resume", "ledger"])
        .await
        .ok();
    world
        .earnest(&["subscription", "remove", "ledger"])
        .await
        .ok();
    for command in ["show", "remove", "pause"] {
        let gone = world
            .earnest(&["subscription", command, "ledger"])
            .await
            .failed(1);
        assert!(gone.err.contains("what to do:"), "{gone:#?}");
    }
    world.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_from_add_to_remove() {
    let world = World::start().await;
    assert!(
        world
            .earnest(&["service", "list"])
            .await
            .ok()
            .out
            .contains("no services")
    );
    world
        .earnest(&[
            "service",
            "add",
            "ledger",
            "http://127.0.0.1:1",
            "--url",
            "http://127.0.0.1:2",
        ])
        .await
        .ok();
    world
        .earnest(&[
            "service",
            "add",
            "ledger",
            "http://127.0.0.1:3/x",
            "--protocol",
            "http",
        ])
        .await
        .ok();
    let shown = world.earnest(&["service", "show", "ledger"]).await.ok().out;
    assert_eq!(shown.matches("http://127.0.0.1:").count(), 3, "{shown}");
    world
        .earnest(&[
            "service",
            "add",
            "ledger",
            "http://127.0.0.1:4",
            "--replace",
        ])
        .await
        .ok();
    let list = world.earnest(&["service", "list"]).await.ok().out;
    assert!(
        list.contains("http://127.0.0.1:4") && !list.contains("127.0.0.1:3"),
        "{list}"
    );

    let wrong = world
        .earnest(&["service", "add", "ledger", "127.0.0.1:4"])
        .await
        .failed(1);
    assert!(wrong.err.contains("http://host:8080"), "{wrong:#?}");
    world.earnest(&["service", "remove", "ledger"]).await.ok();
    world
        .earnest(&["service", "remove", "ledger"])
        .await
        .failed(1);
    world.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_what_rest_answers() {
    let world = World::start().await;
    world
        .earnest(&[
            "subscription",
            "add",
            "a",
            "--topic",
            "t",
            "--webhook-url",
            "http://127.0.0.1:1/x",
        ])
        .await
        .ok();
    world
        .earnest(&["service", "add", "s", "http://127.0.0.1:1"])
        .await
        .ok();
    let pairs: [(&[&str], &str); 4] = [
        (&["subscription", "list"], "/v1/subscriptions"),
        (&["subscription", "show", "a"], "/v1/subscriptions/a"),
        (&["service", "list"], "/v1/services"),
        (&["service", "show", "s"], "/v1/services/s"),
    ];
    for (command, path) in pairs {
        let ours = world
            .earnest(&[command, &["--json"]].concat())
            .await
            .ok()
            .json();
        assert_eq!(ours, world.rest(path).await, "{path}");
    }
    world.node.shutdown().await;
}

#[test]
fn an_unreachable_coordinator_has_a_code_of_its_own() {
    // Bound and not listening: nobody can be there.
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let server = format!("http://127.0.0.1:{port}");
    let done = alone(&["tx", "list", "--server", &server]).failed(3);
    for part in [
        &*server,
        "can't be reached",
        "earnest serve",
        "EARNEST_SERVER",
    ] {
        assert!(done.err.contains(part), "{part}: {done:#?}");
    }
    let done = alone(&["service", "list", "--json", "--server", &server]).failed(3);
    let error: serde_json::Value = serde_json::from_str(&done.err).unwrap();
    assert_eq!(error["code"], "UNREACHABLE");
    alone(&["tx", "list", "--server", "https://127.0.0.1:1"]).failed(2);
    alone(&["tx", "list", "--server", "ftp://127.0.0.1:1"]).failed(2);
}
