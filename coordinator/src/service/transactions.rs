//! Prepare, Confirm, Cancel, Submit, Get, List.

use earnest_protocol::{
    Branch, ContentHash, InitiatorOutcome, Message, Name, Options, Ordinal, TransactionId,
};
use earnest_store::{
    Command, Cursor, Decide, Detail, NewTransaction, Page, RegisterBranches, Reply,
    TransactionFilter, TransactionRow,
};

use super::{
    BranchInput, Code, Coordinator, DecideInput, ListInput, MessageInput, PrepareInput,
    RegisterInput, ServiceError, Until, WaitInput, summary,
};

/// A transaction as recorded.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// As it stands.
    pub row: TransactionRow,
    /// This call recorded it.
    pub created: bool,
}

/// A transaction with all that is known of it, and one sentence that says what matters.
#[derive(Debug, Clone)]
pub struct TransactionDetail {
    /// All that is known.
    pub detail: Detail,
    /// Who owes what, since when, the last error, the next attempt, what to do.
    pub summary: String,
}

impl Coordinator {
    /// Records a transaction without sending anything.
    pub async fn prepare(&self, input: PrepareInput) -> Result<Recorded, ServiceError> {
        if input.options.outcome == Some(InitiatorOutcome::Executed) {
            return Err(ServiceError::invalid(
                "options.outcome",
                "EXECUTED is what Execute records; with Prepare the initiator calls Try itself",
            ));
        }
        let new = self.check_prepare(input, None)?;
        self.record(Command::Prepare(Box::new(new))).await
    }

    /// Records branches whose Trys the coordinator runs, and waits as long as `wait` says, or for the decision within its deadline.
    pub async fn execute(
        &self,
        input: PrepareInput,
        wait: Option<WaitInput>,
    ) -> Result<Recorded, ServiceError> {
        if input.branches.is_empty() {
            return Err(ServiceError::invalid(
                "branches",
                "at least one is needed; to send messages alone use Submit",
            ));
        }
        let new = self.check_prepare(input, Some(InitiatorOutcome::Executed))?;
        let wait = wait.unwrap_or(WaitInput {
            until: Until::Decision,
            at_most: new.options.check_after,
        });
        let waiter = self.journal.waiters().of(new.id);
        let recorded = self.record(Command::Prepare(Box::new(new))).await?;
        let row = self.wait(waiter, recorded.row, wait).await;
        Ok(Recorded { row, ..recorded })
    }

    /// Adds branches and messages to an undecided transaction.
    pub async fn register_branches(
        &self,
        input: RegisterInput,
    ) -> Result<TransactionRow, ServiceError> {
        let id: TransactionId = input.id.parse()?;
        if input.branches.is_empty() && input.messages.is_empty() {
            return Err(ServiceError::invalid("branches", "name at least one"));
        }
        let limits = &self.options.limits;
        let (places, inputs): (Vec<u32>, Vec<_>) = input.branches.into_iter().unzip();
        let branches = branches(inputs)?;
        limits.branches(0, &branches)?;
        let (message_places, inputs): (Vec<u32>, Vec<_>) = input.messages.into_iter().unzip();
        let messages = messages(inputs)?;
        limits.messages(&messages)?;
        let most = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let command = Command::RegisterBranches(Box::new(RegisterBranches {
            id,
            initiator: optional("initiator", &input.initiator)?,
            branches: places.into_iter().map(Ordinal).zip(branches).collect(),
            limit: most(limits.branches),
            messages: message_places
                .into_iter()
                .map(Ordinal)
                .zip(messages)
                .collect(),
            message_limit: most(limits.messages),
        }));
        Ok(self.record(command).await?.row)
    }

    /// Records and confirms in one step.
    pub async fn submit(&self, input: PrepareInput) -> Result<Recorded, ServiceError> {
        // Confirmed at once: nobody is ever asked.
        let new = self.check_prepare(input, Some(InitiatorOutcome::None))?;
        self.record(Command::Submit(Box::new(new))).await
    }

    /// Confirms or cancels.
    pub async fn decide(&self, input: DecideInput) -> Result<TransactionRow, ServiceError> {
        let id: TransactionId = input.id.parse()?;
        let initiator = optional("initiator", &input.initiator)?;
        let namespace = namespace(&input.namespace)?;
        let waiter = input.wait.and_then(|_| self.journal.waiters().of(id));
        let command = Command::Decide(Decide {
            id,
            decision: input.decision,
            initiator,
            namespace,
        });
        let row = self.record(command).await?.row;
        match input.wait {
            Some(wait) => Ok(self.wait(waiter, row, wait).await),
            None => Ok(row),
        }
    }

    /// One transaction.
    pub async fn get(&self, id: &str) -> Result<TransactionDetail, ServiceError> {
        let id: TransactionId = id.parse()?;
        let detail = self.store.detail(id).await?;
        let detail = detail.ok_or_else(|| ServiceError::not_found("transaction", id))?;
        let now = self.store.now().await?;
        Ok(TransactionDetail {
            summary: summary(&detail, now),
            detail,
        })
    }

    /// Newest first.
    pub async fn list(&self, input: ListInput) -> Result<Page<TransactionRow>, ServiceError> {
        let topic = match input.topic.as_str() {
            "" => None,
            topic => Some(
                topic
                    .parse()
                    .map_err(|e| ServiceError::bad_name("topic", &e))?,
            ),
        };
        let filter = TransactionFilter {
            namespace: Some(namespace(&input.namespace)?),
            phases: input.phases,
            initiator: optional("initiator", &input.initiator)?,
            business_key: (!input.business_key.is_empty()).then_some(input.business_key),
            topic,
            older_than: (!input.older_than.is_zero()).then_some(input.older_than),
            parked: input.parked,
        };
        let after = match input.page_token.as_str() {
            "" => None,
            token => Some(Cursor(token.parse().map_err(|_| {
                ServiceError::invalid(
                    "page_token",
                    "not one that a list has returned; begin without it",
                )
            })?)),
        };
        let limit = match input.page_size {
            0 => 50,
            size => size.min(1_000) as usize,
        };
        Ok(self.store.transactions(&filter, after, limit).await?)
    }

    async fn record(&self, command: Command) -> Result<Recorded, ServiceError> {
        match self.journal.write(command).await?? {
            Reply::Transaction { row, created, .. } => Ok(Recorded { row: *row, created }),
            other => Err(ServiceError::new(
                Code::Internal,
                format!("the store answered {other:?}"),
                "please report it",
            )),
        }
    }

    fn check_prepare(
        &self,
        input: PrepareInput,
        outcome: Option<InitiatorOutcome>,
    ) -> Result<NewTransaction, ServiceError> {
        let limits = &self.options.limits;
        let id = match &input.id {
            Some(id) => id.parse()?,
            None => self.environment.transaction_id(),
        };
        let namespace = namespace(&input.namespace)?;
        let initiator: Name = input
            .initiator
            .parse()
            .map_err(|e| ServiceError::bad_name("initiator", &e))?;
        limits.text("resource_id", &input.resource_id)?;
        limits.text("business_key", &input.business_key)?;
        limits.text("traceparent", &input.traceparent)?;
        let messages = messages(input.messages)?;
        limits.messages(&messages)?;
        let branches = branches(input.branches)?;
        limits.branches(0, &branches)?;
        let defaults = &self.options.defaults;
        let options = Options {
            check_after: input.options.check_after.unwrap_or(defaults.check_after),
            outcome: outcome
                .or(input.options.outcome)
                .unwrap_or(defaults.outcome),
            on_budget_spent: input
                .options
                .on_budget_spent
                .unwrap_or(defaults.on_budget_spent),
            check_back_budget: input
                .options
                .check_back_budget
                .unwrap_or(defaults.check_back_budget),
            allow_no_subscription: input.options.allow_no_subscription,
        };
        options.validate()?;
        let content = ContentHash::of(
            &namespace,
            &initiator,
            &input.resource_id,
            &input.business_key,
            &options,
            &messages,
            &branches,
        );
        Ok(NewTransaction {
            id,
            namespace,
            initiator,
            resource_id: input.resource_id,
            business_key: input.business_key,
            options,
            content,
            messages,
            branches,
            traceparent: input.traceparent,
        })
    }
}

fn optional(field: &str, text: &str) -> Result<Option<Name>, ServiceError> {
    match text {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|e| ServiceError::bad_name(field, &e)),
    }
}

fn branches(inputs: Vec<BranchInput>) -> Result<Vec<earnest_store::Branch>, ServiceError> {
    let branch = |(n, input): (usize, BranchInput)| {
        let name = |field: &str, text: &str| {
            text.parse::<Name>()
                .map_err(|e| ServiceError::bad_name(&format!("branches[{n}].{field}"), &e))
        };
        Ok(Branch {
            service: name("service", &input.service)?,
            action: name("action", &input.action)?,
            resource_id: input.resource_id,
            payload: input.payload,
            content_type: input.content_type,
        })
    };
    inputs.into_iter().enumerate().map(branch).collect()
}

/// The namespace of a call; empty: `default`.
pub(super) fn namespace(text: &str) -> Result<Name, ServiceError> {
    match text {
        "" => Ok(Name::default_namespace()),
        text => text
            .parse()
            .map_err(|e| ServiceError::bad_name("namespace", &e)),
    }
}

fn messages(inputs: Vec<MessageInput>) -> Result<Vec<earnest_store::Message>, ServiceError> {
    let message = |(n, input): (usize, MessageInput)| {
        let topic = input
            .topic
            .parse()
            .map_err(|e| ServiceError::bad_name(&format!("messages[{n}].topic"), &e))?;
        if !input.deliver_after.is_zero() {
            let field = format!("messages[{n}].deliver_after_ms");
            return Err(ServiceError::invalid(
                &field,
                "delayed delivery is not there yet; only 0 is taken",
            ));
        }
        Ok(Message {
            topic,
            key: input.key,
            headers: input.headers,
            payload: input.payload,
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            key_id: input.key_id,
        })
    };
    inputs.into_iter().enumerate().map(message).collect()
}
