//! Decisions, and what they owe.

use std::sync::Arc;

use earnest_protocol::{
    Decider, Decision, DeliveryState, Effect, Event, Illegal, LeaseToken, Ordinal, ParkReason,
    State,
};

use super::{Engine, Outcome, Rows, prepare::transaction};
use crate::{
    Branch, BranchRow, Decide, DeliveryKey, DeliveryRow, DeliveryWork, Message, Rejection,
    StoreError, SubscriptionRow, Target, TransactionRow, Work, planted::planted,
};

/// What a confirm would owe: each message with each subscription of its topic as it is now, in the same
/// database transaction as the decision.
#[derive(Default)]
pub(super) struct Plan {
    messages: Vec<(Ordinal, Message, Vec<Arc<SubscriptionRow>>)>,
    branches: Vec<(BranchRow, Branch)>,
    allow_no_subscription: bool,
}

impl Plan {
    /// (open, parked) effects that `decision` owes.
    pub(super) fn owed(&self, decision: Decision) -> (u32, u32) {
        let branches = u32::try_from(self.branches.len()).unwrap_or(u32::MAX);
        if decision == Decision::Cancel && !planted!(CancelOwes) {
            return (
                if planted!(CancelForgetsBranches) {
                    0
                } else {
                    branches
                },
                0,
            );
        }
        let open = self
            .messages
            .iter()
            .map(|(_, _, to)| to.len())
            .sum::<usize>();
        let lost = self
            .messages
            .iter()
            .filter(|(_, _, to)| to.is_empty())
            .count();
        let parked = if self.allow_no_subscription || planted!(OrphanIsDropped) {
            0
        } else {
            lost
        };
        (
            u32::try_from(open)
                .unwrap_or(u32::MAX)
                .saturating_add(branches),
            u32::try_from(parked).unwrap_or(u32::MAX),
        )
    }
}

impl<R: Rows> Engine<'_, R> {
    pub(super) fn initiator_decides(&mut self, decide: &Decide) -> Outcome {
        let Some(mut row) = self.rows.transaction(decide.id)? else {
            return self.decide_unknown(decide);
        };
        if let (Some(claimed), Some(initiator)) = (&decide.initiator, &row.initiator)
            && claimed != initiator
        {
            let initiator = initiator.clone();
            return Ok(Err(Rejection::NotInitiator {
                id: decide.id,
                initiator,
            }));
        }
        match self.step(&mut row, Event::Decide(decide.decision))? {
            Err(_) if planted!(OppositeIsToldOk) => Ok(Ok(transaction(row, false, false))),
            Err(Illegal::Untried) => Ok(Err(Rejection::Untried(Box::new(row)))),
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

    fn decide_unknown(&mut self, decide: &Decide) -> Outcome {
        if decide.decision == Decision::Confirm {
            // No tombstone: a Prepare that is still on its way must not be refused because of it.
            return Ok(Err(Rejection::NotFound { id: decide.id }));
        }
        if self.is_too_old(decide.id)? {
            return Ok(Err(Rejection::TooOld { id: decide.id }));
        }
        let row = TransactionRow {
            id: decide.id,
            namespace: decide.namespace.clone(),
            initiator: decide.initiator.clone(),
            resource_id: String::new(),
            business_key: String::new(),
            content: None,
            message_count: 0,
            traceparent: String::new(),
            created_at: self.now,
            state: State::tombstone(),
            decided: Some((self.now, Decider::Initiator)),
            finished_at: Some(self.now),
            check_due: None,
            check_attempts: 0,
            holder: None,
            token: LeaseToken::NONE,
            revision: 0,
        };
        if !planted!(NoTombstone) {
            self.rows.insert_transaction(&row)?;
        }
        Ok(Ok(transaction(row, true, true)))
    }

    /// What a confirm of an undecided `row` would owe; nothing for a decided one.
    pub(super) fn plan(&mut self, row: &TransactionRow) -> Result<Plan, StoreError> {
        if row.state.phase.decision().is_some() {
            return Ok(Plan::default());
        }
        let mut plan = Plan::default();
        if row.message_count > 0 {
            let messages = self.rows.messages(row.id)?;
            plan = self.plan_of(row, &messages)?;
        }
        if row.state.branches > 0 {
            plan.branches = self.rows.branches(row.id)?;
        }
        Ok(plan)
    }

    pub(super) fn plan_of(
        &mut self,
        row: &TransactionRow,
        messages: &[Message],
    ) -> Result<Plan, StoreError> {
        let mut plan = Plan {
            messages: vec![],
            branches: vec![],
            allow_no_subscription: row.state.options.allow_no_subscription,
        };
        for (ordinal, message) in (0..).map(Ordinal).zip(messages) {
            let to = self.rows.subscriptions_of(&row.namespace, &message.topic)?;
            plan.messages.push((ordinal, message.clone(), to));
        }
        Ok(plan)
    }

    /// Records what the decision of `row` owes, and leases what the node has room for.
    pub(super) fn owe(&mut self, row: &TransactionRow, plan: Plan) -> Result<(), StoreError> {
        for (branch, content) in plan.branches {
            if planted!(CancelForgetsBranches)
                && row.state.phase.decision() == Some(Decision::Cancel)
            {
                continue;
            }
            self.owe_branch(row, branch, &content)?;
        }
        if row.state.phase.decision() != Some(Decision::Confirm) && !planted!(CancelOwes) {
            return Ok(());
        }
        for (ordinal, message, to) in plan.messages {
            if to.is_empty() && !plan.allow_no_subscription && !planted!(OrphanIsDropped) {
                self.owe_nobody(row, ordinal, &message)?;
            }
            for subscription in to {
                self.owe_delivery(row, ordinal, &message, &subscription)?;
            }
        }
        Ok(())
    }

    fn owe_nobody(
        &mut self,
        row: &TransactionRow,
        ordinal: Ordinal,
        message: &Message,
    ) -> Result<(), StoreError> {
        let key = DeliveryKey {
            transaction: row.id,
            ordinal,
            subscription: None,
        };
        let reason = format!(
            "topic {} had no subscription at the decision: add one, then retry the transaction",
            message.topic
        );
        let parked = DeliveryRow {
            state: DeliveryState::Parked,
            due: None,
            parked: Some(ParkReason::new(reason)),
            ..self.new_delivery(row, key)
        };
        self.rows.insert_delivery(&parked)
    }

    pub(super) fn owe_delivery(
        &mut self,
        row: &TransactionRow,
        ordinal: Ordinal,
        message: &Message,
        subscription: &Arc<SubscriptionRow>,
    ) -> Result<(), StoreError> {
        let key = DeliveryKey {
            transaction: row.id,
            ordinal,
            subscription: Some(subscription.name.clone()),
        };
        let mut delivery = self.new_delivery(row, key);
        if subscription.ordered && !message.key.is_empty() {
            let tail = self
                .rows
                .order_tail(&row.namespace, &subscription.name, &message.key)?;
            let (last, waiting) = tail.unwrap_or((0, false));
            delivery.order = Some((message.key.clone(), last + 1));
            if waiting && !planted!(OrderIsIgnored) {
                // Behind another message of its key: made due by the one in front of it.
                delivery.due = None;
            }
        }
        let leased = self.lease(row, &mut delivery, message, subscription);
        self.rows.insert_delivery(&delivery)?;
        self.leased.extend(leased);
        Ok(())
    }

    /// Takes `delivery` for this node when it is due and admitted.
    pub(super) fn lease(
        &self,
        row: &TransactionRow,
        delivery: &mut DeliveryRow,
        message: &Message,
        subscription: &Arc<SubscriptionRow>,
    ) -> Option<Work> {
        let target =
            Target::Subscription(subscription.namespace.clone(), subscription.name.clone());
        let free = delivery.due.is_some() && delivery.holder.is_none() && !subscription.paused;
        if !free || !self.grant.admission.admits(&target) {
            return None;
        }
        delivery.holder = Some(self.grant.epoch);
        delivery.token = delivery.token.next();
        delivery_work(row, delivery, message.clone(), Arc::clone(subscription)).map(Work::from)
    }

    fn new_delivery(&self, row: &TransactionRow, key: DeliveryKey) -> DeliveryRow {
        DeliveryRow {
            key,
            namespace: row.namespace.clone(),
            state: DeliveryState::Pending,
            attempts: 0,
            due: Some(self.now),
            created_at: self.now,
            done_at: None,
            parked: None,
            order: None,
            holder: None,
            token: LeaseToken::NONE,
        }
    }
}

/// A leased delivery with all that its call needs; `None` for a transaction without an initiator, which has
/// no messages.
pub(crate) fn delivery_work(
    row: &TransactionRow,
    delivery: &DeliveryRow,
    message: Message,
    subscription: Arc<SubscriptionRow>,
) -> Option<DeliveryWork> {
    Some(DeliveryWork {
        key: delivery.key.clone(),
        token: delivery.token,
        message,
        subscription,
        initiator: row.initiator.clone()?,
        created_at: row.created_at,
        // Not the delivery's own beginning: one that an operator's retry brought about came later.
        decided_at: row
            .decided
            .as_ref()
            .map_or(delivery.created_at, |(at, _)| *at),
        attempt: delivery.attempts + 1,
        traceparent: row.traceparent.clone(),
    })
}
