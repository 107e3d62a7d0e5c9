//! Calls to coordinator nodes: the same call again after a lost reply, the next node after one that does not answer.

use std::{sync::Arc, time::Duration};

use earnest_coordinator::service::{
    Code, Coordinator, DecideInput, OptionsInput, PrepareInput, Recorded, ServiceError, Until,
    WaitInput,
};
use earnest_protocol::{Decision, TransactionId};
use earnest_store::TransactionRow;
use tokio::time::{Instant, timeout_at};

use super::World;
use crate::plan::Party;

/// One try; the same again afterwards.
const TRY: Duration = Duration::from_millis(700);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Which call records a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Prepare,
    Submit,
    Execute,
}

/// How long Execute waits for the decision; its caller has less patience than a person.
const DECISION: Duration = Duration::from_millis(400);

/// What a caller knows in the end.
pub(super) enum Told<T> {
    /// An answer that stands.
    Answer(Result<T, ServiceError>),
    /// None in time: it may have been done.
    Nothing,
}

impl World {
    /// Calls the nodes in turn, from `first` on, until one answers with more than *again later*.
    pub(super) async fn call<T, F>(
        self: &Arc<Self>,
        from: Party,
        first: u32,
        deadline: Duration,
        act: impl Fn(Coordinator) -> F + Clone + Send + Sync + 'static,
    ) -> Told<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ServiceError>> + Send + 'static,
    {
        let deadline = Instant::now() + deadline;
        let tries = async {
            let mut node = first % u32::from(self.setup.nodes);
            loop {
                let n = u8::try_from(node).unwrap_or_default();
                if let Ok(answer) = self.call_node(from, n, act.clone()).await {
                    match answer {
                        Err(error) if error.code.is_retryable() => {}
                        answer => return answer,
                    }
                }
                node = (node + 1) % u32::from(self.setup.nodes);
                tokio::time::sleep(PAUSE).await;
            }
        };
        match timeout_at(deadline, tries).await {
            Ok(answer) => Told::Answer(answer),
            Err(_) => Told::Nothing,
        }
    }

    async fn call_node<T, F>(
        self: &Arc<Self>,
        from: Party,
        n: u8,
        act: impl Fn(Coordinator) -> F + Clone + Send + Sync + 'static,
    ) -> Result<Result<T, ServiceError>, super::Lost>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ServiceError>> + Send + 'static,
    {
        let world = Arc::clone(self);
        let at_node = move || {
            let (world, act) = (Arc::clone(&world), act.clone());
            async move {
                let running = world.nodes[usize::from(n)].running()?;
                let answers = async {
                    running.gate.pass().await;
                    let answer = act(running.coordinator.clone()).await;
                    running.gate.pass().await;
                    answer
                };
                tokio::select! {
                    biased;
                    () = running.gate.died() => None,
                    answer = answers => Some(answer),
                }
            }
        };
        self.network.call(from, Party::Node(n), TRY, at_node).await
    }

    /// Prepare, or Submit, until answered; what the caller is told is noted.
    pub(super) async fn record(
        self: &Arc<Self>,
        from: Party,
        first: u32,
        id: TransactionId,
        input: PrepareInput,
        how: How,
    ) -> Told<Recorded> {
        let input = Arc::new(input);
        let act = move |coordinator: Coordinator| {
            let input = Arc::clone(&input);
            async move {
                let input = input.as_ref().clone();
                match how {
                    How::Prepare => coordinator.prepare(input).await,
                    How::Submit => coordinator.submit(input).await,
                    How::Execute => {
                        let wait = WaitInput {
                            until: Until::Decision,
                            at_most: DECISION,
                        };
                        coordinator.execute(input, Some(wait)).await
                    }
                }
            }
        };
        let told = self.call(from, first, Duration::from_secs(2), act).await;
        match &told {
            Told::Answer(Ok(recorded)) => {
                self.trace.note(format_args!("{id} is recorded"));
                let row = self.row(id).await;
                self.book.told_recorded(id, row.is_some());
                if let Some(decision) = recorded.row.state.phase.decision() {
                    self.told_decided(id, decision).await;
                }
            }
            Told::Answer(Err(error)) => self.refused(id, error).await,
            Told::Nothing => self.trace.note(format_args!("{id}: no answer")),
        }
        told
    }

    /// Confirm or Cancel until answered, or given up; true: it was taken.
    pub(super) async fn decide(
        self: &Arc<Self>,
        from: Party,
        first: u32,
        id: TransactionId,
        initiator: String,
        decision: Decision,
    ) -> bool {
        let act = move |coordinator: Coordinator| {
            let input = DecideInput {
                id: id.to_string(),
                decision,
                initiator: initiator.clone(),
                namespace: String::new(),
                wait: None,
            };
            async move { coordinator.decide(input).await }
        };
        match self.call(from, first, Duration::from_secs(1), act).await {
            Told::Answer(Ok(row)) => {
                self.trace.note(format_args!("{id}: {decision} is taken"));
                let said = row.state.phase.decision();
                self.book
                    .violations
                    .unless(said == Some(decision), "P1", || {
                        format!("{decision} of {id} was answered OK with {said:?}")
                    });
                self.told_decided(id, decision).await;
                return true;
            }
            Told::Answer(Err(error)) => self.refused(id, &error).await,
            Told::Nothing => self
                .trace
                .note(format_args!("{id}: no answer to {decision}")),
        }
        false
    }

    /// A refusal that says what was decided has told it.
    pub(super) async fn refused(&self, id: TransactionId, error: &ServiceError) {
        self.trace.note(format_args!("{id}: {}", error.code));
        if error.code == Code::Decided
            && let Some(decision) = error
                .transaction
                .as_ref()
                .and_then(|row| row.state.phase.decision())
        {
            self.told_decided(id, decision).await;
        }
    }

    async fn told_decided(&self, id: TransactionId, decision: Decision) {
        let stands = self
            .row(id)
            .await
            .and_then(|row| row.state.phase.decision());
        self.book.told_decided(id, decision, stands);
    }

    async fn row(&self, id: TransactionId) -> Option<TransactionRow> {
        let row = self.store().transaction(id).await;
        row.expect("the memory store answers")
    }
}

/// What a service hands in.
pub(super) fn prepare_input(
    id: TransactionId,
    initiator: String,
    messages: Vec<earnest_coordinator::service::MessageInput>,
    options: OptionsInput,
) -> PrepareInput {
    PrepareInput {
        id: Some(id.to_string()),
        initiator,
        messages,
        options,
        ..PrepareInput::default()
    }
}
