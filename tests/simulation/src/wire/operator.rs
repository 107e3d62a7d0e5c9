//! A person at the command line, over the wires.

use std::{sync::Arc, time::Duration};

use earnest_proto::v1::{
    DecideTransactionRequest, Decision, DeleteSubscriptionRequest, Destination,
    ParkTransactionRequest, PauseSubscriptionRequest, PutSubscriptionRequest, RetryPolicy,
    RetryTransactionRequest, Subscription, admin_client::AdminClient, destination,
};
use earnest_protocol::{InitiatorOutcome, Phase, TransactionId};
use earnest_store::TransactionFilter;
use tonic::{Response, Status, transport::Channel};

use super::{WireWorld, call::call, service::Service, wires::host};
use crate::{
    check::{Local, all},
    plan::{Act, Op, RegistryAct},
    world::subscription,
};

/// A person waits longer than a service.
const PATIENCE: Duration = Duration::from_secs(5);

impl WireWorld {
    /// One operation of a person.
    pub(crate) async fn operate(self: Arc<Self>, operation: u32, op: Op) {
        match op {
            Op::Operate { of, act } => {
                let Some(id) = self.opened(of) else { return };
                self.trace.note(format_args!("operator: {act:?} of {id}"));
                match act {
                    Act::Retry => self.retry(operation, id).await,
                    Act::Park => self.park(operation, id).await,
                    Act::Decide(confirm) => {
                        self.park(operation, id).await;
                        self.decides(operation, id, confirm, false).await;
                    }
                    Act::Force(confirm) => {
                        self.park(operation, id).await;
                        self.decides(operation, id, confirm, true).await;
                    }
                }
            }
            Op::Registry { consumer, act } => {
                self.trace
                    .note(format_args!("operator: {act:?} of subscription {consumer}"));
                self.registry(operation, consumer, act).await;
            }
            _ => {}
        }
    }

    /// Decides what the initiator's fence has forgotten, by what is known of it otherwise.
    pub(crate) async fn decide_forgotten(&self) {
        let undecided = TransactionFilter {
            phases: vec![Phase::Prepared],
            ..TransactionFilter::default()
        };
        let rows = all(self.store(), &undecided).await;
        let rows = rows.expect("the memory store answers");
        for (n, row) in (0..).zip(&rows) {
            let named = |one: &&Service| {
                let name = row.initiator.as_ref();
                name.is_some_and(|name| host(one.party) == name.as_str())
            };
            let Some(initiator) = self.initiators.iter().find(named) else {
                continue;
            };
            let forgotten = row.created_at.as_micros() < initiator.database.horizon_us();
            if row.state.options.outcome != InitiatorOutcome::Local || !forgotten {
                continue;
            }
            self.book.consult(row.id);
            let local = self
                .book
                .read(|book| book.by_id.get(&row.id).map(|page| page.local));
            self.park(n, row.id).await;
            self.decides(n, row.id, local == Some(Local::Committed), true)
                .await;
        }
    }

    pub(crate) async fn retry(&self, operation: u32, id: TransactionId) {
        let request = RetryTransactionRequest {
            id: id.to_string(),
            actor: "ann".to_owned(),
        };
        self.ask(operation, async |mut admin| {
            admin.retry_transaction(request.clone()).await
        })
        .await;
    }

    pub(super) async fn park(&self, operation: u32, id: TransactionId) {
        let request = ParkTransactionRequest {
            id: id.to_string(),
            reason: String::new(),
            actor: "ann".to_owned(),
        };
        self.ask(operation, async |mut admin| {
            admin.park_transaction(request.clone()).await
        })
        .await;
    }

    pub(super) async fn decides(
        &self,
        operation: u32,
        id: TransactionId,
        confirm: bool,
        force: bool,
    ) {
        let decision = if confirm {
            Decision::Confirm
        } else {
            Decision::Cancel
        };
        let request = DecideTransactionRequest {
            id: id.to_string(),
            decision: decision.into(),
            force,
            actor: "ann".to_owned(),
            reason: String::new(),
        };
        self.ask(operation, async |mut admin| {
            admin.decide_transaction(request.clone()).await
        })
        .await;
    }

    async fn registry(&self, operation: u32, consumer: u8, act: RegistryAct) {
        let row = subscription(&self.setup, consumer);
        let name = row.name.to_string();
        match act {
            RegistryAct::Pause | RegistryAct::Resume => {
                let request = PauseSubscriptionRequest {
                    namespace: String::new(),
                    name,
                    paused: act == RegistryAct::Pause,
                };
                self.ask(operation, async |mut admin| {
                    admin.pause_subscription(request.clone()).await
                })
                .await;
            }
            RegistryAct::Delete => {
                let request = DeleteSubscriptionRequest {
                    namespace: String::new(),
                    name,
                };
                self.ask(operation, async |mut admin| {
                    admin.delete_subscription(request.clone()).await
                })
                .await;
            }
            RegistryAct::Put => {
                let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                let put = Subscription {
                    topic: row.topic.to_string(),
                    destination: Some(Destination {
                        to: Some(destination::To::Service(name.clone())),
                    }),
                    name,
                    ordered: row.ordered,
                    concurrency: row.concurrency,
                    timeout_ms: millis(row.timeout),
                    retry: Some(RetryPolicy {
                        initial_ms: millis(row.retry.initial),
                        multiplier_milli: row.retry.multiplier_milli,
                        cap_ms: millis(row.retry.cap),
                    }),
                    ..Subscription::default()
                };
                let request = PutSubscriptionRequest {
                    subscription: Some(put),
                };
                self.ask(operation, async |mut admin| {
                    admin.put_subscription(request.clone()).await
                })
                .await;
            }
        }
    }

    async fn ask<T, F: Future<Output = Result<Response<T>, Status>>>(
        &self,
        operation: u32,
        act: impl Fn(AdminClient<Channel>) -> F,
    ) {
        let act = |channel| act(AdminClient::new(channel));
        // Whatever became of it: it was a person's wish, and nothing hangs on it.
        call(&self.operator, operation, PATIENCE, act).await;
    }
}
