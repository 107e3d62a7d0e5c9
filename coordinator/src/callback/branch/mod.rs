//! Calls branches at their participants, over gRPC or HTTP.
//!
//! Every call may be made again, at any instance of the service: the participant's fence runs it once. So whatever is not answered
//! with a typed word at one instance is asked at the next (P6), within the time of one attempt.

mod grpc;
mod http;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use earnest_protocol::BranchAnswer;
use earnest_store::{BranchWork, Endpoint, EndpointProtocol};
use tokio::time::Instant;

pub use http::branch_answer_of;

use super::{Clients, Resolved, ServiceDirectory};
use crate::{
    clock::Environment,
    driver::{BranchPort, CallOutcome},
};

type Outcome = CallOutcome<BranchAnswer>;

/// The branch port over registered services.
pub struct Branches {
    directory: Arc<ServiceDirectory>,
    clients: Clients,
    environment: Environment,
    timeout: Duration,
}

impl Branches {
    /// Resolves by `directory`, calls through `clients`; `environment` gives the span ids. The driver waits for `timeout`.
    pub fn new(
        directory: Arc<ServiceDirectory>,
        clients: Clients,
        environment: Environment,
        timeout: Duration,
    ) -> Self {
        Self {
            directory,
            clients,
            environment,
            timeout,
        }
    }

    async fn at(
        &self,
        endpoint: &Endpoint,
        works: &[&BranchWork],
        limit: Duration,
    ) -> Vec<Outcome> {
        match endpoint.protocol {
            EndpointProtocol::Grpc => {
                grpc::call(&self.clients, &self.environment, endpoint, works, limit).await
            }
            EndpointProtocol::Http => {
                http::call(&self.clients, &self.environment, endpoint, works, limit).await
            }
        }
    }
}

#[async_trait]
impl BranchPort for Branches {
    async fn call(&self, batch: &[BranchWork]) -> Vec<Outcome> {
        let Some(first) = batch.first() else {
            return vec![];
        };
        let service = &first.branch.service;
        let endpoints = match self.directory.resolve(&first.namespace, service).await {
            Resolved::Endpoints(endpoints) => endpoints,
            Resolved::Nowhere { code, problem } => {
                return batch
                    .iter()
                    .map(|work| nowhere(work, code, &problem))
                    .collect();
            }
        };
        let mut outcomes: Vec<Option<Outcome>> = batch.iter().map(|_| None).collect();
        // A little less than the driver waits, so that what was answered is not lost with what was not.
        let mut time = self.timeout.mul_f64(0.95);
        for (n, endpoint) in endpoints.iter().enumerate() {
            let open = |n: &usize| {
                let outcome = outcomes[*n].as_ref();
                outcome.is_none_or(|outcome| outcome.answer == BranchAnswer::Unknown)
                    && serves(endpoint, &batch[*n])
            };
            let left: Vec<usize> = (0..batch.len()).filter(open).collect();
            if left.is_empty() {
                continue;
            }
            let works: Vec<&BranchWork> = left.iter().map(|n| &batch[*n]).collect();
            let trial = self.directory.try_endpoint(endpoint);
            // One that hangs leaves time for the next.
            let is_last = n + 1 == endpoints.len();
            let limit = if is_last { time } else { time / 2 };
            let began = Instant::now();
            let answered = self.at(endpoint, &works, limit).await;
            time = time.saturating_sub(began.elapsed());
            trial.ended(answered.iter().any(|outcome| !outcome.down));
            for (n, outcome) in left.into_iter().zip(answered) {
                // An instance that answered says more about the trouble than one that is gone.
                let says_more = outcomes[n]
                    .as_ref()
                    .is_none_or(|before| before.down || !outcome.down);
                if says_more {
                    outcomes[n] = Some(outcome);
                }
            }
        }
        let or_nowhere = |(outcome, work): (Option<Outcome>, &BranchWork)| {
            outcome.unwrap_or_else(|| {
                let problem = format!(
                    "no instance of {service} is registered for database {}: start one, or correct its registration",
                    work.branch.resource_id
                );
                // The service's other databases are not called down for this one's sake.
                CallOutcome {
                    down: false,
                    ..nowhere(work, "no-endpoint", &problem)
                }
            })
        };
        outcomes.into_iter().zip(batch).map(or_nowhere).collect()
    }
}

/// Whether the instance may hold the branch's database.
fn serves(endpoint: &Endpoint, work: &BranchWork) -> bool {
    let (has, wanted) = (&endpoint.resource_id, &work.branch.resource_id);
    has.is_empty() || wanted.is_empty() || has == wanted
}

fn nowhere(work: &BranchWork, code: &str, problem: &str) -> Outcome {
    let target = format!("service {}", work.branch.service);
    CallOutcome::down(BranchAnswer::Unknown, target, code, problem)
}

/// What a typed word says; `detail` is the participant's reason.
fn said(word: BranchAnswer, target: &str, detail: &str) -> Outcome {
    let code = match word {
        BranchAnswer::Ok => "ok",
        BranchAnswer::Refused(_) => "refused",
        BranchAnswer::InProgress => "in-progress",
        BranchAnswer::Failed(_) => "failed",
        BranchAnswer::Unknown => "unknown",
    };
    let error = if word == BranchAnswer::Ok { "" } else { detail };
    CallOutcome::answered(word, target, code, error)
}
