//! TCC through the SDK: what participants' own code does, how initiators reserve, and what is true of a branch.
//!
//! A participant's code counts its steps in a row of its own, in the local transaction that the SDK runs it in. That row is the truth:
//! it knows nothing of the fence.

use std::{io, sync::Arc, time::Duration};

use earnest::{
    Error, Tcc, TryError,
    memory::{Connection, Database, Fault, Memory, Operation, Tx},
    refuse, sqlx,
};
use earnest_protocol::{BranchAnswer, BranchCall, Decision, InitiatorOutcome, TransactionId};
use earnest_store::BranchKey;
use serde::{Deserialize, Serialize};

use super::{
    WireWorld,
    consumer::transaction,
    flow::{Flow, millis},
    service::{Builder, Service},
    truth::order_row,
    wires::host,
};
use crate::{
    check::Counts,
    plan::{BranchPlan, End, FaultKind, MessagePlan, Mood, Party},
    world::topic,
};

/// The one kind of reservation.
const ACTION: &str = "reserve";
/// More than this nobody has.
const FUNDS: u32 = 1_000_000;

/// What a branch says; first of all who it is, for the truth to be kept under.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    transaction: String,
    ordinal: u32,
    cents: u32,
    nested: bool,
}

impl Asked {
    fn key(&self) -> Option<BranchKey> {
        Some(BranchKey {
            transaction: self.transaction.parse().ok()?,
            ordinal: earnest_protocol::Ordinal(self.ordinal),
        })
    }
}

/// A participant's code.
struct Account {
    world: Arc<WireWorld>,
    number: u8,
}

/// Adds what a participant offers.
pub(super) fn offers(world: &Arc<WireWorld>, builder: Builder, number: u8) -> Builder {
    let world = Arc::clone(world);
    builder.tcc(ACTION, Account { world, number })
}

/// Where a branch's steps are counted: Try, Confirm, Cancel, Cancel without Try.
fn row(key: &BranchKey) -> String {
    format!("branch {key}")
}

/// What is true of a branch at whoever of `participants` has it.
pub(super) fn truth(participants: &[Database], key: &BranchKey) -> Counts {
    let row = row(key);
    let mut rows = participants.iter().filter_map(|one| one.row(&row));
    counts(&rows.next().unwrap_or_default())
}

fn counts(row: &[u8]) -> Counts {
    let at = |place: usize| u32::from(row.get(place).copied().unwrap_or_default());
    Counts {
        tries: at(0),
        confirms: at(1),
        cancels: at(2),
        barred: at(3) > 0,
    }
}

impl Account {
    fn service(&self) -> &Service {
        self.world.service_of(Party::Participant(self.number))
    }

    /// One step, in a mood.
    async fn step(
        &self,
        tx: &mut Tx,
        asked: &Asked,
        call: BranchCall,
        place: usize,
    ) -> sqlx::Result<()> {
        let Some(key) = asked.key() else {
            return Err(sqlx::Error::Protocol(
                "no branch has such a name".to_owned(),
            ));
        };
        self.world.book.branch_called(key, call);
        let mood = self.service().mood();
        if let Some(mood) = mood {
            let kind = FaultKind::Participant(self.number, mood);
            self.world.wires.network.meets(kind.name());
        }
        let some = self.draw("mood") == 0;
        match mood {
            Some(Mood::Busy | Mood::Omits) => {
                return Err(sqlx::Error::Protocol("not now".to_owned()));
            }
            Some(Mood::Fails) if some => {
                return Err(sqlx::Error::Protocol("it never will".to_owned()));
            }
            Some(Mood::Slow) => tokio::time::sleep(Duration::from_secs(3)).await,
            Some(Mood::Unsure) => {
                let fault = if some {
                    Fault::Unanswered
                } else {
                    Fault::UnansweredFor(millis(500))
                };
                self.service().next(Operation::Commit, fault);
            }
            _ => {}
        }
        let connection: &mut Connection = tx;
        connection
            .update(&row(&key), |row| {
                let mut row = row.unwrap_or_else(|| vec![0; 4]);
                if let Some(count) = row.get_mut(place) {
                    *count = count.saturating_add(1);
                }
                Some(row)
            })
            .await?;
        self.world.trace.note(format_args!(
            "{call} of {key} is run at participant {}",
            self.number
        ));
        Ok(())
    }

    fn draw(&self, what: &str) -> u32 {
        self.world
            .wires
            .network
            .draw((self.number, "participant", what), 2)
    }
}

impl Tcc<Memory> for Account {
    type Payload = Asked;

    async fn try_(&self, tx: &mut Tx, asked: &Asked) -> Result<(), TryError> {
        let refuses = self.service().mood() == Some(Mood::Fails) && self.draw("refuses") == 0;
        if asked.cents > FUNDS || refuses {
            if let Some(key) = asked.key() {
                let no = BranchAnswer::Refused(String::new());
                self.world.book.branch_called(key, BranchCall::Try);
                self.world.book.branch_answered(key, BranchCall::Try, &no);
            }
            return refuse("insufficient balance");
        }
        self.step(tx, asked, BranchCall::Try, 0).await?;
        if asked.nested {
            // A transaction of its own, that lives or dies with this one.
            let id = transaction(tx.id());
            self.world.book.begins(id, InitiatorOutcome::Local);
            tx.put(&order_row(id), "nested").await?;
            tx.send(&topic(0), "", &"nested")
                .map_err(io::Error::other)?;
        }
        Ok(())
    }

    async fn confirm(&self, tx: &mut Tx, asked: &Asked) -> Result<(), sqlx::Error> {
        self.step(tx, asked, BranchCall::Confirm, 1).await
    }

    async fn cancel(&self, tx: &mut Tx, asked: &Asked) -> Result<(), sqlx::Error> {
        self.step(tx, asked, BranchCall::Cancel, 2).await
    }

    async fn cancel_without_try(&self, tx: &mut Tx, asked: &Asked) -> Result<(), sqlx::Error> {
        self.step(tx, asked, BranchCall::Cancel, 3).await
    }
}

/// What an initiator with branches does.
pub(super) struct Reserving<'p> {
    pub(super) branches: &'p [BranchPlan],
    /// The last so many of them are tried one after the other.
    pub(super) joins: usize,
    pub(super) messages: &'p [MessagePlan],
}

impl Reserving<'_> {
    /// Those that are tried at once, and those that are tried one after the other.
    fn split(
        &self,
        id: TransactionId,
    ) -> Result<(Vec<earnest::Branch>, Vec<earnest::Branch>), Error> {
        let all = self.branches.iter().enumerate();
        let all = all.map(|(ordinal, plan)| branch(id, ordinal, plan));
        let mut first = all.collect::<Result<Vec<_>, _>>()?;
        let later = first.split_off(self.branches.len() - self.joins);
        Ok((first, later))
    }
}

fn branch(id: TransactionId, ordinal: usize, plan: &BranchPlan) -> Result<earnest::Branch, Error> {
    let asked = Asked {
        transaction: id.to_string(),
        ordinal: u32::try_from(ordinal).unwrap_or(u32::MAX),
        cents: plan.cents,
        nested: plan.nested,
    };
    earnest::branch(host(Party::Participant(plan.participant)), ACTION, &asked)
}

impl Flow {
    /// Reserves and ends as others do.
    pub(super) async fn reserve(&self, plan: Reserving<'_>, think: Duration, end: End) {
        if let Err(error) = self.reserves(plan, think, end).await {
            self.world
                .trace
                .note(format_args!("operation {}: {error}", self.operation));
        }
    }

    async fn reserves(&self, plan: Reserving<'_>, think: Duration, end: End) -> Result<(), Error> {
        if self.operation.is_multiple_of(2) {
            return self.reserves_first(plan, think, end).await;
        }
        let mut tx = self.run.earnest.begin().await?;
        let id = transaction(tx.id());
        self.world
            .begins(self.operation, id, InitiatorOutcome::Local);
        tx.put(&order_row(id), "placed").await?;
        // Some before the first Try, the others behind it.
        let (before, after) = plan.messages.split_at(plan.messages.len() / 2);
        self.collects(&mut tx, before)?;
        if let Err(error) = self.tries(&mut tx, id, &plan).await {
            drop(tx);
            self.world.told_not(id);
            return Err(error);
        }
        self.collects(&mut tx, after)?;
        self.ends(tx, id, think, end).await
    }

    /// The same with the local transaction behind the first Trys.
    async fn reserves_first(
        &self,
        plan: Reserving<'_>,
        think: Duration,
        end: End,
    ) -> Result<(), Error> {
        let reserving = self.run.earnest.reserve();
        let id = transaction(reserving.id());
        self.world
            .begins(self.operation, id, InitiatorOutcome::Local);
        let (first, later) = plan.split(id)?;
        let begun = async {
            let mut tx = reserving.branches(first).begin().await?;
            tx.put(&order_row(id), "placed").await?;
            for branch in later {
                tx.try_all([branch]).await?;
            }
            Ok(tx)
        };
        match begun.await {
            Ok(mut tx) => {
                self.collects(&mut tx, plan.messages)?;
                self.ends(tx, id, think, end).await
            }
            Err(error) => {
                self.world.told_not(id);
                Err(error)
            }
        }
    }

    async fn tries(
        &self,
        tx: &mut Tx,
        id: TransactionId,
        plan: &Reserving<'_>,
    ) -> Result<(), Error> {
        let (first, later) = plan.split(id)?;
        tx.try_all(first).await?;
        for branch in later {
            tx.try_all([branch]).await?;
        }
        Ok(())
    }

    /// All in one call; what it is told is held against the database.
    pub(super) async fn execute(
        &self,
        branches: &[BranchPlan],
        messages: &[MessagePlan],
        deadline: Duration,
        decide: Option<(bool, u32)>,
    ) {
        let mut execution = self.run.earnest.execute().deadline(deadline);
        let id = transaction(execution.id());
        self.world
            .begins(self.operation, id, InitiatorOutcome::Executed);
        for (no, plan) in branches.iter().enumerate() {
            let Ok(branch) = branch(id, no, plan) else {
                return;
            };
            execution = execution.branch(branch);
        }
        for message in messages {
            let sent = execution.send(&topic(message.topic), "", &self.operation);
            let Ok(sent) = sent else { return };
            execution = sent;
        }
        let told = match execution.run().await {
            Ok(_) => Some(Decision::Confirm),
            Err(Error::Refused { .. } | Error::Cancelled { .. }) => Some(Decision::Cancel),
            Err(_) => None,
        };
        self.world
            .trace
            .note(format_args!("{id}: executed, told {told:?}"));
        if let Some(told) = told {
            let row = self.world.store().transaction(id).await;
            let row = row.expect("the memory store answers");
            let stands = row.and_then(|row| row.state.phase.decision());
            self.world.book.told_decided(id, told, stands);
        }
        if let Some((confirm, after)) = decide {
            tokio::time::sleep(millis(after)).await;
            self.decides(id, confirm).await;
        }
    }
}
