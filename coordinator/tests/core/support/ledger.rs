//! What callers were told, and whether the database and the sinks agree with it (INVARIANTS.md).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use earnest_coordinator::service::{Code, ServiceError};
use earnest_protocol::{BranchCall, BranchState, Decision, DeliveryState, Phase, TransactionId};
use earnest_store::{BranchRow, Cursor, Store, TransactionFilter, TransactionRow};

use super::{FakeParticipants, FakeSink};

#[derive(Default)]
pub(crate) struct Ledger {
    recorded: Mutex<BTreeSet<TransactionId>>,
    decided: Mutex<BTreeMap<TransactionId, Decision>>,
}

impl Ledger {
    /// A caller was told that it is recorded.
    pub(crate) fn recorded(&self, id: TransactionId) {
        self.recorded.lock().unwrap().insert(id);
    }

    /// A caller was told of a decision: the one it asked for, or the opposite one.
    pub(crate) fn decided(
        &self,
        id: TransactionId,
        asked: Decision,
        told: &Result<TransactionRow, ServiceError>,
    ) {
        let told = match told {
            Ok(row) => {
                assert_eq!(
                    row.state.phase.decision(),
                    Some(asked),
                    "OK means that it was decided so"
                );
                asked
            }
            Err(error) if error.code == Code::Decided => {
                let row = error
                    .transaction
                    .as_ref()
                    .expect("a refusal says what stands");
                row.state.phase.decision().expect("and that is a decision")
            }
            Err(_) => return,
        };
        let before = *self.decided.lock().unwrap().entry(id).or_insert(told);
        assert_eq!(before, told, "M3: callers were told two decisions of {id}");
    }

    /// How many decisions were acknowledged.
    pub(crate) fn decisions(&self) -> usize {
        self.decided.lock().unwrap().len()
    }

    /// What is neither final nor parked.
    pub(crate) async fn owed(&self, store: &dyn Store) -> Vec<TransactionRow> {
        let mut rows = all(store).await;
        rows.retain(|row| match row.state.phase {
            Phase::Prepared => row.state.parked.is_none(),
            Phase::Confirming | Phase::Cancelling => row.state.open_effects > 0,
            Phase::Confirmed | Phase::Cancelled => false,
        });
        rows
    }

    pub(crate) async fn check(
        &self,
        store: &dyn Store,
        sink: &FakeSink,
        participants: &FakeParticipants,
    ) {
        let rows: BTreeMap<_, _> = all(store)
            .await
            .into_iter()
            .map(|row| (row.id, row))
            .collect();
        for id in self.recorded.lock().unwrap().iter() {
            assert!(
                rows.contains_key(id),
                "M5: {id} was acknowledged and is gone"
            );
        }
        for (id, told) in self.decided.lock().unwrap().iter() {
            let stands = rows.get(id).and_then(|row| row.state.phase.decision());
            assert_eq!(
                stands,
                Some(*told),
                "M5, M3: the acknowledged decision of {id}"
            );
        }
        for handed in sink.handed() {
            let row = rows.get(&handed.key.transaction);
            let decision = row.and_then(|row| row.state.phase.decision());
            assert_eq!(
                decision,
                Some(Decision::Confirm),
                "M1: {} was handed over",
                handed.key
            );
        }
        for row in rows.values() {
            check_effects(store, sink, participants, row).await;
        }
    }
}

/// K1 and K3: what is owed is pending, parked or delivered, delivered means acknowledged, and the counts agree.
async fn check_effects(
    store: &dyn Store,
    sink: &FakeSink,
    participants: &FakeParticipants,
    row: &TransactionRow,
) {
    row.state.validate().expect("a state that may be");
    let detail = store
        .detail(row.id)
        .await
        .expect("the store answers")
        .expect("it is there");
    let count = |state| {
        detail
            .deliveries
            .iter()
            .filter(|d| d.state == state)
            .count()
    };
    let branches = |state| {
        let of = detail.branches.iter();
        of.filter(|(branch, _)| branch.state == state).count()
    };
    if detail.transaction.revision == row.revision {
        assert_eq!(
            count(DeliveryState::Pending) + branches(BranchState::Pending),
            row.state.open_effects as usize,
            "K3: {}",
            row.id
        );
        assert_eq!(
            count(DeliveryState::Parked) + branches(BranchState::Parked),
            row.state.parked_effects as usize,
            "K3: {}",
            row.id
        );
    }
    for (branch, _) in &detail.branches {
        check_branch(row, branch, participants);
    }
    for delivery in detail.deliveries {
        if delivery.state == DeliveryState::Done {
            assert!(
                sink.acknowledged(&delivery.key),
                "K1: {} is done",
                delivery.key
            );
            assert_eq!(delivery.holder, None, "{} is held by nobody", delivery.key);
        }
    }
}

/// T3, T5: a branch that is done was told what was decided, and nothing else; an undecided one was told neither.
fn check_branch(row: &TransactionRow, branch: &BranchRow, participants: &FakeParticipants) {
    let key = branch.key;
    let told = participants.called();
    for call in told.iter().filter(|called| called.key == key) {
        let may = match row.state.phase.decision() {
            None => call.call == BranchCall::Try,
            Some(decision) => call.call == BranchCall::Try || call.call == decision.into(),
        };
        assert!(may, "T5: {key} was told to {}", call.call);
    }
    let decided = row.state.phase.decision().map(BranchCall::from);
    match branch.state {
        BranchState::Done => {
            let call = decided.expect("nothing is done before the decision");
            assert!(participants.acknowledged(key, call), "K1: {key} is done");
            assert_eq!(branch.holder, None, "{key} is held by nobody");
        }
        BranchState::Registered | BranchState::Trying | BranchState::Tried => {
            assert_eq!(decided, None, "P4: {key} is owed its {decided:?}");
        }
        BranchState::Pending | BranchState::Parked => {}
    }
}

async fn all(store: &dyn Store) -> Vec<TransactionRow> {
    let (mut rows, mut after): (Vec<_>, Option<Cursor>) = (vec![], None);
    loop {
        let filter = TransactionFilter::default();
        let page = store
            .transactions(&filter, after, 1_000)
            .await
            .expect("the store answers");
        rows.extend(page.rows);
        after = page.next;
        if after.is_none() {
            return rows;
        }
    }
}
