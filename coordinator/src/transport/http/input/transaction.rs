//! Transactions: prepared, submitted, executed, added to.

use std::time::Duration;

use earnest_protocol::{InitiatorOutcome, OnBudgetSpent};
use serde::Deserialize;

use super::{
    Problem,
    content::{BranchBody, MessageBody, branches, messages, placed_branches, placed_messages},
    decide::{UntilWord, wait},
    or,
};
use crate::service::{OptionsInput, PrepareInput, RegisterInput, WaitInput};

/// Prepare.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::transport::http) struct PrepareBody {
    id: Option<String>,
    #[serde(default)]
    namespace: String,
    initiator: String,
    #[serde(default)]
    resource_id: String,
    #[serde(default)]
    business_key: String,
    #[serde(default)]
    messages: Vec<MessageBody>,
    #[serde(default)]
    branches: Vec<BranchBody>,
    #[serde(default)]
    options: OptionsBody,
    #[serde(default)]
    traceparent: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OptionsBody {
    check_after_ms: u64,
    outcome: Option<OutcomeWord>,
    on_budget_spent: Option<BudgetWord>,
    check_back_budget: u32,
    allow_no_subscription: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum OutcomeWord {
    Local,
    Asked,
    None,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum BudgetWord {
    Park,
    Cancel,
}

/// Submit.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::transport::http) struct SubmitBody {
    id: Option<String>,
    #[serde(default)]
    namespace: String,
    initiator: String,
    #[serde(default)]
    business_key: String,
    #[serde(default)]
    messages: Vec<MessageBody>,
    #[serde(default)]
    traceparent: String,
    #[serde(default)]
    allow_no_subscription: bool,
}

/// Execute.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::transport::http) struct ExecuteBody {
    id: Option<String>,
    #[serde(default)]
    namespace: String,
    initiator: String,
    #[serde(default)]
    business_key: String,
    #[serde(default)]
    branches: Vec<BranchBody>,
    #[serde(default)]
    messages: Vec<MessageBody>,
    #[serde(default)]
    traceparent: String,
    #[serde(default)]
    deadline_ms: u64,
    #[serde(default)]
    allow_no_subscription: bool,
    wait_ms: Option<u64>,
    #[serde(default)]
    until: Option<UntilWord>,
}

/// Further branches and messages.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::transport::http) struct RegisterBody {
    #[serde(default)]
    initiator: String,
    #[serde(default)]
    branches: Vec<BranchBody>,
    #[serde(default)]
    messages: Vec<MessageBody>,
}

impl PrepareBody {
    /// As the use case takes it; `trace` is the trace context of the call itself.
    pub(in crate::transport::http) fn into_input(
        self,
        trace: &str,
    ) -> Result<PrepareInput, Problem> {
        let options = self.options;
        Ok(PrepareInput {
            id: self.id,
            namespace: self.namespace,
            initiator: self.initiator,
            resource_id: self.resource_id,
            business_key: self.business_key,
            messages: messages(self.messages)?,
            branches: branches(self.branches)?,
            options: OptionsInput {
                check_after: match options.check_after_ms {
                    0 => None,
                    ms => Some(Duration::from_millis(ms)),
                },
                outcome: options.outcome.map(|word| match word {
                    OutcomeWord::Local => InitiatorOutcome::Local,
                    OutcomeWord::Asked => InitiatorOutcome::Asked,
                    OutcomeWord::None => InitiatorOutcome::None,
                }),
                on_budget_spent: options.on_budget_spent.map(|word| match word {
                    BudgetWord::Park => OnBudgetSpent::Park,
                    BudgetWord::Cancel => OnBudgetSpent::Cancel,
                }),
                check_back_budget: match options.check_back_budget {
                    0 => None,
                    budget => Some(budget),
                },
                allow_no_subscription: options.allow_no_subscription,
            },
            traceparent: or(self.traceparent, trace),
        })
    }
}

impl SubmitBody {
    /// As the use case takes it; `trace` is the trace context of the call itself.
    pub(in crate::transport::http) fn into_input(
        self,
        trace: &str,
    ) -> Result<PrepareInput, Problem> {
        Ok(PrepareInput {
            id: self.id,
            namespace: self.namespace,
            initiator: self.initiator,
            resource_id: String::new(),
            business_key: self.business_key,
            messages: messages(self.messages)?,
            branches: vec![],
            options: OptionsInput {
                allow_no_subscription: self.allow_no_subscription,
                ..OptionsInput::default()
            },
            traceparent: or(self.traceparent, trace),
        })
    }
}

impl ExecuteBody {
    /// As the use case takes it; `trace` is the trace context of the call itself.
    pub(in crate::transport::http) fn into_input(
        self,
        trace: &str,
    ) -> Result<(PrepareInput, Option<WaitInput>), Problem> {
        let input = PrepareInput {
            id: self.id,
            namespace: self.namespace,
            initiator: self.initiator,
            resource_id: String::new(),
            business_key: self.business_key,
            messages: messages(self.messages)?,
            branches: branches(self.branches)?,
            options: OptionsInput {
                check_after: match self.deadline_ms {
                    0 => None,
                    ms => Some(Duration::from_millis(ms)),
                },
                allow_no_subscription: self.allow_no_subscription,
                ..OptionsInput::default()
            },
            traceparent: or(self.traceparent, trace),
        };
        Ok((input, wait(self.wait_ms, self.until)))
    }
}

impl RegisterBody {
    /// As the use case takes it.
    pub(in crate::transport::http) fn into_input(
        self,
        id: String,
    ) -> Result<RegisterInput, Problem> {
        Ok(RegisterInput {
            id,
            initiator: self.initiator,
            branches: placed_branches(self.branches)?,
            messages: placed_messages(self.messages)?,
        })
    }
}
