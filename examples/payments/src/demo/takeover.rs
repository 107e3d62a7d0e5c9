//! Whether the work of a dead coordinator was done by another one, told from the leases in the database and nothing else. Pure.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::{
    books::{Coordinator, DeliveryState, Lease},
    member::Member,
};

/// By whom a check-back's decision is signed.
const CHECK_BACK: &str = "check-back";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    CheckBack(Uuid),
    Delivery(Uuid, Member),
}

/// What a node had leased when it died, with the tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left(BTreeMap<Work, i64>);

impl Left {
    /// What `node` has leased and not finished.
    pub(crate) fn by(node: Member, coordinator: &Coordinator) -> Self {
        let work = work(coordinator).filter(|(_, lease, done)| !done && lease.holder == Some(node));
        Self(work.map(|(work, lease, _)| (work, lease.token)).collect())
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.0.is_empty()
    }

    /// How much of it is done by now, under a later claim. An end that the dead node itself had sent off raises the token by one
    /// only; a claim and its end raise it by two.
    pub(crate) fn finished(&self, now: &Coordinator) -> u64 {
        let later = |work, lease: Lease| {
            self.0
                .get(&work)
                .is_some_and(|token| lease.token > token + 1)
        };
        work(now)
            .filter(|(work, lease, done)| *done && later(*work, *lease))
            .count() as u64
    }
}

/// All work, its lease, and whether it is done.
fn work(coordinator: &Coordinator) -> impl Iterator<Item = (Work, Lease, bool)> {
    let check_backs = coordinator.transactions.iter().filter_map(|(id, t)| {
        let decided = t.phase.decision().is_some();
        // A decision that the initiator came with is nobody's check-back.
        let asked = !decided || t.decided_by.as_deref() == Some(CHECK_BACK);
        asked.then_some((Work::CheckBack(*id), t.lease, decided))
    });
    let deliveries = coordinator.deliveries.iter().map(|d| {
        let work = Work::Delivery(d.transaction, d.consumer);
        (work, d.lease, d.state == DeliveryState::Done)
    });
    check_backs.chain(deliveries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::{Delivery, Phase, Transaction};

    const DEAD: Member = Member::Coordinator(0);
    const OTHER: Member = Member::Coordinator(1);

    fn lease(holder: Option<Member>, token: i64) -> Lease {
        Lease { holder, token }
    }

    fn coordinator(
        phase: Phase,
        by: &str,
        of_check_back: Lease,
        state: DeliveryState,
        of_delivery: Lease,
    ) -> Coordinator {
        let transaction = Transaction {
            phase,
            business_key: "p-1".into(),
            decided_by: Some(by.into()),
            parked: false,
            messages: 1,
            lease: of_check_back,
        };
        let delivery = Delivery {
            transaction: Uuid::from_u128(2),
            consumer: Member::Ledger,
            state,
            order: None,
            lease: of_delivery,
        };
        Coordinator {
            transactions: [(Uuid::from_u128(1), transaction)].into(),
            branches: BTreeMap::new(),
            deliveries: vec![delivery],
            in_progress_answers: 0,
        }
    }

    #[test]
    fn what_another_node_claimed_and_finished_counts() {
        let held = coordinator(
            Phase::Prepared,
            "",
            lease(Some(DEAD), 1),
            DeliveryState::Pending,
            lease(Some(DEAD), 4),
        );
        let now = coordinator(
            Phase::Confirmed,
            CHECK_BACK,
            lease(None, 3),
            DeliveryState::Done,
            lease(None, 6),
        );
        assert_eq!(Left::by(DEAD, &held).finished(&now), 2);
    }

    #[test]
    fn what_the_dead_node_had_sent_off_or_another_held_or_nobody_finished_does_not() {
        let held = coordinator(
            Phase::Prepared,
            "",
            lease(Some(DEAD), 1),
            DeliveryState::Pending,
            lease(Some(DEAD), 4),
        );
        let late = coordinator(
            Phase::Confirmed,
            CHECK_BACK,
            lease(None, 2),
            DeliveryState::Done,
            lease(None, 5),
        );
        assert_eq!(Left::by(DEAD, &held).finished(&late), 0);
        let confirmed_by_its_initiator = coordinator(
            Phase::Confirmed,
            "initiator",
            lease(None, 3),
            DeliveryState::Pending,
            lease(Some(OTHER), 5),
        );
        assert_eq!(
            Left::by(DEAD, &held).finished(&confirmed_by_its_initiator),
            0
        );
        let done = coordinator(
            Phase::Confirmed,
            CHECK_BACK,
            lease(None, 9),
            DeliveryState::Done,
            lease(None, 9),
        );
        let of_another = coordinator(
            Phase::Prepared,
            "",
            lease(Some(OTHER), 1),
            DeliveryState::Pending,
            lease(None, 4),
        );
        assert!(Left::by(DEAD, &of_another).is_nothing());
        assert_eq!(Left::by(DEAD, &of_another).finished(&done), 0);
    }
}
