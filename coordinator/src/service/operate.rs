//! What operators do to transactions.

use async_trait::async_trait;
use earnest_protocol::{
    CheckBackAnswer, Decision, InitiatorOutcome, LeaseToken, ParkReason, TransactionId,
};
use earnest_store::{CheckBackWork, Command, OperatorAction, Rejection, Reply, TransactionRow};

use super::{Code, Coordinator, OperatorDecideInput, ServiceError};
use crate::driver::CallOutcome;

/// Asks an initiator about its local transaction.
#[async_trait]
pub trait CheckBackPort: Send + Sync {
    /// One call, to any live instance; bounded in time by the caller.
    async fn check_back(&self, work: &CheckBackWork) -> CallOutcome<CheckBackAnswer>;
}

impl Coordinator {
    /// Makes all that the transaction waits for due now. Returns it, and how much was made due.
    pub async fn retry(
        &self,
        id: &str,
        actor: &str,
    ) -> Result<(TransactionRow, u32), ServiceError> {
        self.operate(id.parse()?, OperatorAction::Retry, actor, String::new())
            .await
    }

    /// Sets it aside.
    pub async fn park(
        &self,
        id: &str,
        reason: &str,
        actor: &str,
    ) -> Result<TransactionRow, ServiceError> {
        let reason = if reason.is_empty() {
            "parked by an operator"
        } else {
            reason
        };
        let action = OperatorAction::Park(ParkReason::new(reason));
        Ok(self
            .operate(id.parse()?, action, actor, reason.to_owned())
            .await?
            .0)
    }

    /// Decides a parked transaction. The initiator is asked first: its answer writes a fence, so that a
    /// cancel can't be overtaken by a late commit.
    pub async fn operator_decides(
        &self,
        input: OperatorDecideInput,
    ) -> Result<TransactionRow, ServiceError> {
        let id: TransactionId = input.id.parse()?;
        let row = self.store.transaction(id).await?;
        let row = row.ok_or_else(|| ServiceError::not_found("transaction", id))?;
        let mut detail = input.reason;
        if row.state.phase.decision().is_none() {
            // Not even handed on: parked a moment later, it would be decided without the initiator's answer.
            if row.state.parked.is_none() {
                return Err(Rejection::NotParked(Box::new(row)).into());
            }
            let answer = self.ask(&row).await;
            detail = format!(
                "{detail} [initiator: {}]",
                answer.as_ref().map_or("not asked", |a| word(a.answer))
            );
            if input.force {
                detail.push_str(" [forced]");
            } else {
                agree(input.decision, answer)?;
            }
        }
        let action = OperatorAction::Decide(input.decision);
        Ok(self.operate(id, action, &input.actor, detail).await?.0)
    }

    async fn operate(
        &self,
        id: TransactionId,
        action: OperatorAction,
        actor: &str,
        detail: String,
    ) -> Result<(TransactionRow, u32), ServiceError> {
        let limits = &self.options.limits;
        limits.text("actor", actor)?;
        limits.text("reason", &detail)?;
        let actor = if actor.is_empty() { "unknown" } else { actor }.to_owned();
        match self
            .journal
            .write(Command::Operator {
                id,
                action,
                actor,
                detail,
            })
            .await??
        {
            Reply::Transaction { row, made_due, .. } => Ok((*row, made_due)),
            other => {
                let message = format!("the store answered {other:?}");
                Err(ServiceError::new(
                    Code::Internal,
                    message,
                    "please report it",
                ))
            }
        }
    }

    async fn ask(&self, row: &TransactionRow) -> Option<CallOutcome<CheckBackAnswer>> {
        let initiator = row.initiator.clone()?;
        if row.state.options.outcome == InitiatorOutcome::None {
            return None;
        }
        let work = CheckBackWork {
            id: row.id,
            token: LeaseToken::NONE,
            namespace: row.namespace.clone(),
            initiator,
            resource_id: row.resource_id.clone(),
            created_at: row.created_at,
            attempt: row.check_attempts + 1,
            options: row.state.options,
            traceparent: row.traceparent.clone(),
        };
        let asked = self.check_back.check_back(&work);
        let outcome = tokio::time::timeout(self.options.timeout, asked).await;
        Some(outcome.unwrap_or_else(|_| {
            let target = format!("service {}", work.initiator);
            let error = format!("no answer within {} ms", self.options.timeout.as_millis());
            CallOutcome::down(CheckBackAnswer::Unknown, target, "timeout", error)
        }))
    }
}

fn word(answer: CheckBackAnswer) -> &'static str {
    match answer {
        CheckBackAnswer::Committed => "committed",
        CheckBackAnswer::RolledBack => "rolled back",
        CheckBackAnswer::InProgress => "in progress",
        CheckBackAnswer::Unknown => "no answer",
    }
}

fn agree(
    decision: Decision,
    answer: Option<CallOutcome<CheckBackAnswer>>,
) -> Result<(), ServiceError> {
    // Nobody can be asked about it, so nobody is contradicted.
    let Some(outcome) = answer else { return Ok(()) };
    match (decision, outcome.answer) {
        (Decision::Confirm, CheckBackAnswer::Committed)
        | (Decision::Cancel, CheckBackAnswer::RolledBack) => Ok(()),
        (_, said) => Err(ServiceError::new(
            Code::OutcomeUnclear,
            format!(
                "{} answered: {}. {}",
                outcome.target,
                word(said),
                outcome.error
            ),
            format!(
                "an operator's {decision} needs the initiator's own answer; bring the service back and retry, or \
                 decide with force and mend what it breaks"
            ),
        )),
    }
}
