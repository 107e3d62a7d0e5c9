//! What a person does, always with an audit line.

use earnest_protocol::{
    BranchState, DeliveryState, Effect, Event, Illegal, ParkReason, TransactionId,
};

use super::{Engine, Outcome, Rows, branch, deliver::release};
use crate::{
    AuditRow, DeliveryRow, OperatorAction, Rejection, Reply, StoreError, TransactionRow,
    planted::planted,
};

impl<R: Rows> Engine<'_, R> {
    pub(super) fn operator(
        &mut self,
        id: TransactionId,
        action: &OperatorAction,
        actor: &str,
        detail: &str,
    ) -> Outcome {
        let Some(mut row) = self.rows.transaction(id)? else {
            return Ok(Err(Rejection::NotFound { id }));
        };
        let (done, name) = match action {
            OperatorAction::Retry => (self.retry(&mut row)?, "retry".to_owned()),
            OperatorAction::Park(reason) => (self.park(&mut row, reason)?, "park".to_owned()),
            OperatorAction::Decide(decision) => {
                let event = Event::OperatorDecides(*decision, actor.to_owned());
                (
                    self.operator_decides(&mut row, event)?,
                    format!("decide {decision}"),
                )
            }
        };
        if done.is_ok() {
            self.rows.insert_audit(&AuditRow {
                at: self.now,
                actor: actor.to_owned(),
                action: name,
                transaction: Some(id),
                detail: detail.to_owned(),
            })?;
        }
        Ok(done.map(|(decided, made_due)| Reply::Transaction {
            row: Box::new(row),
            created: false,
            decided,
            made_due,
        }))
    }

    fn operator_decides(
        &mut self,
        row: &mut TransactionRow,
        event: Event,
    ) -> Result<Done, StoreError> {
        match self.step(row, event)? {
            Err(Illegal::AlreadyDecided(_)) => {
                Ok(Err(Rejection::AlreadyDecided(Box::new(row.clone()))))
            }
            Err(Illegal::Untried) => Ok(Err(Rejection::Untried(Box::new(row.clone())))),
            Err(_) => Ok(Err(Rejection::NotParked(Box::new(row.clone())))),
            Ok(effects) => {
                let decided = effects.iter().any(|e| matches!(e, Effect::Decided(..)));
                if decided {
                    self.rows.update_transaction(row)?;
                }
                Ok(Ok((decided, 0)))
            }
        }
    }

    fn retry(&mut self, row: &mut TransactionRow) -> Result<Done, StoreError> {
        if row.state.phase.decision().is_none() {
            // A check-back that is under way answers soon by itself, unless it is a parked one's.
            if row.holder.is_none() || row.state.parked.is_some() {
                self.count(row, Event::Unpark)?;
            }
            let is_due = row.check_due.is_some_and(|due| due <= self.now);
            let tries = self.retry_branches(row)?;
            return Ok(Ok((false, u32::from(is_due) + tries)));
        }
        let mut made_due = self.retry_branches(row)?;
        for mut delivery in self.rows.deliveries(row.id)? {
            if delivery.key.subscription.is_none() {
                made_due += self.adopt(row, &delivery)?;
            } else if self.make_due(row, &mut delivery)? {
                made_due += 1;
            }
        }
        Ok(Ok((false, made_due)))
    }

    /// Makes every call of a branch that waits, or is parked, due now.
    fn retry_branches(&mut self, row: &mut TransactionRow) -> Result<u32, StoreError> {
        let mut made_due = 0;
        if row.state.branches == 0 {
            return Ok(0);
        }
        for (mut branch, _) in self.rows.branches(row.id)? {
            let waits = match branch.state {
                BranchState::Trying | BranchState::Pending => branch.holder.is_none(),
                BranchState::Parked => {
                    branch.state = BranchState::Pending;
                    branch.parked = None;
                    self.count(row, Event::EffectUnparked)?;
                    true
                }
                BranchState::Registered | BranchState::Tried | BranchState::Done => false,
            };
            if waits {
                branch.due = Some(self.now);
                self.rows.update_branch(&branch)?;
                made_due += 1;
            }
        }
        Ok(made_due)
    }

    /// Sets what is owed to branches aside; an undecided transaction's Trys just stop. Whether there was any.
    fn park_branches(
        &mut self,
        row: &mut TransactionRow,
        reason: &ParkReason,
    ) -> Result<bool, StoreError> {
        let mut parked = false;
        if row.state.branches == 0 {
            return Ok(false);
        }
        for (mut branch, _) in self.rows.branches(row.id)? {
            let is_owed = branch.state == BranchState::Pending;
            if !is_owed && branch.state != BranchState::Trying {
                continue;
            }
            branch::release(&mut branch);
            branch.due = None;
            if is_owed {
                branch.state = BranchState::Parked;
                branch.parked = Some(reason.clone());
                self.count(row, Event::EffectParked)?;
            }
            self.rows.update_branch(&branch)?;
            parked = true;
        }
        Ok(parked)
    }

    fn make_due(
        &mut self,
        row: &mut TransactionRow,
        delivery: &mut DeliveryRow,
    ) -> Result<bool, StoreError> {
        let Some(name) = &delivery.key.subscription else {
            return Ok(false);
        };
        let exists = self.rows.subscription(&row.namespace, name)?.is_some();
        if !exists || delivery.state == DeliveryState::Done || delivery.holder.is_some() {
            return Ok(false);
        }
        let is_head = match &delivery.order {
            None => true,
            Some((key, _)) => {
                let head = self.rows.order_head(&row.namespace, name, key)?;
                head.is_some_and(|head| head.key == delivery.key)
            }
        };
        if delivery.state == DeliveryState::Parked {
            delivery.state = DeliveryState::Pending;
            delivery.parked = None;
            self.count(row, Event::EffectUnparked)?;
        }
        delivery.due = (is_head || planted!(RetryJumpsTheQueue)).then_some(self.now);
        self.rows.update_delivery(delivery)?;
        Ok(is_head)
    }

    /// Gives a message whose topic had no subscription to those it has now.
    fn adopt(&mut self, row: &mut TransactionRow, orphan: &DeliveryRow) -> Result<u32, StoreError> {
        let Some(message) = self.rows.message(row.id, orphan.key.ordinal)? else {
            return Ok(0);
        };
        let to = self.rows.subscriptions_of(&row.namespace, &message.topic)?;
        if to.is_empty() || orphan.state != DeliveryState::Parked {
            return Ok(0);
        }
        self.rows.delete_delivery(&orphan.key)?;
        row.state.parked_effects -= 1;
        let owed = u32::try_from(to.len()).unwrap_or(u32::MAX);
        row.state.open_effects += owed;
        self.rows.update_transaction(row)?;
        for subscription in to {
            self.owe_delivery(row, orphan.key.ordinal, &message, &subscription)?;
        }
        Ok(owed)
    }

    fn park(&mut self, row: &mut TransactionRow, reason: &ParkReason) -> Result<Done, StoreError> {
        if row.state.phase.decision().is_none() {
            self.count(row, Event::Park(reason.clone()))?;
            self.park_branches(row, reason)?;
            return Ok(Ok((false, 0)));
        }
        let mut parked = self.park_branches(row, reason)?;
        for mut delivery in self.rows.deliveries(row.id)? {
            if delivery.state != DeliveryState::Pending {
                continue;
            }
            release(&mut delivery);
            delivery.state = DeliveryState::Parked;
            delivery.due = None;
            delivery.parked = Some(reason.clone());
            self.rows.update_delivery(&delivery)?;
            self.count(row, Event::EffectParked)?;
            parked = true;
        }
        Ok(if parked {
            Ok((false, 0))
        } else {
            Err(Rejection::NothingToPark(Box::new(row.clone())))
        })
    }
}

/// (decided, made due), or why not.
type Done = Result<(bool, u32), Rejection>;
