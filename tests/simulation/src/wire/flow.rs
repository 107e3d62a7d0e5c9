//! What a service does: local transactions through the SDK, and calls without one.

use std::{sync::Arc, time::Duration};

use earnest::{
    Error,
    memory::{Fault, Operation, Tx},
};
use earnest_proto::v1::{
    CancelRequest, ConfirmRequest, Message, Options, Outcome, PrepareRequest, SubmitRequest,
    coordinator_client::CoordinatorClient,
};
use earnest_protocol::{InitiatorOutcome, TransactionId};
use earnest_store::Clock as _;
use tonic::{Response, Status, transport::Channel};

use super::{
    WireWorld, call::call, consumer::transaction, reserve::Reserving, service::Run,
    truth::order_row, wires::host,
};
use crate::{
    plan::{End, MessagePlan, Op, Party},
    world::topic,
};

/// All tries of a call without the SDK.
const PATIENCE: Duration = Duration::from_secs(2);

/// One flow of one run of a service.
pub(super) struct Flow {
    pub(super) world: Arc<WireWorld>,
    pub(super) operation: u32,
    party: Party,
    pub(super) run: Run,
}

impl WireWorld {
    /// One operation of a service, from its beginning to its end, or to the death of the run that it is in.
    pub(crate) async fn serve(self: Arc<Self>, operation: u32, op: Op) {
        let (Op::Send { initiator, .. }
        | Op::Submit { initiator, .. }
        | Op::Alone { initiator, .. }
        | Op::Asked { initiator, .. }
        | Op::Reserve { initiator, .. }
        | Op::Execute { initiator, .. }
        | Op::CancelFirst { initiator }) = op
        else {
            return;
        };
        let party = Party::Initiator(initiator);
        let Some(run) = self.service_of(party).run() else {
            return;
        };
        let gate = Arc::clone(&run.gate);
        let flow = Flow {
            world: self,
            operation,
            party,
            run,
        };
        tokio::select! {
            biased;
            () = gate.died() => {}
            () = flow.goes(op) => {}
        }
    }
}

impl Flow {
    async fn goes(&self, op: Op) {
        match op {
            Op::Send {
                messages,
                think_ms,
                end,
                ..
            } => self.send(&messages, millis(think_ms.min(8_000)), end).await,
            // Who uses the SDK has a fence to answer from.
            Op::Asked { messages, .. } => self.send(&messages, Duration::ZERO, End::Commit).await,
            Op::Submit { messages, .. } => self.submit(&messages).await,
            Op::Alone {
                messages,
                check_after_ms,
                decide,
                ..
            } => self.alone(&messages, check_after_ms, decide).await,
            Op::CancelFirst { .. } => {
                let id = self.begins_alone();
                self.decides(id, false).await;
                self.prepare(id, &[], 0).await;
            }
            Op::Reserve {
                branches,
                joins,
                messages,
                think_ms,
                end,
                ..
            } => {
                let plan = Reserving {
                    branches: &branches,
                    joins: joins.into(),
                    messages: &messages,
                };
                self.reserve(plan, millis(think_ms.min(8_000)), end).await;
            }
            Op::Execute {
                branches,
                messages,
                check_after_ms,
                decide,
                ..
            } => {
                let deadline = millis(check_after_ms);
                self.execute(&branches, &messages, deadline, decide).await;
            }
            Op::Operate { .. } | Op::Registry { .. } => {}
        }
    }

    async fn send(&self, messages: &[MessagePlan], think: Duration, end: End) {
        // What the service is told is checked where it is told; an error only ends its flow.
        if let Err(error) = self.sends(messages, think, end).await {
            self.world
                .trace
                .note(format_args!("operation {}: {error}", self.operation));
        }
    }

    async fn sends(
        &self,
        messages: &[MessagePlan],
        think: Duration,
        end: End,
    ) -> Result<(), Error> {
        let mut tx = self.run.earnest.begin().await?;
        let id = transaction(tx.id());
        // Without a message the coordinator hears nothing of it.
        let outcome = if messages.is_empty() {
            InitiatorOutcome::None
        } else {
            InitiatorOutcome::Local
        };
        self.world.begins(self.operation, id, outcome);
        if end == End::Contradict {
            let service = self.world.service_of(self.party);
            service.next(Operation::Statement, Fault::TransactionLost);
        }
        tx.put(&order_row(id), "placed").await?;
        self.collects(&mut tx, messages)?;
        self.ends(tx, id, think, end).await
    }

    pub(super) fn collects(&self, tx: &mut Tx, messages: &[MessagePlan]) -> Result<(), Error> {
        for message in messages {
            tx.send(&topic(message.topic), key(*message), &self.operation)?;
        }
        Ok(())
    }

    /// From the last statement on.
    pub(super) async fn ends(
        &self,
        tx: Tx,
        id: TransactionId,
        think: Duration,
        end: End,
    ) -> Result<(), Error> {
        let service = self.world.service_of(self.party);
        match end {
            End::DieBeforePrepare => drop(tx),
            End::RollBack => tx.rollback().await?,
            End::DieBeforeCommit | End::DieBeforeConfirm => {
                if end == End::DieBeforeConfirm && self.draw("unanswered", 2) == 0 {
                    let late = Fault::UnansweredFor(millis(self.draw("late", 3_000)));
                    service.next(Operation::Commit, late);
                }
                // Whoever waits gives up, wherever the commit stands.
                let patience = self.draw("patience", 30);
                let _ = tokio::time::timeout(millis(patience), self.commit(id, tx)).await;
            }
            End::CommitUnknown(lands) => {
                let late = [50, 300, 3_000][self.draw("late", 3) as usize];
                let fault = match (lands, self.draw("unanswered", 2)) {
                    (true, 0) => Fault::Unanswered,
                    (true, _) => Fault::UnansweredFor(millis(late)),
                    (false, _) => Fault::Lost,
                };
                service.next(Operation::Commit, fault);
                self.commit(id, tx).await;
            }
            End::ReuseId => {
                service.next(Operation::Commit, Fault::Refused);
                self.commit(id, tx).await;
            }
            End::Commit | End::Contradict => {
                if think > Duration::from_secs(1) {
                    service.next(Operation::Commit, Fault::Slow(think));
                }
                self.commit(id, tx).await;
            }
        }
        Ok(())
    }

    /// Commits, and holds what the SDK says against the database.
    async fn commit(&self, id: TransactionId, tx: Tx) {
        let world = &self.world;
        let told = tx.commit().await;
        world.book.consult(id);
        match told {
            Ok(_) => {
                world
                    .trace
                    .note(format_args!("{id}: told that it committed"));
                world.book.is_told_committed(id);
            }
            Err(Error::OutcomeUnknown(_)) => {
                world.trace.note(format_args!("{id}: told nothing"));
            }
            Err(error) => {
                world
                    .trace
                    .note(format_args!("{id}: not committed: {error}"));
                world.told_not(id);
            }
        }
    }

    fn draw(&self, what: &str, bound: u32) -> u32 {
        let network = &self.world.wires.network;
        network.draw((self.operation, what), bound)
    }

    /// A transaction without a local one.
    fn begins_alone(&self) -> TransactionId {
        let mut chance = [0; 10];
        chance[4..8].copy_from_slice(&self.operation.to_le_bytes());
        let now = self.world.service_of(self.party).clock.now();
        let id = TransactionId::from_parts(now, chance);
        self.world
            .begins(self.operation, id, InitiatorOutcome::None);
        id
    }

    async fn submit(&self, messages: &[MessagePlan]) {
        let id = self.begins_alone();
        let request = SubmitRequest {
            id: id.to_string(),
            initiator: host(self.party),
            messages: messages.iter().copied().map(wire_message).collect(),
            ..SubmitRequest::default()
        };
        let told = self
            .call(async |mut client| client.submit(request.clone()).await)
            .await;
        self.world
            .told(id, told.and_then(|told| told.transaction))
            .await;
    }

    async fn alone(
        &self,
        messages: &[MessagePlan],
        check_after_ms: u32,
        decide: Option<(bool, u32)>,
    ) {
        let id = self.begins_alone();
        self.prepare(id, messages, check_after_ms).await;
        if let Some((confirm, after)) = decide {
            tokio::time::sleep(millis(after)).await;
            self.decides(id, confirm).await;
        }
    }

    async fn prepare(&self, id: TransactionId, messages: &[MessagePlan], check_after_ms: u32) {
        let request = PrepareRequest {
            id: id.to_string(),
            initiator: host(self.party),
            messages: messages.iter().copied().map(wire_message).collect(),
            options: Some(Options {
                check_after_ms: check_after_ms.into(),
                outcome: Outcome::None.into(),
                ..Options::default()
            }),
            ..PrepareRequest::default()
        };
        let told = self
            .call(async |mut client| client.prepare(request.clone()).await)
            .await;
        self.world
            .told(id, told.and_then(|told| told.transaction))
            .await;
    }

    pub(super) async fn decides(&self, id: TransactionId, confirm: bool) {
        let (text, initiator) = (id.to_string(), host(self.party));
        let told = if confirm {
            let request = ConfirmRequest {
                id: text,
                initiator,
                ..ConfirmRequest::default()
            };
            let told = self.call(async |mut client| client.confirm(request.clone()).await);
            told.await.and_then(|told| told.transaction)
        } else {
            let request = CancelRequest {
                id: text,
                initiator,
                ..CancelRequest::default()
            };
            let told = self.call(async |mut client| client.cancel(request.clone()).await);
            told.await.and_then(|told| told.transaction)
        };
        self.world.told(id, told).await;
    }

    /// `None`: refused, or not answered.
    async fn call<T, F: Future<Output = Result<Response<T>, Status>>>(
        &self,
        act: impl Fn(CoordinatorClient<Channel>) -> F,
    ) -> Option<T> {
        let act = |channel| act(CoordinatorClient::new(channel));
        let told = call(&self.run.channels, self.operation, PATIENCE, act).await;
        told.and_then(Result::ok)
    }
}

fn key(message: MessagePlan) -> String {
    match message.key {
        0 => String::new(),
        key => format!("key-{key}"),
    }
}

fn wire_message(message: MessagePlan) -> Message {
    Message {
        topic: topic(message.topic),
        key: key(message),
        payload: "body".into(),
        ..Message::default()
    }
}

pub(super) fn millis(count: u32) -> Duration {
    Duration::from_millis(count.into())
}
