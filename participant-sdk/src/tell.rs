//! Tells the coordinator what one decision is to stand for: the first time prepares the transaction, and each later one joins it.

use earnest_proto::v1::{
    self, Phase, PlacedBranch, PlacedMessage, PrepareRequest, RegisterBranchesRequest,
};

use crate::{
    commit::Draft,
    coordinator_error::Reason,
    crash::{Step, crash_point},
    error::Error,
    fate::Fate,
    sql::Db,
    trace::TraceParent,
};

/// What is told, and of which transaction. There need not be a local transaction yet.
pub(crate) struct Telling<'a, D: Db> {
    pub(crate) draft: &'a mut Draft,
    pub(crate) fate: &'a mut Fate<D>,
}

impl<D: Db> Telling<'_, D> {
    /// Has the coordinator record the messages collected since it was told last, and these branches in their places.
    pub(crate) async fn tell(&mut self, branches: Vec<(u32, v1::Branch)>) -> Result<(), Error> {
        let messages = u32::try_from(self.draft.messages.len()).unwrap_or(u32::MAX);
        let count = u32::try_from(branches.len()).unwrap_or(u32::MAX);
        if self.draft.prepared {
            self.register(branches).await?;
        } else {
            let branches = branches.into_iter().map(|(_, branch)| branch);
            self.prepare(branches.collect()).await?;
            self.draft.prepared = true;
        }
        self.draft.told_messages += messages;
        self.draft.branches += count;
        Ok(())
    }

    async fn register(&mut self, branches: Vec<(u32, v1::Branch)>) -> Result<(), Error> {
        let shared = &self.fate.shared;
        let messages = std::mem::take(&mut self.draft.messages);
        let request = RegisterBranchesRequest {
            id: self.fate.id.to_string(),
            initiator: shared.service.clone(),
            branches: branches
                .into_iter()
                .map(|(ordinal, branch)| PlacedBranch {
                    ordinal,
                    branch: Some(branch),
                })
                .collect(),
            marks: vec![],
            messages: (self.draft.told_messages..)
                .zip(messages)
                .map(|(ordinal, message)| PlacedMessage {
                    ordinal,
                    message: Some(message),
                })
                .collect(),
        };
        let registered = shared
            .coordinator
            .register_branches(shared.timeouts.prepare, &request)
            .await
            .map_err(|failed| failed.error)?;
        self.undecided(&registered)
    }

    /// Goes on only while nobody has decided.
    fn undecided(&self, transaction: &v1::Transaction) -> Result<(), Error> {
        let (id, phase) = (self.fate.id, transaction.phase());
        if phase != Phase::Prepared || transaction.id != id.to_string() {
            return Err(Error::AlreadyDecided {
                id,
                phase: phase_name(phase),
            });
        }
        Ok(())
    }

    async fn prepare(&mut self, branches: Vec<v1::Branch>) -> Result<(), Error> {
        let shared = &self.fate.shared;
        let traceparent = self
            .draft
            .traceparent
            .get_or_insert_with(|| TraceParent::make(&*shared.chance));
        let request = PrepareRequest {
            id: self.fate.id.to_string(),
            namespace: shared.namespace.clone(),
            initiator: shared.service.clone(),
            resource_id: shared.resource_id.clone(),
            business_key: std::mem::take(&mut self.draft.business_key),
            messages: std::mem::take(&mut self.draft.messages),
            options: Some(shared.options),
            traceparent: traceparent.as_str().to_owned(),
            marks: vec![],
            branches,
        };
        crash_point(Step::BeforePrepare);
        self.fate.told = true;
        let prepared = shared
            .coordinator
            .prepare(shared.timeouts.prepare, &request)
            .await;
        let transaction = match prepared {
            Ok(transaction) => transaction,
            Err(failed) => {
                // Another transaction's id is not ours to cancel.
                let foreign = failed.error.reason() == Some(&Reason::IdReused);
                self.fate.told = failed.may_have_acted && !foreign;
                return Err(failed.error.into());
            }
        };
        crash_point(Step::AfterPrepare);
        self.undecided(&transaction)?;
        self.fate.created_us = transaction.created_at_us;
        Ok(())
    }
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Unspecified => "phase not given",
        Phase::Prepared => "PREPARED",
        Phase::Confirming => "CONFIRMING",
        Phase::Confirmed => "CONFIRMED",
        Phase::Cancelling => "CANCELLING",
        Phase::Cancelled => "CANCELLED",
    }
}
