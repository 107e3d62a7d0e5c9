//! Every named step is passed, and the process dies there by SIGKILL.
//!
//! Runs with `--features crash-points`. Each step is tried by running one test of this file in a process of its own.
#![cfg(feature = "crash-points")]

mod common;

use std::{env, os::unix::process::ExitStatusExt, process::Command};

use earnest::sqlite::Tx;
use earnest_proto::v1::DeliverResult;

use common::{
    Database, TOPIC, check_back, check_back_about, coordinator::FakeCoordinator, deliver_one,
    delivered, insert_order, service,
};

const VICTIM: &str = "the_victim_passes_every_step";

/// The signal that ended the victim, told to die at `step`.
fn die_at(step: &str) -> Option<i32> {
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", VICTIM])
        .env("EARNEST_CRASH_AT", step)
        .output()
        .unwrap()
        .status;
    status.signal()
}

#[tokio::test]
async fn the_victim_passes_every_step() {
    let (database, coordinator) = (Database::create().await, FakeCoordinator::start().await);
    let earnest = service(&database)
        .on(TOPIC, |_tx: Tx, _order: i64| async { Ok(()) })
        .connect(&coordinator.url)
        .await
        .unwrap();
    let mut tx = earnest.begin().await.unwrap();
    insert_order(&mut tx, 1).await;
    tx.send(TOPIC, 1, &1).unwrap();
    tx.commit().await.unwrap();
    let id = "01890000-0000-7000-8000-000000000001";
    let (result, _) = deliver_one(&earnest, delivered(id, "1")).await;
    assert_eq!(result, DeliverResult::Ok);
    check_back(&earnest, check_back_about(&earnest, id)).await;
}

#[test]
fn each_step_kills_and_no_other_name_does() {
    const SIGKILL: i32 = 9;
    let steps = [
        "before_fence",
        "before_prepare",
        "after_prepare",
        "before_commit",
        "after_commit",
        "before_confirm",
        "after_confirm",
        "consumer_before_inbox",
        "consumer_before_commit",
        "consumer_after_commit",
        "check_back_before_fence",
        "check_back_after_fence",
    ];
    for step in steps {
        assert_eq!(die_at(step), Some(SIGKILL), "{step}");
        assert_eq!(die_at(&format!("{step}:2")), None, "{step} is passed once");
    }
    assert_eq!(die_at("nowhere"), None);
}
