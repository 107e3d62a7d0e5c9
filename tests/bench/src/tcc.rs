//! TCC: two branches at services in another process that do nothing but say yes, as an initiator without the SDK calls them.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use earnest_proto::v1::{
    Branch, BranchCall, BranchCallKind, BranchResult, CallBranchesRequest, ConfirmRequest,
    ExecuteRequest, ListTransactionsRequest, Options, Outcome, Phase, PrepareRequest, Wait,
    WaitFor, coordinator_client::CoordinatorClient, participant_client::ParticipantClient,
};
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::{
    caller::{Done, refused},
    clock::Ids,
    latency::Latencies,
    options::Case,
};

/// The two participants; one process serves both, and each is called by itself.
pub const PARTICIPANTS: [&str; 2] = ["bench-debit", "bench-credit"];
const INITIATOR: &str = "bench-cashier";
/// How long a final phase may take; a transaction that has not reached it by then fails the run.
const FINAL_WITHIN: Duration = Duration::from_secs(30);

/// How far a transaction is taken before the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Confirm is answered: the decision is durable.
    Decided,
    /// Confirm is answered once both branches have taken it.
    Final,
    /// One call of Execute: the coordinator tries both, decides, and confirms both.
    Executed,
}

impl Until {
    pub fn case(self) -> Case {
        match self {
            Self::Decided => Case::TccDecided,
            Self::Final => Case::TccFinal,
            Self::Executed => Case::TccExecuted,
        }
    }
}

/// An initiator without a database: Prepare, both Trys at once, Confirm.
pub struct TccCaller {
    coordinator: CoordinatorClient<Channel>,
    participant: ParticipantClient<Channel>,
    until: Until,
    ids: Ids,
}

impl TccCaller {
    /// `seed` makes its ids.
    pub fn new(coordinator: Channel, participant: Channel, until: Until, seed: u64) -> Self {
        Self {
            coordinator: CoordinatorClient::new(coordinator),
            participant: ParticipantClient::new(participant),
            until,
            ids: Ids::seeded(seed),
        }
    }

    /// `calls` takes how long the decision took.
    pub async fn call(&mut self, payload: Bytes, calls: &mut Latencies) -> anyhow::Result<Done> {
        let id = self.ids.next_id().to_string();
        let branches = PARTICIPANTS.map(|service| Branch {
            service: service.to_owned(),
            action: "reserve".to_owned(),
            payload: payload.clone(),
            ..Branch::default()
        });
        let wait = Wait {
            until: WaitFor::FinalPhase.into(),
            at_most_ms: u64::try_from(FINAL_WITHIN.as_millis())?,
        };
        let began = Instant::now();
        if self.until == Until::Executed {
            let execute = ExecuteRequest {
                id: id.clone(),
                initiator: INITIATOR.to_owned(),
                branches: branches.to_vec(),
                wait: Some(wait),
                ..ExecuteRequest::default()
            };
            let executed = match self.coordinator.execute(execute).await {
                Ok(reply) => reply.into_inner(),
                Err(status) => return refused("Execute", status),
            };
            calls.record(began.elapsed());
            let phase = executed.transaction.map(|t| t.phase());
            return reached(&id, phase, Phase::Confirmed);
        }
        let prepare = PrepareRequest {
            id: id.clone(),
            initiator: INITIATOR.to_owned(),
            branches: branches.to_vec(),
            options: Some(Options {
                outcome: Outcome::Local.into(),
                ..Options::default()
            }),
            ..PrepareRequest::default()
        };
        let prepared = match self.coordinator.prepare(prepare).await {
            Ok(reply) => reply.into_inner(),
            Err(status) => return refused("Prepare", status),
        };
        reached(
            &id,
            prepared.transaction.map(|t| t.phase()),
            Phase::Prepared,
        )?;
        let [debit, credit] = branches;
        tokio::try_join!(
            try_(self.participant.clone(), &id, 0, debit),
            try_(self.participant.clone(), &id, 1, credit)
        )?;
        let confirm = ConfirmRequest {
            id: id.clone(),
            initiator: INITIATOR.to_owned(),
            wait: (self.until == Until::Final).then_some(wait),
            ..ConfirmRequest::default()
        };
        let confirmed = match self.coordinator.confirm(confirm).await {
            Ok(reply) => reply.into_inner(),
            Err(status) => return refused("Confirm", status),
        };
        calls.record(began.elapsed());
        let phase = confirmed.transaction.map(|t| t.phase());
        match self.until {
            Until::Final | Until::Executed => reached(&id, phase, Phase::Confirmed),
            Until::Decided => Ok(Done::Acknowledged),
        }
    }
}

async fn try_(
    mut participant: ParticipantClient<Channel>,
    id: &str,
    ordinal: u32,
    branch: Branch,
) -> anyhow::Result<()> {
    let call = BranchCall {
        kind: BranchCallKind::Try.into(),
        transaction_id: id.to_owned(),
        ordinal,
        branch: Some(branch),
        attempt: 1,
        initiator: INITIATOR.to_owned(),
        ..BranchCall::default()
    };
    let calls = CallBranchesRequest { calls: vec![call] };
    let reply = participant.call_branches(calls).await?.into_inner();
    let answer = reply.answers.first().context("Try was not answered")?;
    ensure!(
        answer.result() == BranchResult::Ok,
        "Try was answered {:?}",
        answer.result()
    );
    Ok(())
}

fn reached(id: &str, phase: Option<Phase>, expected: Phase) -> anyhow::Result<Done> {
    match phase {
        Some(phase) if phase == expected => Ok(Done::Acknowledged),
        other => bail!("{id} should be {expected:?}, and is {other:?}"),
    }
}

/// Waits until every decided transaction is final.
pub async fn drain(coordinator: Channel) -> anyhow::Result<()> {
    let mut client = CoordinatorClient::new(coordinator);
    let since = Instant::now();
    loop {
        let open = ListTransactionsRequest {
            phases: vec![Phase::Prepared.into(), Phase::Confirming.into()],
            page_size: 1,
            ..ListTransactionsRequest::default()
        };
        let open = client.list_transactions(open).await?.into_inner();
        let Some(one) = open.transactions.first() else {
            return Ok(());
        };
        ensure!(
            since.elapsed() < FINAL_WITHIN,
            "{} is not final after {FINAL_WITHIN:?}",
            one.id
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
