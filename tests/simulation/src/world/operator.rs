//! A person at the command line: acts on transactions and subscriptions through whatever node answers.

use std::{sync::Arc, time::Duration};

use earnest_coordinator::service::{Coordinator, OperatorDecideInput, SubscriptionInput};
use earnest_protocol::{Decision, TransactionId};

use super::{World, call::Told};
use crate::plan::{Act, Op, Party, RegistryAct};

/// A person waits longer than a service.
const PATIENCE: Duration = Duration::from_secs(5);

impl World {
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
                        self.operator_decides(operation, id, confirm, false).await;
                    }
                    Act::Force(confirm) => {
                        self.park(operation, id).await;
                        self.operator_decides(operation, id, confirm, true).await;
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

    pub(crate) async fn retry(self: &Arc<Self>, operation: u32, id: TransactionId) {
        let act = move |coordinator: Coordinator| async move {
            coordinator.retry(&id.to_string(), "ann").await
        };
        self.call(Party::Operator, operation, PATIENCE, act).await;
    }

    async fn park(self: &Arc<Self>, operation: u32, id: TransactionId) {
        let act = move |coordinator: Coordinator| async move {
            coordinator.park(&id.to_string(), "", "ann").await
        };
        self.call(Party::Operator, operation, PATIENCE, act).await;
    }

    async fn operator_decides(
        self: &Arc<Self>,
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
        let act = move |coordinator: Coordinator| async move {
            let input = OperatorDecideInput {
                id: id.to_string(),
                decision,
                force,
                actor: "ann".to_owned(),
                reason: String::new(),
            };
            coordinator.operator_decides(input).await
        };
        match self.call(Party::Operator, operation, PATIENCE, act).await {
            Told::Answer(Err(error)) => self.refused(id, &error).await,
            Told::Answer(Ok(_)) | Told::Nothing => {}
        }
    }

    async fn registry(self: &Arc<Self>, operation: u32, consumer: u8, act: RegistryAct) {
        let row = self.subscription(consumer);
        let call = move |coordinator: Coordinator| {
            let row = row.clone();
            async move {
                match act {
                    RegistryAct::Pause | RegistryAct::Resume => {
                        let paused = act == RegistryAct::Pause;
                        let name = row.name.as_str();
                        coordinator.pause_subscription("", name, paused).await?;
                    }
                    RegistryAct::Delete => {
                        coordinator
                            .delete_subscription("", row.name.as_str())
                            .await?;
                    }
                    RegistryAct::Put => {
                        let input = SubscriptionInput {
                            namespace: String::new(),
                            name: row.name.to_string(),
                            topic: row.topic.to_string(),
                            destination: row.destination,
                            ordered: row.ordered,
                            paused: false,
                            concurrency: row.concurrency,
                            timeout: row.timeout,
                            retry: Some(row.retry),
                        };
                        coordinator.put_subscription(input).await?;
                    }
                }
                Ok(())
            }
        };
        self.call(Party::Operator, operation, PATIENCE, call).await;
    }
}
