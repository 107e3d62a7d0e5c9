//! Kills one process at one step of one transaction, brings it back, waits until all is settled, and checks every database:
//! a cell for each step of prepare, local commit, confirm, cancel, check-back and delivery, on each side of it.
//!
//! A cell whose process did not die at its step fails: it would have proved nothing.

use anyhow::{Result, ensure};
use earnest_integration::{Order, Programs, Stage, Tally, check};

const PROGRAMS: Programs = Programs {
    coordinator: env!("CARGO_BIN_EXE_crashing-coordinator"),
    service: env!("CARGO_BIN_EXE_crashing-service"),
};

/// What must be true of the order that was under way when the process died.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It committed, whoever found out how.
    Committed,
    /// It did not.
    RolledBack,
    /// It may be either, since its caller may repeat a call to a coordinator that is back in time; the
    /// checker holds all sides to the same.
    Either,
}

/// Which process dies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Victim {
    Sender,
    Consumer,
    Coordinator,
}

struct Cell {
    victim: Victim,
    step: &'static str,
    /// The order fails at COMMIT, after it was prepared.
    doomed: bool,
    /// The sender dies first at this step, so that it takes a check-back.
    silenced_at: Option<&'static str>,
    outcome: Outcome,
}

impl Cell {
    async fn run(self) -> Result<()> {
        let mut stage = Stage::set(PROGRAMS)?;
        let at = |victim| (self.victim == victim).then_some(self.step);
        stage.coordinator.start(at(Victim::Coordinator)).await?;
        stage.subscribe().await?;
        stage.consumer.start(at(Victim::Consumer)).await?;
        // One that is to die in its check-back must first fall silent; it is armed for the second time then.
        let first = self.silenced_at.or(at(Victim::Sender));
        stage.sender.start(first).await?;

        let order = Order {
            id: 1,
            doomed: self.doomed,
        };
        let told = stage.sender.place(order).await?;
        if self.silenced_at.is_some() {
            stage.sender.process()?.killed().await?;
            stage.sender.start(at(Victim::Sender)).await?;
        }
        match self.victim {
            Victim::Sender => {
                stage.sender.process()?.killed().await?;
                stage.sender.start(None).await?;
            }
            Victim::Consumer => {
                stage.consumer.process()?.killed().await?;
                stage.consumer.start(None).await?;
            }
            Victim::Coordinator => {
                stage.coordinator.process()?.killed().await?;
                stage.coordinator.start(None).await?;
            }
        }
        // Life goes on: a second order after the first.
        stage.settled().await?;
        let second = stage
            .sender
            .place(Order {
                id: 2,
                doomed: false,
            })
            .await?;
        ensure!(
            second == Some(true),
            "after the kill, orders are not taken any more"
        );
        stage.settled().await?;

        let tally = check(&stage).await?;
        let first_committed = tally.committed == 2;
        ensure!(
            told != Some(true) || first_committed,
            "P2: told that it committed, and it did not"
        );
        match self.outcome {
            Outcome::Committed => {
                ensure!(first_committed, "it should have committed: {tally:?}");
            }
            Outcome::RolledBack => {
                ensure!(!first_committed, "it should have rolled back: {tally:?}");
            }
            Outcome::Either => {}
        }
        if self.silenced_at.is_some() {
            let asked = Tally {
                by_check_back: 1,
                ..tally
            };
            ensure!(
                tally == asked,
                "a check-back should have decided: {tally:?}"
            );
        }
        Ok(())
    }
}

macro_rules! cells {
    ($($name:ident: $victim:ident at $step:literal $(after $silenced:literal)? $(, doomed $doomed:literal)? => $outcome:ident;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() -> Result<()> {
                Cell {
                    victim: Victim::$victim,
                    step: $step,
                    doomed: false $(|| $doomed)?,
                    silenced_at: None::<&'static str>$(.or(Some($silenced)))?,
                    outcome: Outcome::$outcome,
                }
                .run()
                .await
            }
        )+
    };
}

cells! {
    // Prepare and the local commit.
    m1_sender_dies_before_its_fence_row: Sender at "before_fence" => RolledBack;
    m1_sender_dies_before_prepare: Sender at "before_prepare" => RolledBack;
    m4_sender_dies_after_prepare: Sender at "after_prepare" => RolledBack;
    m4_sender_dies_before_commit: Sender at "before_commit" => RolledBack;
    m2_sender_dies_after_commit: Sender at "after_commit" => Committed;
    p2_coordinator_dies_before_prepare: Coordinator at "before_prepare" => Either;
    p2_coordinator_dies_after_prepare: Coordinator at "after_prepare" => Either;

    // Confirm and cancel.
    m2_sender_dies_before_confirm: Sender at "before_confirm" => Committed;
    m3_sender_dies_after_confirm: Sender at "after_confirm" => Committed;
    m2_coordinator_dies_before_confirm: Coordinator at "before_confirm" => Committed;
    m5_coordinator_dies_after_confirm: Coordinator at "after_confirm" => Committed;
    m1_coordinator_dies_before_cancel: Coordinator at "before_cancel", doomed true => RolledBack;
    m3_coordinator_dies_after_cancel: Coordinator at "after_cancel", doomed true => RolledBack;

    // Delivery.
    k1_coordinator_dies_before_deliver: Coordinator at "before_deliver" => Committed;
    k1_coordinator_dies_after_deliver: Coordinator at "after_deliver" => Committed;
    k2_coordinator_dies_before_recording_delivery: Coordinator at "before_delivery_settled" => Committed;
    k3_coordinator_dies_after_recording_delivery: Coordinator at "after_delivery_settled" => Committed;
    k1_consumer_dies_before_its_inbox_row: Consumer at "consumer_before_inbox" => Committed;
    k2_consumer_dies_before_its_commit: Consumer at "consumer_before_commit" => Committed;
    k2_consumer_dies_after_its_commit: Consumer at "consumer_after_commit" => Committed;

    // Check-back of a transaction that committed.
    m2_sender_dies_before_fencing_read_of_commit: Sender at "check_back_before_fence" after "after_commit" => Committed;
    m2_sender_dies_after_fencing_read_of_commit: Sender at "check_back_after_fence" after "after_commit" => Committed;
    m2_coordinator_dies_before_check_back: Coordinator at "before_check_back" after "after_commit" => Committed;
    m2_coordinator_dies_after_check_back: Coordinator at "after_check_back" after "after_commit" => Committed;
    m2_coordinator_dies_before_recording_answer: Coordinator at "before_checked_back" after "after_commit" => Committed;
    m3_coordinator_dies_after_recording_answer: Coordinator at "after_checked_back" after "after_commit" => Committed;

    // Check-back of one that rolled back.
    m4_sender_dies_before_fencing_read_of_rollback: Sender at "check_back_before_fence" after "before_commit" => RolledBack;
    m4_sender_dies_after_fencing_read_of_rollback: Sender at "check_back_after_fence" after "before_commit" => RolledBack;
    m4_coordinator_dies_before_check_back: Coordinator at "before_check_back" after "before_commit" => RolledBack;
    m4_coordinator_dies_after_check_back: Coordinator at "after_check_back" after "before_commit" => RolledBack;
    m4_coordinator_dies_before_recording_rollback: Coordinator at "before_checked_back" after "before_commit" => RolledBack;
    m3_coordinator_dies_after_recording_rollback: Coordinator at "after_checked_back" after "before_commit" => RolledBack;
}
