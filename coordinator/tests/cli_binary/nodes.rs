//! Two coordinators over one PostgreSQL: one is stopped past its lease and comes back, or is killed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::support::{PATIENCE, Served, earnest, run};

/// A webhook that lets its first caller wait until it is told to go on.
struct Hook {
    url: String,
    calls: Arc<AtomicUsize>,
    go_on: Arc<Notify>,
}

impl Hook {
    async fn start() -> Self {
        let (calls, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (seen, wait) = (Arc::clone(&calls), Arc::clone(&go_on));
        let answer = move || async move {
            if seen.fetch_add(1, Ordering::SeqCst) == 0 {
                wait.notified().await;
            }
        };
        let app = axum::Router::new().route("/hook", axum::routing::post(answer));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, calls, go_on }
    }

    async fn called(&self, times: usize) {
        until(async || self.calls.load(Ordering::SeqCst) >= times).await;
    }
}

pub(crate) async fn until(is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("it comes to be");
}

async fn submit(node: &Served) -> String {
    let body = json!({ "initiator": "cashier", "messages": [{ "topic": "paid", "payload": { "cents": 5 } }] });
    let answer = reqwest::Client::new()
        .post(format!("{}/v1/transactions/submit", node.url))
        .json(&body)
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    answer["transaction"]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}

async fn shown(node: &Served, id: &str) -> Value {
    let url = format!("{}/v1/transactions/{id}", node.url);
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

async fn confirmed(node: &Served, id: &str) {
    until(async || shown(node, id).await.to_string().contains("\"CONFIRMED\"")).await;
}

struct Stage {
    directory: tempfile::TempDir,
    url: String,
    hook: Hook,
}

impl Stage {
    async fn set() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            url: earnest_harness::postgres().await.url().to_owned(),
            hook: Hook::start().await,
        }
    }

    fn serve(&self, more: &[&str]) -> Served {
        let mut arguments = vec!["--database", &self.url, "--set", "lease_ms=1000"];
        arguments.extend(more);
        Served::start(self.directory.path(), &arguments)
    }

    fn subscribe(&self, node: &Served) {
        let mut command = earnest(self.directory.path());
        command.args([
            "subscription",
            "add",
            "hook",
            "--topic",
            "paid",
            "--webhook-url",
        ]);
        command.args([&self.hook.url, "--server", &node.url]);
        run(&mut command).ok();
    }
}

/// P10, P11: a node that stands still longer than its lease loses its work to the other, and, once it goes on, changes
/// nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn p10_stopped_node_that_goes_on_changes_nothing() {
    let stage = Stage::set().await;
    let zombie = stage.serve(&["--set", "journal.lanes=2"]);
    stage.subscribe(&zombie);
    let id = submit(&zombie).await;
    stage.hook.called(1).await;
    zombie.signal("STOP");
    let heir = stage.serve(&[]);
    stage.hook.called(2).await;
    confirmed(&heir, &id).await;
    let before = shown(&heir, &id).await;
    stage.hook.go_on.notify_one();
    zombie.signal("CONT");
    // It is back, and has a new epoch, before its old work is looked at.
    let later = submit(&zombie).await;
    confirmed(&zombie, &later).await;
    assert_eq!(shown(&heir, &id).await, before);
    zombie.stop();
    heir.stop();
}

/// P2, P11: what a killed node acknowledged and had begun is finished by the other, which then serves alone.
#[tokio::test(flavor = "multi_thread")]
async fn p11_work_of_a_killed_node_is_taken_over() {
    let stage = Stage::set().await;
    let first = stage.serve(&[]);
    let other = stage.serve(&[]);
    stage.subscribe(&first);
    let id = submit(&first).await;
    stage.hook.called(1).await;
    drop(first);
    confirmed(&other, &id).await;
    let again = submit(&other).await;
    confirmed(&other, &again).await;
    other.stop();
}

/// The ready line says where everything is kept and how durably; no password is shown anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn the_password_of_the_database_is_never_shown() {
    let stage = Stage::set().await;
    let with_password = stage.url.replacen("postgres@", "postgres:hush@", 1);
    let served = Served::start(stage.directory.path(), &["--database", &with_password]);
    assert!(
        served.ready.contains("postgres://postgres:***@127.0.0.1"),
        "{}",
        served.ready
    );
    assert!(
        served.ready.contains("synchronous_commit="),
        "{}",
        served.ready
    );
    served.stop();
    let mut command = earnest(stage.directory.path());
    let done = run(command
        .arg("config")
        .env("EARNEST_DATABASE", &with_password))
    .ok();
    assert!(
        done.out.contains(":***@") && !done.out.contains("hush"),
        "{done:#?}"
    );
    let nowhere = format!("{with_password}_nowhere");
    let mut command = earnest(stage.directory.path());
    let done = run(command
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("EARNEST_DATABASE", nowhere));
    let done = done.failed(1);
    assert!(
        done.err.contains("create the database") && !done.err.contains("hush"),
        "{done:#?}"
    );
}
