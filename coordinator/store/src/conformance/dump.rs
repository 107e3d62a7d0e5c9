//! All that a store shows, to compare before and after, and one store with another.

use earnest_protocol::{BranchState, Phase};

use super::subject::Subject;
use crate::{
    AttemptRow, AuditRow, Backlog, Branch, BranchRow, DeliveryRow, Message, ServiceRow,
    SubscriptionRow, TransactionFilter, TransactionRow,
};

/// Everything that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    /// Newest first.
    pub transactions: Vec<Whole>,
    /// What is owed.
    pub backlog: Vec<Backlog>,
    /// Without zeros, sorted.
    pub unfinished: Vec<(Option<Phase>, u64)>,
    /// Newest first.
    pub audit: Vec<AuditRow>,
    /// By name.
    pub subscriptions: Vec<SubscriptionRow>,
    /// By name.
    pub services: Vec<ServiceRow>,
}

/// One transaction with all that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Its row.
    pub row: TransactionRow,
    /// In order.
    pub messages: Vec<Message>,
    /// By message and subscription.
    pub deliveries: Vec<DeliveryRow>,
    /// By ordinal, each with what it says.
    pub branches: Vec<(BranchRow, Branch)>,
    /// Newest first.
    pub attempts: Vec<AttemptRow>,
}

impl Subject {
    /// Reads everything.
    pub async fn dump(&self) -> Dump {
        let mut transactions = Vec::new();
        let mut after = None;
        loop {
            let filter = TransactionFilter::default();
            let page = self
                .store
                .transactions(&filter, after, 64)
                .await
                .expect("the query runs");
            for listed in page.rows {
                let detail = self
                    .detail_of(listed.id)
                    .await
                    .expect("what is listed is known");
                assert_eq!(detail.transaction, listed, "list and detail show the same");
                let (messages, deliveries, attempts) =
                    (detail.messages, detail.deliveries, detail.attempts);
                transactions.push(Whole {
                    row: listed,
                    messages,
                    deliveries,
                    branches: detail.branches,
                    attempts,
                });
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut unfinished = self.store.unfinished().await.expect("the query runs");
        unfinished.retain(|(_, count)| *count > 0);
        unfinished.sort();
        Dump {
            transactions,
            backlog: self.store.backlog().await.expect("the query runs"),
            unfinished,
            audit: self.store.audit(1_000).await.expect("the query runs"),
            subscriptions: self
                .store
                .subscriptions(None)
                .await
                .expect("the query runs"),
            services: self.store.services(None).await.expect("the query runs"),
        }
    }
}

impl Dump {
    /// What must hold of every store at every moment; panics with what does not.
    pub fn check(&self) {
        use earnest_protocol::DeliveryState::{Done, Parked, Pending};
        for whole in &self.transactions {
            let row = &whole.row;
            row.state
                .validate()
                .unwrap_or_else(|broken| panic!("{broken}: {whole:#?}"));
            let branches = |state| {
                whole
                    .branches
                    .iter()
                    .filter(|(b, _)| b.state == state)
                    .count()
            };
            let count = |state| whole.deliveries.iter().filter(|d| d.state == state).count();
            assert_eq!(
                row.state.open_effects as usize,
                count(Pending) + branches(BranchState::Pending),
                "K3, open: {whole:#?}"
            );
            assert_eq!(
                row.state.parked_effects as usize,
                count(Parked) + branches(BranchState::Parked),
                "K3, parked: {whole:#?}"
            );
            assert_eq!(
                row.state.phase.decision().is_some(),
                row.decided.is_some(),
                "{whole:#?}"
            );
            assert_eq!(
                row.state.phase.is_final(),
                row.finished_at.is_some(),
                "{whole:#?}"
            );
            assert_eq!(
                row.message_count as usize,
                whole.messages.len(),
                "{whole:#?}"
            );
            if row.state.phase.decision().is_some() {
                assert!(
                    row.check_due.is_none() && row.holder.is_none(),
                    "decided and asked: {whole:#?}"
                );
            }
            assert_eq!(
                row.state.branches as usize,
                whole.branches.len(),
                "{whole:#?}"
            );
            assert_eq!(
                row.state.untried as usize,
                match row.state.phase.decision() {
                    None => branches(BranchState::Trying),
                    Some(_) => 0,
                },
                "{whole:#?}"
            );
            for (branch, _) in &whole.branches {
                let undecided = matches!(
                    branch.state,
                    BranchState::Registered | BranchState::Trying | BranchState::Tried
                );
                assert_eq!(
                    undecided,
                    row.state.phase.decision().is_none(),
                    "T4: {whole:#?}"
                );
                let waits = matches!(branch.state, BranchState::Trying | BranchState::Pending);
                if !waits {
                    assert!(
                        branch.due.is_none() && branch.holder.is_none(),
                        "{whole:#?}"
                    );
                }
            }
            for delivery in &whole.deliveries {
                assert_eq!(
                    delivery.parked.is_some(),
                    delivery.state == Parked,
                    "{delivery:#?}"
                );
                assert_eq!(
                    delivery.done_at.is_some(),
                    delivery.state == Done,
                    "{delivery:#?}"
                );
                if delivery.state != Pending {
                    assert!(
                        delivery.due.is_none() && delivery.holder.is_none(),
                        "{delivery:#?}"
                    );
                }
            }
        }
    }

    /// Where stores may differ when something is done twice that people do: marks of the writing itself.
    #[must_use]
    pub fn without_marks(mut self) -> Self {
        for whole in &mut self.transactions {
            whole.row.revision = 0;
            whole.row.token = earnest_protocol::LeaseToken::NONE;
        }
        self.audit.clear();
        self
    }
}
