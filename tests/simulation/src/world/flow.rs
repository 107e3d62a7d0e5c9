//! What a service does from the first call of a transaction to the last: its local transactions and its calls.
//!
//! The order of things is the SDK's: fence row, prepare, COMMIT, confirm; and a cancel only once it is proven that the
//! local transaction can't commit.

use std::{sync::Arc, time::Duration};

use earnest_coordinator::service::{Code, OptionsInput};
use earnest_protocol::{Decision, InitiatorOutcome, OnBudgetSpent, Phase, TransactionId};
use earnest_store::Clock;

use super::{
    Gate, World,
    call::{How, Told, prepare_input},
    initiator::{Initiator, millis},
    initiator_name,
    local::Fence,
    messages,
    reserve::Reserving,
};
use crate::plan::{End, MessagePlan, Op, Party};

/// One flow of one run of a service.
pub(super) struct Flow {
    pub(super) world: Arc<World>,
    service: usize,
    pub(super) operation: u32,
    pub(super) gate: Arc<Gate>,
    pub(super) run: u32,
    pub(super) id: TransactionId,
}

impl World {
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
        let service = usize::from(initiator);
        let (gate, run) = {
            let state = self.initiators[service].state();
            if state.held_down > 0 || state.foreign > 0 {
                return;
            }
            (Arc::clone(&state.gate), state.run)
        };
        let now = self.initiators[service].clock.now();
        let mut chance = [0; 10];
        chance[4..8].copy_from_slice(&operation.to_le_bytes());
        chance[9] = u8::try_from(self.network.draw((operation, "id"), 256)).unwrap_or_default();
        let id = TransactionId::from_parts(now, chance);
        self.opens(operation, id);
        let ended = Arc::clone(&gate);
        let flow = Flow {
            world: self,
            service,
            operation,
            gate,
            run,
            id,
        };
        tokio::select! {
            biased;
            () = ended.died() => {}
            () = flow.run(op) => {}
        }
    }
}

impl Flow {
    pub(super) fn party(&self) -> Party {
        Party::Initiator(u8::try_from(self.service).unwrap_or_default())
    }

    pub(super) fn initiator(&self) -> &Initiator {
        &self.world.initiators[self.service]
    }

    pub(super) fn name(&self) -> String {
        initiator_name(self.initiator().number)
    }

    async fn run(self, op: Op) {
        match op {
            Op::Send {
                messages,
                think_ms,
                check_after_ms,
                budget,
                end,
                ..
            } => {
                let options = OptionsInput {
                    check_after: Some(millis(check_after_ms)),
                    check_back_budget: Some(budget),
                    ..OptionsInput::default()
                };
                self.send(&messages, millis(think_ms), options, end).await;
            }
            Op::Submit { messages, .. } => {
                self.begins(InitiatorOutcome::None);
                self.record(&messages, OptionsInput::default(), How::Submit)
                    .await;
            }
            Op::Alone {
                messages,
                check_after_ms,
                decide,
                ..
            } => self.alone(&messages, check_after_ms, decide).await,
            Op::Asked {
                messages,
                check_after_ms,
                budget,
                knows,
                tells,
                lies,
                ..
            } => {
                if lies {
                    self.initiator().lies_about(self.id);
                }
                let options = OptionsInput {
                    check_after: Some(millis(check_after_ms)),
                    outcome: Some(InitiatorOutcome::Asked),
                    on_budget_spent: Some(if budget == 2 {
                        OnBudgetSpent::Park
                    } else {
                        OnBudgetSpent::Cancel
                    }),
                    check_back_budget: Some(budget),
                    allow_no_subscription: false,
                };
                self.asked(&messages, options, knows, tells).await;
            }
            Op::Reserve {
                branches,
                joins,
                messages,
                think_ms,
                check_after_ms,
                budget,
                end,
                ..
            } => {
                let options = OptionsInput {
                    check_after: Some(millis(check_after_ms)),
                    check_back_budget: Some(budget),
                    ..OptionsInput::default()
                };
                let plan = Reserving {
                    branches: &branches,
                    joins: joins.into(),
                    messages: &messages,
                };
                self.reserve(plan, millis(think_ms), options, end).await;
            }
            Op::Execute {
                branches,
                messages,
                check_after_ms,
                decide,
                ..
            } => {
                let options = OptionsInput {
                    check_after: Some(millis(check_after_ms)),
                    ..OptionsInput::default()
                };
                self.execute(&branches, &messages, options, decide).await;
            }
            Op::CancelFirst { .. } => {
                self.begins(InitiatorOutcome::None);
                self.decide(Decision::Cancel).await;
                self.record(&[], OptionsInput::default(), How::Prepare)
                    .await;
            }
            Op::Operate { .. } | Op::Registry { .. } => {}
        }
    }

    pub(super) fn begins(&self, outcome: InitiatorOutcome) {
        self.world.book.begins(self.id, outcome);
    }

    async fn record(
        &self,
        plan: &[MessagePlan],
        options: OptionsInput,
        how: How,
    ) -> Told<earnest_coordinator::service::Recorded> {
        let input = prepare_input(self.id, self.name(), messages(plan, "body"), options);
        self.world
            .record(self.party(), self.operation, self.id, input, how)
            .await
    }

    pub(super) async fn decide(&self, decision: Decision) {
        self.is_taken(decision).await;
    }

    /// Whether the decision was answered OK.
    async fn is_taken(&self, decision: Decision) -> bool {
        self.world
            .decide(self.party(), self.operation, self.id, self.name(), decision)
            .await
    }

    async fn send(&self, plan: &[MessagePlan], think: Duration, options: OptionsInput, end: End) {
        self.begins(InitiatorOutcome::Local);
        let database = &self.initiator().database;
        if !database.begin(self.id, self.run) {
            return;
        }
        if end == End::DieBeforePrepare {
            return self.dies();
        }
        match self.record(plan, options, How::Prepare).await {
            Told::Answer(Ok(recorded)) if recorded.row.state.phase == Phase::Prepared => {}
            Told::Answer(Ok(_)) => {
                // Decided over its head: it can't commit, and says so.
                database.roll_back(self.id);
                return self.decide(Decision::Cancel).await;
            }
            Told::Answer(Err(error)) if error.code == Code::IdReused => {
                return database.roll_back(self.id);
            }
            Told::Answer(Err(_)) | Told::Nothing => {
                database.roll_back(self.id);
                return self.decide(Decision::Cancel).await;
            }
        }
        tokio::time::sleep(think).await;
        self.gate.pass().await;
        self.ends(plan, options, end).await;
    }

    /// From the last statement on.
    pub(super) async fn ends(&self, plan: &[MessagePlan], options: OptionsInput, end: End) {
        let database = &self.initiator().database;
        match end {
            End::DieBeforePrepare | End::DieBeforeCommit => self.dies(),
            End::RollBack => {
                database.roll_back(self.id);
                self.decide(Decision::Cancel).await;
            }
            End::DieBeforeConfirm => {
                self.commits().await;
            }
            End::Commit => {
                if self.commits().await {
                    self.decide(Decision::Confirm).await;
                }
            }
            End::Contradict => {
                // Before it was taken, the opposite would be a lie about the local transaction.
                if self.commits().await && self.is_taken(Decision::Confirm).await {
                    self.decide(Decision::Cancel).await;
                }
            }
            End::ReuseId => {
                self.reuses_id(plan, options).await;
                if self.commits().await {
                    self.decide(Decision::Confirm).await;
                }
            }
            End::CommitUnknown(lands) => self.commit_unknown(lands).await,
        }
    }

    /// COMMIT, unless the database is away; then whether it lands is drawn, and found out.
    async fn commits(&self) -> bool {
        let database = &self.initiator().database;
        if database.is_away() {
            let lands = self.world.network.draw((self.operation, "lands"), 2) == 0;
            self.commit_unknown(lands).await;
            return false;
        }
        let committed = database.commit(self.id);
        if committed {
            self.world
                .trace
                .note(format_args!("{} committed locally", self.id));
        }
        committed
    }

    /// The process is gone; its database finds out after a while.
    pub(super) fn dies(&self) {
        let (world, service, id) = (Arc::clone(&self.world), self.service, self.id);
        let linger = millis(world.network.draw((self.operation, "linger"), 3_000));
        tokio::spawn(async move {
            tokio::time::sleep(linger).await;
            world.initiators[service].database.roll_back(id);
        });
    }

    /// COMMIT is on its way and not answered: the fencing read finds out, on another connection.
    async fn commit_unknown(&self, lands: bool) {
        let (world, service, id) = (Arc::clone(&self.world), self.service, self.id);
        let late = millis(world.network.draw((self.operation, "late"), 1_500));
        tokio::spawn(async move {
            tokio::time::sleep(late).await;
            let database = &world.initiators[service].database;
            if lands {
                database.commit(id);
            } else {
                database.roll_back(id);
            }
        });
        for _ in 0..50 {
            tokio::time::sleep(millis(100)).await;
            self.gate.pass().await;
            match self.initiator().database.fencing_read(self.id) {
                Fence::Committed => return self.decide(Decision::Confirm).await,
                Fence::RolledBack => return self.decide(Decision::Cancel).await,
                Fence::Held | Fence::Away => {}
            }
        }
    }

    /// M6: other content under the same id.
    async fn reuses_id(&self, plan: &[MessagePlan], options: OptionsInput) {
        let input = prepare_input(self.id, self.name(), messages(plan, "other"), options);
        let told = self
            .world
            .record(
                self.party(),
                self.operation + 1,
                self.id,
                input,
                How::Prepare,
            )
            .await;
        let taken = matches!(told, Told::Answer(Ok(_))) && !plan.is_empty();
        self.world.book.violations.unless(!taken, "M6", || {
            format!("{} was prepared with other content", self.id)
        });
    }

    async fn alone(&self, plan: &[MessagePlan], check_after_ms: u32, decide: Option<(bool, u32)>) {
        self.begins(InitiatorOutcome::None);
        let options = OptionsInput {
            check_after: Some(millis(check_after_ms)),
            outcome: Some(InitiatorOutcome::None),
            ..OptionsInput::default()
        };
        let told = self.record(plan, options, How::Prepare).await;
        self.may_add_a_message(plan).await;
        let Some((confirm, after)) = decide else {
            return;
        };
        tokio::time::sleep(millis(after)).await;
        self.gate.pass().await;
        if confirm && matches!(told, Told::Answer(Ok(_))) {
            self.decide(Decision::Confirm).await;
        } else {
            self.decide(Decision::Cancel).await;
        }
    }

    /// Plans without participants are older than that.
    async fn may_add_a_message(&self, plan: &[MessagePlan]) {
        if self.world.setup.participants > 0 && self.operation.is_multiple_of(4) {
            self.adds_message(plan).await;
        }
    }

    async fn asked(
        &self,
        plan: &[MessagePlan],
        options: OptionsInput,
        knows: Option<(bool, u32)>,
        tells: bool,
    ) {
        self.begins(InitiatorOutcome::Asked);
        self.initiator().knows(self.id, None);
        self.record(plan, options, How::Prepare).await;
        self.may_add_a_message(plan).await;
        let Some((confirm, after)) = knows else {
            return;
        };
        tokio::time::sleep(millis(after)).await;
        self.gate.pass().await;
        let decision = if confirm {
            Decision::Confirm
        } else {
            Decision::Cancel
        };
        self.initiator().knows(self.id, Some(decision));
        if tells {
            self.decide(decision).await;
        }
    }
}
