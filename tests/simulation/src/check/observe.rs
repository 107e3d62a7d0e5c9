//! Looks at every row before and after each batch: what a step may do to it, whoever asks for it and however late.
//!
//! The memory store never waits, so nothing comes between the look before, the batch and the look after.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use earnest_protocol::{
    BranchState, Decision, DeliveryState, InitiatorOutcome, LeaseToken, Phase, Settled,
    TransactionId,
};
use earnest_store::{
    Applied, Command, DeliveryKey, DeliveryRow, Detail, LeaseGrant, PurgeReport, Rejection, Reply,
    Store, StoreError, SubscriptionRow, TransactionFilter, TransactionRow,
};

use super::{
    book::{Book, Local},
    branches,
    cover::may_decide,
    coverage::Coverage,
    end::all,
};

/// Watches one database.
pub(crate) struct Observer {
    store: Arc<dyn Store>,
    book: Arc<Book>,
    pub(super) coverage: Mutex<Coverage>,
}

pub(super) type Answer = Result<Reply, Rejection>;

impl Observer {
    pub(crate) fn new(store: Arc<dyn Store>, book: Arc<Book>) -> Self {
        Self {
            store,
            book,
            coverage: Mutex::default(),
        }
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub(crate) fn coverage(&self) -> Coverage {
        self.coverage.lock().expect("no check panics").clone()
    }

    /// Runs a batch, and looks at what it did.
    pub(crate) async fn apply(
        &self,
        commands: &[Command],
        grant: LeaseGrant,
    ) -> Result<Applied, StoreError> {
        let together = together(commands);
        let mut shared = commands
            .iter()
            .filter(|command| together.contains(&command.transaction()));
        self.unless(shared.all(Command::is_end), "M3", || {
            "commands of one transaction in one batch that are not all ends".to_owned()
        });
        self.before_settling(commands);
        let mut before = Vec::with_capacity(commands.len());
        for command in commands {
            before.push(self.store.detail(command.transaction()).await?);
        }
        let applied = self.store.apply(commands, grant).await?;
        for ((command, before), answer) in commands.iter().zip(before).zip(&applied.results) {
            let after = self.store.detail(command.transaction()).await?;
            let alone = !together.contains(&command.transaction());
            self.step(command, answer, before.as_ref(), after.as_ref(), alone)
                .await?;
        }
        Ok(applied)
    }

    /// Purges finished history, and looks at what it took.
    pub(crate) async fn purge(
        &self,
        older_than: Duration,
        limit: usize,
    ) -> Result<PurgeReport, StoreError> {
        let before = all(&*self.store, &TransactionFilter::default()).await?;
        let report = self.store.purge(older_than, limit).await?;
        if report.removed == 0 {
            return Ok(report);
        }
        let left: BTreeSet<_> = all(&*self.store, &TransactionFilter::default())
            .await?
            .iter()
            .map(|row| row.id)
            .collect();
        for row in before.iter().filter(|row| !left.contains(&row.id)) {
            let phase = row.state.phase;
            let is_final = matches!(phase, Phase::Confirmed | Phase::Cancelled);
            self.unless(is_final, "K3", || {
                format!("{} was purged while it was {phase:?}", row.id)
            });
            self.book.purged(row.id);
        }
        Ok(report)
    }

    fn unless(&self, holds: bool, invariant: &'static str, what: impl FnOnce() -> String) {
        self.book.violations.unless(holds, invariant, what);
    }

    /// K1: *delivered* is the consumer's own word.
    fn before_settling(&self, commands: &[Command]) {
        for command in commands {
            if let Command::DeliverySettled(settled) = command
                && settled.settled == Settled::Done
            {
                self.unless(self.book.is_acknowledged(&settled.key), "K1", || {
                    format!(
                        "{} was to be written as delivered unacknowledged",
                        settled.key
                    )
                });
            }
        }
    }

    async fn step(
        &self,
        command: &Command,
        answer: &Answer,
        before: Option<&Detail>,
        after: Option<&Detail>,
        alone: bool,
    ) -> Result<(), StoreError> {
        let id = command.transaction();
        let Some(after) = after else {
            self.unless(before.is_none(), "M5", || {
                format!("{} took {id} away", command.name())
            });
            return Ok(());
        };
        if before.is_none() {
            self.book.is_new(id);
        }
        self.cover(command, answer, before);
        self.row(id, before, after);
        self.deliveries(before, after);
        self.book
            .branches(command, before, after, is_by_force(command));
        if let Some(before) = before {
            self.lease(command, answer, before, after, alone);
        }
        let was = before.and_then(|before| before.transaction.state.phase.decision());
        let is = after.transaction.state.phase.decision();
        match (was, is) {
            (None, Some(decision)) => self.decided(command, before, after, decision).await?,
            (Some(was), is) => self.unless(is == Some(was), "M3", || {
                format!("the decision of {id} went from {was} to {is:?}")
            }),
            (None, None) => {}
        }
        if was.is_some() {
            self.adopted(id, before, after);
        }
        self.other_content(command, answer, before);
        Ok(())
    }

    /// K3: the row agrees with itself and with its deliveries.
    fn row(&self, id: TransactionId, before: Option<&Detail>, after: &Detail) {
        let valid = after.transaction.state.validate();
        self.unless(valid.is_ok(), "K3", || format!("{id}: {valid:?}"));
        let count = |state| after.deliveries.iter().filter(|d| d.state == state).count();
        let calls = |state| {
            after
                .branches
                .iter()
                .filter(|(b, _)| b.state == state)
                .count()
        };
        let state = &after.transaction.state;
        let (owed, parked) = (
            count(DeliveryState::Pending) + calls(BranchState::Pending),
            count(DeliveryState::Parked) + calls(BranchState::Parked),
        );
        let agree = owed == state.open_effects as usize
            && parked == state.parked_effects as usize
            && after.branches.len() == state.branches as usize
            && calls(BranchState::Trying) == state.untried as usize;
        self.unless(agree, "K3", || {
            format!(
                "{id} counts {} open and {} parked effects, and has others",
                state.open_effects, state.parked_effects
            )
        });
        if let Some(before) = before {
            let (was, is) = (&before.transaction, &after.transaction);
            let kept = was.created_at == is.created_at
                && was.content == is.content
                && was.revision <= is.revision;
            self.unless(kept, "M5", || {
                format!("{id} is not the transaction that it was")
            });
        }
    }

    /// K1, K3: what is owed stays owed until it is done, and what is done stays done.
    fn deliveries(&self, before: Option<&Detail>, after: &Detail) {
        for was in before.iter().flat_map(|before| &before.deliveries) {
            let is = find(after, &was.key);
            let adopted = was.key.subscription.is_none();
            self.unless(is.is_some() || adopted, "K3", || {
                format!("{} is gone", was.key)
            });
            let done = was.state != DeliveryState::Done
                || is.is_some_and(|is| is.state == DeliveryState::Done);
            self.unless(done, "K1", || format!("{} was done and is not", was.key));
        }
        for is in &after.deliveries {
            let was = before.and_then(|before| find(before, &is.key));
            if is.state == DeliveryState::Done
                && was.is_none_or(|was| was.state != DeliveryState::Done)
            {
                self.unless(self.book.is_acknowledged(&is.key), "K1", || {
                    format!("{} is done, and its consumer has not said so", is.key)
                });
            }
        }
    }

    /// R2, P10: a write under a spent token touches nothing.
    fn lease(
        &self,
        command: &Command,
        answer: &Answer,
        before: &Detail,
        after: &Detail,
        alone: bool,
    ) {
        let (stale, same) = match command {
            Command::DeliverySettled(settled) => {
                delivery_lease(before, after, &settled.key, settled.token)
            }
            Command::ReleaseDelivery { key, token } => delivery_lease(before, after, key, *token),
            Command::BranchTried(tried) => {
                let waits = &[BranchState::Trying];
                branches::lease(before, after, &tried.key, tried.token, waits)
            }
            Command::BranchSettled(settled) => {
                let waits = &[BranchState::Pending];
                branches::lease(before, after, &settled.key, settled.token, waits)
            }
            Command::ReleaseBranch { key, token } => {
                let waits = &[BranchState::Trying, BranchState::Pending];
                branches::lease(before, after, key, *token, waits)
            }
            Command::CheckedBack { token, .. }
            | Command::DeadlinePassed { token, .. }
            | Command::ReleaseCheckBack { token, .. } => {
                let row = &before.transaction;
                let spent = row.token != *token || row.state.phase.decision().is_some();
                (spent, same_row(row, &after.transaction))
            }
            _ => return,
        };
        if !stale {
            return;
        }
        // Others of its batch may have changed it beside.
        self.unless(same || !alone, "R2", || {
            format!(
                "{} under a spent token changed {}",
                command.name(),
                command.transaction()
            )
        });
        let settled = matches!(answer, Ok(Reply::Settled(_)));
        self.unless(!settled, "R2", || {
            format!(
                "{} of {} under a spent token was taken",
                command.name(),
                command.transaction()
            )
        });
    }

    async fn decided(
        &self,
        command: &Command,
        before: Option<&Detail>,
        after: &Detail,
        decision: Decision,
    ) -> Result<(), StoreError> {
        let row = &after.transaction;
        let id = row.id;
        let by = row.decided.as_ref().map(|(_, by)| by.clone());
        let was = before.map(|before| &before.transaction);
        self.unless(
            may_decide(command, was, by.as_ref(), decision),
            "M3",
            || {
                format!(
                    "{} has decided {decision} of {id} by {by:?}",
                    command.name()
                )
            },
        );
        let by_force = is_by_force(command);
        self.book.consult(id);
        let (committed, known) = self.book.read(|book| {
            let page = book.by_id.get(&id);
            (
                page.is_some_and(|page| page.local == Local::Committed),
                page.is_some(),
            )
        });
        let local = row.state.options.outcome == InitiatorOutcome::Local
            && !row.is_tombstone()
            && known
            && !by_force;
        if local {
            self.unless(decision == Decision::Cancel || committed, "M1", || {
                format!("{id} is confirmed by {by:?}, and its local transaction has not committed")
            });
            self.unless(decision == Decision::Confirm || !committed, "M2", || {
                format!("{id} is cancelled by {by:?}, and its local transaction has committed")
            });
        }
        let owed = self.owed(after, decision).await?;
        self.book.decided(id, decision, by_force, owed);
        Ok(())
    }

    /// What the decision owes, which must be each message with each subscription of its topic (P4).
    async fn owed(
        &self,
        after: &Detail,
        decision: Decision,
    ) -> Result<Vec<(DeliveryKey, Option<String>)>, StoreError> {
        let id = after.transaction.id;
        let rows: Vec<_> = after.deliveries.iter().map(|row| row.key.clone()).collect();
        let subscriptions = self
            .store
            .subscriptions(Some(&after.transaction.namespace))
            .await?;
        let mut expected = Vec::new();
        if decision == Decision::Confirm {
            for (ordinal, message) in (0..).map(earnest_protocol::Ordinal).zip(&after.messages) {
                let of_topic = |row: &&SubscriptionRow| row.topic == message.topic;
                let mut to: Vec<_> = subscriptions.iter().filter(of_topic).collect();
                to.sort_by(|a, b| a.name.cmp(&b.name));
                if to.is_empty() && !after.transaction.state.options.allow_no_subscription {
                    expected.push(DeliveryKey {
                        transaction: id,
                        ordinal,
                        subscription: None,
                    });
                }
                expected.extend(to.into_iter().map(|row| DeliveryKey {
                    transaction: id,
                    ordinal,
                    subscription: Some(row.name.clone()),
                }));
            }
        }
        let (mut sorted, mut wanted) = (rows, expected);
        sorted.sort();
        wanted.sort();
        self.unless(sorted == wanted, "P4", || {
            format!("{id} decided {decision} owes {sorted:?} and not {wanted:?}")
        });
        let with_order = |row: &DeliveryRow| {
            let order = row.order.as_ref().map(|(key, _)| key.clone());
            (row.key.clone(), order)
        };
        Ok(after.deliveries.iter().map(with_order).collect())
    }

    /// Deliveries that appear after the decision: of messages whose topic had no subscription.
    fn adopted(&self, id: TransactionId, before: Option<&Detail>, after: &Detail) {
        for row in &after.deliveries {
            if before.is_none_or(|before| find(before, &row.key).is_none()) {
                let order = row.order.as_ref().map(|(key, _)| key.clone());
                self.book.owes_also(id, row.key.clone(), order);
            }
        }
    }

    /// M6: other content under the same id is refused.
    fn other_content(&self, command: &Command, answer: &Answer, before: Option<&Detail>) {
        if let (Command::Prepare(new) | Command::Submit(new), Some(before)) = (command, before)
            && before.transaction.content != Some(new.content)
        {
            self.unless(answer.is_err(), "M6", || {
                format!("{} was taken with other content", new.id)
            });
        }
    }
}

/// Whether a person decides over the initiator's head. The service writes so into what it keeps for the audit.
fn is_by_force(command: &Command) -> bool {
    matches!(command, Command::Operator { detail, .. } if detail.ends_with("[forced]"))
}

/// Transactions with more than one command in the batch.
fn together(commands: &[Command]) -> BTreeSet<TransactionId> {
    let mut seen = BTreeSet::new();
    let ids = commands.iter().map(Command::transaction);
    ids.filter(|id| !seen.insert(*id)).collect()
}

fn find<'a>(detail: &'a Detail, key: &DeliveryKey) -> Option<&'a DeliveryRow> {
    detail.deliveries.iter().find(|row| row.key == *key)
}

/// Whether the lease of a delivery was spent, and whether the delivery is what it was.
fn delivery_lease(
    before: &Detail,
    after: &Detail,
    key: &DeliveryKey,
    token: LeaseToken,
) -> (bool, bool) {
    let (was, is) = (find(before, key), find(after, key));
    let spent = was.is_none_or(|was| was.token != token || was.state != DeliveryState::Pending);
    (
        spent,
        was == is && same_row(&before.transaction, &after.transaction),
    )
}

fn same_row(was: &TransactionRow, is: &TransactionRow) -> bool {
    was == is
}
