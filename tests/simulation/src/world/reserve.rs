//! Services that reserve: the Trys of an initiator in the SDK's order, and transactions whose Trys the coordinator runs.

use std::{sync::Arc, time::Duration};

use earnest_coordinator::service::{BranchInput, Coordinator, OptionsInput, RegisterInput};
use earnest_protocol::{BranchAnswer, BranchCall, Decision, InitiatorOutcome, Ordinal, Phase};
use earnest_store::BranchKey;

use super::{
    call::{How, Told, prepare_input},
    flow::Flow,
    initiator::millis,
    messages,
    participant::{self, Asked},
};
use crate::plan::{BranchPlan, End, MessagePlan, Party};

/// One call of a Try, and how often it is made.
const TRY: Duration = Duration::from_secs(1);
const TRIES: u32 = 2;

/// What an initiator with branches does.
pub(super) struct Reserving<'p> {
    pub(super) branches: &'p [BranchPlan],
    /// The last so many of them are registered one after the other.
    pub(super) joins: usize,
    pub(super) messages: &'p [MessagePlan],
}

fn input(plan: &BranchPlan) -> BranchInput {
    BranchInput {
        service: participant::name(plan.participant),
        action: "reserve".to_owned(),
        payload: participant::payload(plan).into(),
        ..BranchInput::default()
    }
}

impl Flow {
    /// Prepares, reserves, and ends as others do; without an OK of each Try it never commits.
    pub(super) async fn reserve(
        &self,
        plan: Reserving<'_>,
        think: Duration,
        options: OptionsInput,
        end: End,
    ) {
        self.begins(InitiatorOutcome::Local);
        let database = &self.initiator().database;
        if !database.begin(self.id, self.run) {
            return;
        }
        if end == End::DieBeforePrepare {
            return self.dies();
        }
        let named = plan.branches.len() - plan.joins;
        let (first, later) = plan.branches.split_at(named);
        let mut new = prepare_input(
            self.id,
            self.name(),
            messages(plan.messages, "body"),
            options,
        );
        new.branches = first.iter().map(input).collect();
        let told = self
            .world
            .record(self.party(), self.operation, self.id, new, How::Prepare)
            .await;
        let is_open = matches!(told, Told::Answer(Ok(recorded)) if recorded.row.state.phase == Phase::Prepared);
        if !is_open || !self.tries_all(first, later, named).await {
            database.roll_back(self.id);
            return self.decide(Decision::Cancel).await;
        }
        tokio::time::sleep(think).await;
        self.gate.pass().await;
        self.ends(plan.messages, options, end).await;
    }

    async fn tries_all(&self, first: &[BranchPlan], later: &[BranchPlan], named: usize) -> bool {
        let mut trys = tokio::task::JoinSet::new();
        for (no, branch) in first.iter().enumerate() {
            trys.spawn(self.try_(no, branch));
        }
        while let Some(tried) = trys.join_next().await {
            if !tried.unwrap_or(false) {
                return false;
            }
        }
        for (no, branch) in (named..).zip(later) {
            self.gate.pass().await;
            if !self.joins(no, branch).await || !self.try_(no, branch).await {
                return false;
            }
        }
        true
    }

    /// Registers a further branch; true: it is recorded, and nothing was decided.
    async fn joins(&self, no: usize, branch: &BranchPlan) -> bool {
        let no = u32::try_from(no).unwrap_or(u32::MAX);
        let register = RegisterInput {
            id: self.id.to_string(),
            initiator: self.name(),
            branches: vec![(no, input(branch))],
            ..RegisterInput::default()
        };
        let joined = self.registers(register).await;
        if joined.is_some() {
            self.world.book.told_registered(self.id, Ordinal(no));
        }
        joined == Some(Phase::Prepared)
    }

    /// Sends one more message, as others may while it is undecided.
    pub(super) async fn adds_message(&self, plan: &[MessagePlan]) {
        let at = u32::try_from(plan.len()).unwrap_or(u32::MAX);
        let message = messages(&[MessagePlan { topic: 0, key: 0 }], "late").remove(0);
        let register = RegisterInput {
            id: self.id.to_string(),
            initiator: self.name(),
            messages: vec![(at, message)],
            ..RegisterInput::default()
        };
        self.registers(register).await;
    }

    async fn registers(&self, register: RegisterInput) -> Option<Phase> {
        let register = Arc::new(register);
        let act = move |coordinator: Coordinator| {
            let register = Arc::clone(&register);
            async move {
                coordinator
                    .register_branches(register.as_ref().clone())
                    .await
            }
        };
        let patience = Duration::from_secs(2);
        let told = self
            .world
            .call(self.party(), self.operation, patience, act)
            .await;
        match told {
            Told::Answer(Ok(row)) => Some(row.state.phase),
            Told::Answer(Err(error)) => {
                self.world.refused(self.id, &error).await;
                None
            }
            Told::Nothing => None,
        }
    }

    /// Calls Try, again when nothing is heard; true: it is reserved.
    fn try_(&self, no: usize, plan: &BranchPlan) -> impl Future<Output = bool> + Send + use<> {
        let world = Arc::clone(&self.world);
        let (party, number) = (self.party(), plan.participant);
        let key = BranchKey {
            transaction: self.id,
            ordinal: Ordinal(u32::try_from(no).unwrap_or(u32::MAX)),
        };
        let asked = Asked::of(key, BranchCall::Try, participant::payload(plan).as_bytes());
        async move {
            for _ in 0..TRIES {
                let (at, calls) = (Arc::clone(&world), [asked.clone()]);
                let act = move || {
                    let (world, calls) = (Arc::clone(&at), calls.clone());
                    async move {
                        world.participants[usize::from(number)]
                            .takes(&world, &calls)
                            .await
                    }
                };
                let to = Party::Participant(number);
                let answers = world.network.call(party, to, TRY, act).await;
                match answers.unwrap_or_default().pop() {
                    Some(BranchAnswer::Ok) => return true,
                    Some(BranchAnswer::Refused(_) | BranchAnswer::Failed(_)) => return false,
                    Some(BranchAnswer::InProgress | BranchAnswer::Unknown) | None => {}
                }
            }
            false
        }
    }

    /// All in one call; afterwards its initiator may think better of it.
    pub(super) async fn execute(
        &self,
        branches: &[BranchPlan],
        plan: &[MessagePlan],
        options: OptionsInput,
        decide: Option<(bool, u32)>,
    ) {
        self.begins(InitiatorOutcome::Executed);
        let mut new = prepare_input(self.id, self.name(), messages(plan, "body"), options);
        new.branches = branches.iter().map(input).collect();
        self.world
            .record(self.party(), self.operation, self.id, new, How::Execute)
            .await;
        if self.operation.is_multiple_of(4) {
            self.adds_message(plan).await;
        }
        let Some((confirm, after)) = decide else {
            return;
        };
        tokio::time::sleep(millis(after)).await;
        self.gate.pass().await;
        let decision = if confirm {
            Decision::Confirm
        } else {
            Decision::Cancel
        };
        self.decide(decision).await;
    }
}
