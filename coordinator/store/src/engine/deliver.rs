//! The ends of delivery attempts.

use earnest_protocol::{DeliveryState, Event, LeaseToken, Settled};

use super::{Engine, Outcome, Rows};
use crate::{
    AttemptKind, DeliveryKey, DeliveryRow, DeliverySettled, Reply, StoreError, TransactionRow,
    planted::planted,
};

impl<R: Rows> Engine<'_, R> {
    pub(super) fn delivery_settled(&mut self, settled: &DeliverySettled) -> Outcome {
        let Some((mut row, mut delivery)) = self.leased(&settled.key, settled.token)? else {
            return Ok(Ok(Reply::LostLease));
        };
        delivery.attempts += 1;
        if let Some(note) = &settled.note {
            let key = &settled.key;
            let kind = AttemptKind::Delivery(key.ordinal, key.subscription.clone());
            self.attempt(key.transaction, kind, delivery.attempts, note)?;
        }
        release(&mut delivery);
        let event = match &settled.settled {
            Settled::RetryAfter(delay) => {
                delivery.due = Some(self.now.after(*delay)).filter(|_| !planted!(RetryIsForgotten));
                None
            }
            Settled::Done => {
                delivery.state = DeliveryState::Done;
                delivery.due = None;
                delivery.done_at = Some(self.now);
                (!planted!(DoneIsNotCounted)).then_some(Event::EffectDone)
            }
            Settled::Park(reason) => {
                delivery.state = DeliveryState::Parked;
                delivery.due = None;
                delivery.parked = Some(reason.clone());
                Some(Event::EffectParked)
            }
        };
        self.rows.update_delivery(&delivery)?;
        if let Some(event) = event {
            self.count(&mut row, event)?;
        }
        if delivery.state == DeliveryState::Done && !planted!(NextOfKeyIsForgotten) {
            self.follow(&delivery)?;
        }
        Ok(Ok(Reply::Settled(Box::new(row))))
    }

    pub(super) fn release_delivery(&mut self, key: &DeliveryKey, token: LeaseToken) -> Outcome {
        let Some((row, mut delivery)) = self.leased(key, token)? else {
            return Ok(Ok(Reply::LostLease));
        };
        release(&mut delivery);
        delivery.due = Some(self.now);
        self.rows.update_delivery(&delivery)?;
        Ok(Ok(Reply::Settled(Box::new(row))))
    }

    /// Writes what an effect's end means for its transaction.
    pub(super) fn count(
        &mut self,
        row: &mut TransactionRow,
        event: Event,
    ) -> Result<(), StoreError> {
        if let Err(illegal) = self.step(row, event)? {
            return Err(StoreError::Corrupt(format!(
                "transaction {}: {illegal}",
                row.id
            )));
        }
        self.rows.update_transaction(row)
    }

    /// The delivery, when `token` is still the one of its last claim. A lease that ran out and that nobody
    /// took since is as good as ever.
    fn leased(
        &mut self,
        key: &DeliveryKey,
        token: LeaseToken,
    ) -> Result<Option<(TransactionRow, DeliveryRow)>, StoreError> {
        let Some(delivery) = self.rows.delivery(key)? else {
            return Ok(None);
        };
        let stale = delivery.token != token && !planted!(StaleDeliveryCounts);
        if stale || delivery.state != DeliveryState::Pending {
            return Ok(None);
        }
        let row = self.rows.transaction(key.transaction)?;
        Ok(row.map(|row| (row, delivery)))
    }

    /// Makes the next message of an ordered key due, and takes it when there is room.
    fn follow(&mut self, done: &DeliveryRow) -> Result<(), StoreError> {
        let (Some((key, _)), Some(name)) = (&done.order, &done.key.subscription) else {
            return Ok(());
        };
        let Some(mut next) = self.rows.order_head(&done.namespace, name, key)? else {
            return Ok(());
        };
        if next.state != DeliveryState::Pending || next.holder.is_some() {
            return Ok(());
        }
        next.due = Some(self.now);
        let row = self.rows.transaction(next.key.transaction)?;
        let message = self.rows.message(next.key.transaction, next.key.ordinal)?;
        let subscription = self.rows.subscription(&done.namespace, name)?;
        let work = match (row, message, subscription) {
            (Some(row), Some(message), Some(subscription)) => {
                self.lease(&row, &mut next, &message, &subscription)
            }
            _ => None,
        };
        self.rows.update_delivery(&next)?;
        self.leased.extend(work);
        Ok(())
    }
}

/// Ends the lease for good: the token is spent, so that the same end can't be written twice.
pub(super) fn release(delivery: &mut DeliveryRow) {
    delivery.holder = None;
    if !planted!(TokenIsNotSpent) {
        delivery.token = delivery.token.next();
    }
}
