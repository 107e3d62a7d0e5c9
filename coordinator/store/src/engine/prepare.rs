//! Prepare and Submit.

use earnest_protocol::{
    Decision, Effect, Event, InitiatorOutcome, LeaseToken, Ordinal, State, transition,
};

use super::{Engine, Outcome, Rows};
use crate::{NewTransaction, Rejection, Reply, StoreError, TransactionRow, planted::planted};

impl<R: Rows> Engine<'_, R> {
    pub(super) fn prepare(&mut self, new: &NewTransaction) -> Outcome {
        match self.recorded(new)? {
            Recorded::Refused(rejection) => Ok(Err(rejection)),
            Recorded::Before(row) => Ok(Ok(transaction(*row, false, false))),
            Recorded::Absent => {
                let row = self.new_row(new);
                self.rows.insert_transaction(&row)?;
                self.insert_messages(new)?;
                self.insert_branches(&row, &new.branches)?;
                Ok(Ok(transaction(row, true, false)))
            }
        }
    }

    pub(super) fn submit(&mut self, new: &NewTransaction) -> Outcome {
        match self.recorded(new)? {
            Recorded::Refused(rejection) => Ok(Err(rejection)),
            Recorded::Before(row) => self.confirm_again(*row),
            Recorded::Absent => {
                let mut row = self.new_row(new);
                // A Submit carries no branches: nobody would have tried them.
                row.state = State::prepared(new.options);
                let plan = self.plan_of(&row, &new.messages)?;
                let confirmed =
                    transition(row.state.clone(), Event::Decide(Decision::Confirm), |d| {
                        plan.owed(d)
                    });
                let Ok((state, effects)) = confirmed else {
                    return Err(StoreError::Corrupt(
                        "a new transaction refuses to be confirmed".into(),
                    ));
                };
                row.state = state;
                self.note_effects(&mut row, &effects);
                self.rows.insert_transaction(&row)?;
                self.insert_messages(new)?;
                self.owe(&row, plan)?;
                Ok(Ok(transaction(row, true, true)))
            }
        }
    }

    /// A Submit that is repeated, or that meets a Prepare of the same content.
    fn confirm_again(&mut self, mut row: TransactionRow) -> Outcome {
        match self.step(&mut row, Event::Decide(Decision::Confirm))? {
            Err(_) => Ok(Err(Rejection::AlreadyDecided(Box::new(row)))),
            Ok(effects) => {
                let decided = effects.iter().any(|e| matches!(e, Effect::Decided(..)));
                if decided {
                    self.rows.update_transaction(&mut row)?;
                }
                Ok(Ok(transaction(row, false, decided)))
            }
        }
    }

    fn recorded(&mut self, new: &NewTransaction) -> Result<Recorded, StoreError> {
        if let Some(row) = self.rows.transaction(new.id)? {
            return Ok(match row.content {
                None => Recorded::Refused(Rejection::AlreadyDecided(Box::new(row))),
                Some(content) if content == new.content || planted!(OtherContentIsTaken) => {
                    Recorded::Before(Box::new(row))
                }
                Some(_) => Recorded::Refused(Rejection::IdReused { id: new.id }),
            });
        }
        if self.is_too_old(new.id)? {
            return Ok(Recorded::Refused(Rejection::TooOld { id: new.id }));
        }
        let is_tcc = !new.branches.is_empty() || new.options.outcome == InitiatorOutcome::Executed;
        if is_tcc && !self.rows.all_know_branches()? {
            return Ok(Recorded::Refused(Rejection::OlderNode { id: new.id }));
        }
        if !new.options.allow_no_subscription {
            for message in &new.messages {
                if self
                    .rows
                    .subscriptions_of(&new.namespace, &message.topic)?
                    .is_empty()
                {
                    let topic = message.topic.clone();
                    return Ok(Recorded::Refused(Rejection::NoSubscription { topic }));
                }
            }
        }
        Ok(Recorded::Absent)
    }

    /// What was purged can't be told from what never was, so a new one of that age is refused.
    pub(super) fn is_too_old(
        &mut self,
        id: earnest_protocol::TransactionId,
    ) -> Result<bool, StoreError> {
        Ok(self
            .rows
            .purge_horizon()?
            .is_some_and(|horizon| id.made_at() < horizon))
    }

    fn new_row(&self, new: &NewTransaction) -> TransactionRow {
        TransactionRow {
            id: new.id,
            namespace: new.namespace.clone(),
            initiator: Some(new.initiator.clone()),
            resource_id: new.resource_id.clone(),
            business_key: new.business_key.clone(),
            content: Some(new.content),
            message_count: u32::try_from(new.messages.len()).unwrap_or(u32::MAX),
            traceparent: new.traceparent.clone(),
            created_at: self.now,
            state: new_state(new),
            decided: None,
            finished_at: None,
            check_due: Some(self.now.after(new.options.check_after)),
            check_attempts: 0,
            holder: None,
            token: LeaseToken::NONE,
            revision: 0,
        }
    }

    fn insert_messages(&mut self, new: &NewTransaction) -> Result<(), StoreError> {
        for (ordinal, message) in (0..).map(Ordinal).zip(&new.messages) {
            self.rows.insert_message(new.id, ordinal, message)?;
        }
        Ok(())
    }
}

/// Undecided, with the branches that Prepare names.
fn new_state(new: &NewTransaction) -> State {
    let prepared = State::prepared(new.options);
    let branches = u32::try_from(new.branches.len()).unwrap_or(u32::MAX);
    match transition(
        prepared.clone(),
        Event::BranchesRegistered(branches),
        |_| (0, 0),
    ) {
        Ok((state, _)) => state,
        // Only what is decided refuses branches.
        Err(_) => prepared,
    }
}

enum Recorded {
    Absent,
    Before(Box<TransactionRow>),
    Refused(Rejection),
}

pub(super) fn transaction(row: TransactionRow, created: bool, decided: bool) -> Reply {
    Reply::Transaction {
        row: Box::new(row),
        created,
        decided,
        made_due: 0,
    }
}
