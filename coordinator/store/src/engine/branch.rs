//! TCC branches: registration, Trys that the coordinator runs, and what a decision owes them.

use earnest_protocol::{
    BranchCall, BranchState, Event, Illegal, LeaseToken, Ordinal, Settled, TrySettled, give_up,
};

use super::{Engine, Outcome, Rows, prepare::transaction};
use crate::{
    AttemptKind, AttemptNote, Branch, BranchKey, BranchRow, BranchSettled, BranchTried, BranchWork,
    Message, RegisterBranches, Rejection, Reply, StoreError, Target, TransactionRow, Work,
    planted::planted,
};

/// Messages that are new, each in its place; or why they can't be added.
type Further<'m> = Result<Vec<(Ordinal, &'m Message)>, Rejection>;

impl<R: Rows> Engine<'_, R> {
    pub(super) fn register_branches(&mut self, register: &RegisterBranches) -> Outcome {
        let id = register.id;
        let Some(mut row) = self.rows.transaction(id)? else {
            return Ok(Err(Rejection::NotFound { id }));
        };
        if let (Some(claimed), Some(initiator)) = (&register.initiator, &row.initiator)
            && claimed != initiator
        {
            let initiator = initiator.clone();
            return Ok(Err(Rejection::NotInitiator { id, initiator }));
        }
        let known = self.rows.branches(id)?;
        let mut new = Vec::new();
        for (ordinal, branch) in &register.branches {
            match known.iter().find(|(row, _)| row.key.ordinal == *ordinal) {
                None => new.push((*ordinal, branch)),
                Some((_, same)) if same.content() == branch.content() => {}
                Some((row, _)) => return Ok(Err(Rejection::BranchReused { key: row.key })),
            }
        }
        let count = u32::try_from(new.len()).unwrap_or(u32::MAX);
        let found = row.state.branches.saturating_add(count);
        if found > register.limit {
            let limit = register.limit;
            return Ok(Err(Rejection::TooManyBranches { id, found, limit }));
        }
        if count > 0 && !row.is_tcc() && !self.rows.all_know_branches()? {
            return Ok(Err(Rejection::OlderNode { id }));
        }
        let messages = match self.further_messages(&row, register)? {
            Ok(messages) => messages,
            Err(rejection) => return Ok(Err(rejection)),
        };
        if count == 0 && messages.is_empty() {
            return Ok(Ok(transaction(row, false, false)));
        }
        match self.step(&mut row, Event::BranchesRegistered(count))? {
            Err(Illegal::TooLateToRegister(_)) => Ok(Err(Rejection::AlreadyDecided(Box::new(row)))),
            Err(illegal) => Err(StoreError::Corrupt(format!("transaction {id}: {illegal}"))),
            Ok(_) => {
                row.message_count += u32::try_from(messages.len()).unwrap_or(u32::MAX);
                if planted!(JoinIsNotCounted) {
                    row.state.branches -= count;
                }
                // The row's write is what keeps a decision beside it out (T4).
                self.rows.update_transaction(&mut row)?;
                for (ordinal, message) in messages {
                    self.rows.insert_message(id, ordinal, message)?;
                }
                for (ordinal, branch) in new {
                    self.insert_branch(&row, ordinal, branch)?;
                }
                Ok(Ok(transaction(row, true, false)))
            }
        }
    }

    /// Those of the messages that are new.
    fn further_messages<'m>(
        &mut self,
        row: &TransactionRow,
        register: &'m RegisterBranches,
    ) -> Result<Further<'m>, StoreError> {
        let id = row.id;
        let mut new = Vec::new();
        if register.messages.is_empty() {
            return Ok(Ok(new));
        }
        let known = match row.message_count {
            0 => Vec::new(),
            _ => self.rows.messages(id)?,
        };
        for (ordinal, message) in &register.messages {
            match known.get(ordinal.0 as usize) {
                Some(same) if same == message => {}
                None if ordinal.0 as usize == known.len() + new.len() => {
                    new.push((*ordinal, message));
                }
                _ => {
                    let ordinal = *ordinal;
                    return Ok(Err(Rejection::MessageMisplaced { id, ordinal }));
                }
            }
            let lost = !row.state.options.allow_no_subscription
                && self
                    .rows
                    .subscriptions_of(&row.namespace, &message.topic)?
                    .is_empty();
            if lost && new.last().is_some_and(|(last, _)| last == ordinal) {
                let topic = message.topic.clone();
                return Ok(Err(Rejection::NoSubscription { topic }));
            }
        }
        let found = u32::try_from(known.len() + new.len()).unwrap_or(u32::MAX);
        let limit = register.message_limit;
        if found > limit {
            return Ok(Err(Rejection::TooManyMessages { id, found, limit }));
        }
        Ok(Ok(new))
    }

    /// The branches of a new transaction.
    pub(super) fn insert_branches(
        &mut self,
        row: &TransactionRow,
        branches: &[Branch],
    ) -> Result<(), StoreError> {
        for (ordinal, branch) in (0..).map(Ordinal).zip(branches) {
            self.insert_branch(row, ordinal, branch)?;
        }
        Ok(())
    }

    fn insert_branch(
        &mut self,
        row: &TransactionRow,
        ordinal: Ordinal,
        content: &Branch,
    ) -> Result<(), StoreError> {
        let tried_here = row.state.untried > 0;
        let mut branch = BranchRow {
            key: BranchKey {
                transaction: row.id,
                ordinal,
            },
            namespace: row.namespace.clone(),
            service: content.service.clone(),
            state: if tried_here {
                BranchState::Trying
            } else {
                BranchState::Registered
            },
            attempts: 0,
            due: (tried_here || planted!(CallsBeforeDecision)).then_some(self.now),
            created_at: self.now,
            done_at: None,
            parked: None,
            holder: None,
            token: LeaseToken::NONE,
        };
        let leased = self.lease_branch(row, &mut branch, content);
        self.rows.insert_branch(&branch, content)?;
        self.leased.extend(leased);
        Ok(())
    }

    /// Writes that `row`'s decision owes this branch its call.
    pub(super) fn owe_branch(
        &mut self,
        row: &TransactionRow,
        mut branch: BranchRow,
        content: &Branch,
    ) -> Result<(), StoreError> {
        // A Try that is under way ends under a token that is no good any more.
        release(&mut branch);
        branch.state = BranchState::Pending;
        branch.attempts = 0;
        branch.due = Some(self.now);
        let leased = self.lease_branch(row, &mut branch, content);
        self.rows.update_branch(&branch)?;
        self.leased.extend(leased);
        Ok(())
    }

    /// Takes `branch` for this node when it is due and admitted.
    pub(super) fn lease_branch(
        &self,
        row: &TransactionRow,
        branch: &mut BranchRow,
        content: &Branch,
    ) -> Option<Work> {
        let target = Target::Participant(branch.namespace.clone(), branch.service.clone());
        let free = branch.due.is_some() && branch.holder.is_none();
        if !free || !self.grant.admission.admits(&target) {
            return None;
        }
        branch.holder = Some(self.grant.epoch);
        branch.token = branch.token.next();
        branch_work(row, branch, content.clone()).map(Work::from)
    }

    pub(super) fn branch_tried(&mut self, tried: &BranchTried) -> Outcome {
        let leased = self.leased_branch(&tried.key, tried.token, BranchState::Trying)?;
        let Some((mut row, mut branch)) = leased else {
            return Ok(Ok(Reply::LostLease));
        };
        self.branch_attempt(&mut branch, BranchCall::Try, tried.note.as_ref())?;
        release(&mut branch);
        branch.due = None;
        let event = match &tried.settled {
            TrySettled::RetryAfter(delay) => {
                branch.due = Some(self.now.after(*delay));
                None
            }
            TrySettled::Ok => {
                branch.state = BranchState::Tried;
                Some(Event::TriedOk)
            }
            TrySettled::Refused(reason) => Some(Event::TryRefused {
                service: branch.service.clone(),
                reason: reason.clone(),
            }),
        };
        self.rows.update_branch(&branch)?;
        if let Some(event) = event {
            self.count(&mut row, event)?;
        }
        Ok(Ok(Reply::Settled(Box::new(row))))
    }

    pub(super) fn branch_settled(&mut self, settled: &BranchSettled) -> Outcome {
        let leased = self.leased_branch(&settled.key, settled.token, BranchState::Pending)?;
        let Some((mut row, mut branch)) = leased else {
            return Ok(Ok(Reply::LostLease));
        };
        let call = call_of(&row, &branch).unwrap_or(BranchCall::Cancel);
        self.branch_attempt(&mut branch, call, settled.note.as_ref())?;
        release(&mut branch);
        branch.due = None;
        let decided_at = row.decided.as_ref().map_or(self.now, |(at, _)| *at);
        let led_to = settled.settled.clone();
        let event = match give_up(led_to, decided_at, self.now, settled.park_after) {
            Settled::RetryAfter(delay) => {
                branch.due = Some(self.now.after(delay));
                None
            }
            Settled::Done => {
                branch.state = BranchState::Done;
                branch.done_at = Some(self.now);
                Some(Event::EffectDone)
            }
            Settled::Park(reason) => {
                branch.state = BranchState::Parked;
                branch.parked = Some(reason);
                Some(Event::EffectParked)
            }
        };
        self.rows.update_branch(&branch)?;
        if let Some(event) = event {
            self.count(&mut row, event)?;
        }
        Ok(Ok(Reply::Settled(Box::new(row))))
    }

    pub(super) fn release_branch(&mut self, key: &BranchKey, token: LeaseToken) -> Outcome {
        let found = self.rows.branch(key)?.filter(|branch| {
            branch.token == token
                && matches!(branch.state, BranchState::Trying | BranchState::Pending)
        });
        let (Some(mut branch), Some(row)) = (found, self.rows.transaction(key.transaction)?) else {
            return Ok(Ok(Reply::LostLease));
        };
        release(&mut branch);
        branch.due = Some(self.now);
        self.rows.update_branch(&branch)?;
        Ok(Ok(Reply::Settled(Box::new(row))))
    }

    fn branch_attempt(
        &mut self,
        branch: &mut BranchRow,
        call: BranchCall,
        note: Option<&AttemptNote>,
    ) -> Result<(), StoreError> {
        branch.attempts += 1;
        let Some(note) = note else {
            return Ok(());
        };
        let kind = AttemptKind::Branch(branch.key.ordinal, call);
        self.attempt(branch.key.transaction, kind, branch.attempts, note)
    }

    /// The branch, when `token` is still the one of its last claim and it waits for such a call.
    fn leased_branch(
        &mut self,
        key: &BranchKey,
        token: LeaseToken,
        state: BranchState,
    ) -> Result<Option<(TransactionRow, BranchRow)>, StoreError> {
        let Some(branch) = self.rows.branch(key)? else {
            return Ok(None);
        };
        let stale = branch.token != token && !planted!(StaleBranchCounts);
        if stale || branch.state != state {
            return Ok(None);
        }
        let row = self.rows.transaction(key.transaction)?;
        Ok(row.map(|row| (row, branch)))
    }
}

/// Ends the lease for good: the token is spent, so that the same end can't be written twice.
pub(super) fn release(branch: &mut BranchRow) {
    branch.holder = None;
    branch.token = branch.token.next();
}

/// The call that `branch` waits for.
fn call_of(row: &TransactionRow, branch: &BranchRow) -> Option<BranchCall> {
    match branch.state {
        BranchState::Trying => Some(BranchCall::Try),
        BranchState::Registered if planted!(CallsBeforeDecision) => Some(BranchCall::Confirm),
        BranchState::Pending | BranchState::Parked => row.state.phase.decision().map(Into::into),
        BranchState::Registered | BranchState::Tried | BranchState::Done => None,
    }
}

/// A leased call with all that it needs; `None`: nothing is to be called.
pub(crate) fn branch_work(
    row: &TransactionRow,
    branch: &BranchRow,
    content: Branch,
) -> Option<BranchWork> {
    Some(BranchWork {
        key: branch.key,
        token: branch.token,
        call: call_of(row, branch)?,
        branch: content,
        namespace: branch.namespace.clone(),
        initiator: row.initiator.clone()?,
        created_at: row.created_at,
        attempt: branch.attempts + 1,
        traceparent: row.traceparent.clone(),
    })
}
