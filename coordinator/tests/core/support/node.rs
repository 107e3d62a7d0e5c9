//! One coordinator node: board, journal, driver and use cases, as `main` puts them together.

use std::sync::Arc;

use earnest_coordinator::{
    driver::{
        Board, BoardDispatcher, BoardOptions, BreakerState, Driver, DriverOptions, DriverParts,
    },
    journal::{Journal, JournalOptions},
    service::{
        BranchInput, Coordinator, DecideInput, MessageInput, OptionsInput, PrepareInput, Recorded,
        RegisterInput, ServiceError, ServiceOptions, ServiceParts, WaitInput,
    },
    telemetry::{Metrics, Snapshot},
    vigil::Vigil,
};
use earnest_protocol::{Decision, Name, Phase, TransactionId};
use earnest_store::{Detail, Target, TransactionRow};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::{
    FaultyStore, TOPIC, World, initiator::InitiatorPort, minutes, participant::ParticipantPort,
    sink::SinkPort,
};

/// How a node is started.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) driver: DriverOptions,
    pub(crate) board: BoardOptions,
    pub(crate) journal: JournalOptions,
}

pub(crate) struct Node<'w> {
    world: &'w World,
    pub(crate) coordinator: Coordinator,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) board: Arc<Board>,
    pub(crate) journal: Journal,
    metrics: Arc<Metrics>,
    driver: Option<Driver>,
}

impl<'w> Node<'w> {
    pub(super) async fn start(world: &'w World, name: &'static str, setup: Setup) -> Self {
        let store = Arc::new(FaultyStore::new(
            Arc::clone(&world.store),
            Arc::clone(&world.sink),
            Arc::clone(&world.participants),
            world.violations.clone(),
        ));
        let board = Arc::new(Board::new(setup.board));
        let metrics = Arc::new(Metrics::default());
        let options = DriverOptions {
            node: name.into(),
            ..setup.driver
        };
        Driver::enrol(&*store, &board, &options)
            .await
            .expect("the node enrols");
        let vigil = Arc::new(Vigil::new(world.environment.line(), name));
        let dispatcher = Arc::new(BoardDispatcher(Arc::clone(&board)));
        let (tasks, of_node) = (TaskTracker::new(), Arc::clone(&store));
        let journal = Journal::start(
            Arc::clone(&of_node) as _,
            dispatcher,
            setup.journal,
            Arc::clone(&metrics),
            Arc::clone(&vigil),
            &tasks,
        );
        let check_back = Arc::new(InitiatorPort {
            initiator: Arc::clone(&world.initiator),
            store: of_node,
        });
        let delivery = Arc::new(SinkPort {
            sink: Arc::clone(&world.sink),
            node: name,
            store: Arc::clone(&store),
        });
        let branches = Arc::new(ParticipantPort {
            participants: Arc::clone(&world.participants),
            node: name,
            store: Arc::clone(&store),
        });
        let driver = Driver::start(
            DriverParts {
                store: Arc::clone(&store) as _,
                journal: journal.clone(),
                board: Arc::clone(&board),
                check_back: Arc::clone(&check_back) as _,
                delivery,
                branches,
                environment: world.environment.clone(),
                metrics: Arc::clone(&metrics),
                vigil: Arc::clone(&vigil),
            },
            options,
        );
        let parts = ServiceParts {
            journal: journal.clone(),
            store: Arc::clone(&store) as _,
            board: Arc::clone(&board),
            check_back,
            environment: world.environment.clone(),
            vigil,
        };
        let coordinator = Coordinator::new(parts, ServiceOptions::default());
        Self {
            world,
            coordinator,
            store,
            board,
            journal,
            metrics,
            driver: Some(driver),
        }
    }

    /// Stops as on SIGTERM.
    pub(crate) async fn drain(&mut self) {
        self.take_driver().drain().await;
    }

    /// For a drain while callers still use the node.
    pub(crate) fn take_driver(&mut self) -> Driver {
        self.driver.take().expect("drained once")
    }

    pub(crate) async fn prepare(&self, id: TransactionId) -> Result<Recorded, ServiceError> {
        self.prepare_as(one_message(id)).await
    }

    pub(crate) async fn prepare_as(&self, input: PrepareInput) -> Result<Recorded, ServiceError> {
        let recorded = self.coordinator.prepare(input).await?;
        self.world.ledger.recorded(recorded.row.id);
        Ok(recorded)
    }

    pub(crate) async fn submit(&self, id: TransactionId) -> Result<Recorded, ServiceError> {
        self.submit_as(one_message(id)).await
    }

    pub(crate) async fn submit_as(&self, input: PrepareInput) -> Result<Recorded, ServiceError> {
        let recorded = self.coordinator.submit(input).await?;
        self.world.ledger.recorded(recorded.row.id);
        self.world.ledger.decided(
            recorded.row.id,
            Decision::Confirm,
            &Ok(recorded.row.clone()),
        );
        Ok(recorded)
    }

    /// Execute, not waiting for more than `wait` says; answered by default with the decision.
    pub(crate) async fn execute(
        &self,
        input: PrepareInput,
        wait: Option<WaitInput>,
    ) -> Result<Recorded, ServiceError> {
        let recorded = self.coordinator.execute(input, wait).await?;
        self.world.ledger.recorded(recorded.row.id);
        Ok(recorded)
    }

    /// Adds branches, the first in the place `from`.
    pub(crate) async fn register(
        &self,
        id: TransactionId,
        from: u32,
        branches: Vec<BranchInput>,
    ) -> Result<TransactionRow, ServiceError> {
        let input = RegisterInput {
            id: id.to_string(),
            initiator: "cashier".into(),
            branches: (from..).zip(branches).collect(),
            messages: vec![],
        };
        self.coordinator.register_branches(input).await
    }

    pub(crate) async fn confirm(&self, id: TransactionId) -> Result<TransactionRow, ServiceError> {
        self.decide(id, Decision::Confirm).await
    }

    pub(crate) async fn cancel(&self, id: TransactionId) -> Result<TransactionRow, ServiceError> {
        self.decide(id, Decision::Cancel).await
    }

    pub(crate) async fn decide(
        &self,
        id: TransactionId,
        decision: Decision,
    ) -> Result<TransactionRow, ServiceError> {
        let input = DecideInput {
            id: id.to_string(),
            decision,
            initiator: "cashier".into(),
            namespace: String::new(),
            wait: None,
        };
        let told = self.coordinator.decide(input).await;
        self.world.ledger.decided(id, decision, &told);
        told
    }

    pub(crate) async fn phase(&self, id: TransactionId) -> Option<Phase> {
        let row = self
            .world
            .store
            .transaction(id)
            .await
            .expect("the store answers");
        row.map(|row| row.state.phase)
    }

    pub(crate) async fn detail(&self, id: TransactionId) -> Detail {
        self.world
            .store
            .detail(id)
            .await
            .expect("the store answers")
            .expect("it is there")
    }

    /// The sentence about it.
    pub(crate) async fn summary(&self, id: TransactionId) -> String {
        self.coordinator
            .get(&id.to_string())
            .await
            .expect("it is there")
            .summary
    }

    /// The value of a metric that has no labels.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self
            .metrics
            .render(&Snapshot::default())
            .expect("metrics are shown");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in:\n{text}"))
            .parse()
            .expect("a number")
    }

    /// Where the breaker of a subscription stands.
    pub(crate) fn breaker(&self, subscription: &str) -> BreakerState {
        let target = subscription_target(subscription);
        let targets = self.board.targets(Instant::now());
        let status = targets.into_iter().find(|status| status.target == target);
        status.map_or(BreakerState::Closed, |status| status.breaker)
    }
}

fn subscription_target(name: &str) -> Target {
    Target::Subscription(Name::default_namespace(), name.parse().unwrap())
}

/// One message of its own, no check-back before long.
pub(crate) fn one_message(id: TransactionId) -> PrepareInput {
    PrepareInput {
        id: Some(id.to_string()),
        initiator: "cashier".into(),
        messages: vec![message(TOPIC, "", &id.to_string())],
        options: OptionsInput {
            check_after: Some(minutes(24 * 60)),
            ..OptionsInput::default()
        },
        ..PrepareInput::default()
    }
}

pub(crate) fn message(topic: &str, key: &str, body: &str) -> MessageInput {
    MessageInput {
        topic: topic.into(),
        key: key.into(),
        payload: body.to_owned().into(),
        content_type: "text/plain".into(),
        ..MessageInput::default()
    }
}

/// A reservation at `service`.
pub(crate) fn branch(service: &str, body: &str) -> BranchInput {
    BranchInput {
        service: service.into(),
        action: "debit".into(),
        payload: body.to_owned().into(),
        content_type: "text/plain".into(),
        ..BranchInput::default()
    }
}

/// A transaction with a branch at each of `services` and no message, no check-back before long.
pub(crate) fn reservations(id: TransactionId, services: &[&str]) -> PrepareInput {
    PrepareInput {
        messages: vec![],
        branches: services
            .iter()
            .map(|service| branch(service, &format!("{service} {id}")))
            .collect(),
        ..one_message(id)
    }
}
