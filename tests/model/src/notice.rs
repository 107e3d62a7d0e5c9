//! What is noticed at every step: what a command changed, what a caller was told, what a participant did.

use earnest::fence;
use earnest_protocol::{BranchCall, BranchState, Decider, Decision};
use earnest_store::{Rejection, Reply};

use crate::{
    key::{Branch, Lease, WorkKey},
    network::Packet,
    node::{Answer, Held, Stage},
    participant::{Did, Participant},
    scope::Cast,
    store::Rows,
    witness::{Invariant, Sight},
    world::{Model, World},
};

/// Notices what a command changed.
pub(crate) fn observe(model: &Model, world: &mut World, before: &Rows, tx: u8) {
    let Some(row) = world.store.rows.transaction(tx).cloned() else {
        return;
    };
    let told = &mut world.witness.told[usize::from(tx)];
    let decision = row.phase.decision();
    if told.decided.is_some() && told.decided != decision {
        world.witness.broken.insert(Invariant::M3);
    }
    if told.decided.is_none() && decision.is_some() {
        told.decided = decision;
        if model.scope.ordered && decision == Some(Decision::Confirm) {
            world.witness.order.push(tx);
        }
        match (decision, &row.decider) {
            _ if row.tombstone => model.tally.met(Sight::TombstoneLeft),
            (Some(Decision::Confirm), Some(Decider::Initiator)) => {
                model.tally.met(Sight::ConfirmedByInitiator);
            }
            (Some(Decision::Cancel), Some(Decider::Initiator)) => {
                model.tally.met(Sight::CancelledByInitiator);
            }
            (Some(Decision::Confirm), Some(Decider::CheckBack)) => {
                model.tally.met(Sight::ConfirmedByCheckBack);
            }
            (_, Some(Decider::CheckBack)) => model.tally.met(Sight::CancelledByCheckBack),
            (_, Some(Decider::Deadline)) => model.tally.met(Sight::CancelledByDeadline),
            (_, Some(Decider::Budget)) => model.tally.met(Sight::CancelledByBudget),
            (_, Some(Decider::Tries)) => model.tally.met(Sight::ConfirmedByTries),
            (_, Some(Decider::Refusal { .. })) => model.tally.met(Sight::CancelledByRefusal),
            (Some(Decision::Confirm), Some(Decider::Operator(_))) => {
                model.tally.met(Sight::ConfirmedByOperator);
            }
            (_, Some(Decider::Operator(_))) => model.tally.met(Sight::CancelledByOperator),
            _ => {}
        }
        // A decision takes the Trys away that are under way.
        for (key, claims) in &mut world.witness.claims {
            *claims += u8::from(matches!(key, WorkKey::Branch(branch) if branch.tx == tx));
        }
        if world
            .store
            .rows
            .deliveries_of(tx)
            .any(|row| row.to.is_none())
        {
            model.tally.met(Sight::OwedToNobody);
        }
    }
    let (branches_before, branches) = (
        before.branches_of(tx).count(),
        world.store.rows.branches_of(tx).count(),
    );
    if branches > branches_before && before.decision(tx).is_some() {
        world.witness.broken.insert(Invariant::T4);
    }
    let was_final = before
        .transaction(tx)
        .is_some_and(|row| row.phase.is_final());
    if row.phase.is_final() && !was_final && branches > 0 {
        let tried = world
            .store
            .rows
            .branches_of(tx)
            .all(|row| world.participant(&model.scope, row.branch).ran.tries > 0);
        match decision {
            Some(Decision::Confirm) if tried => model.tally.met(Sight::EverythingReservedUsed),
            Some(Decision::Cancel) if tried => model.tally.met(Sight::EverythingReservedGivenBack),
            _ => {}
        }
    }
    let was_parked = before.transaction(tx).is_some_and(|row| row.parked);
    if row.parked && !was_parked && row.in_progress_answers >= model.scope.budget {
        model.tally.met(Sight::ParkedByBudget);
    }
    let made_due = world.store.rows.deliveries.iter().any(|row| {
        row.due
            && before
                .deliveries
                .iter()
                .any(|old| (old.tx, old.to) == (row.tx, row.to) && row.tx != tx && !old.due)
    });
    if made_due {
        model.tally.met(Sight::NextOfKeyMadeDue);
    }
}

/// Notices a call of a branch by a node.
pub(crate) fn called(world: &mut World, branch: Branch, call: BranchCall) {
    let decision = world.store.rows.decision(branch.tx);
    let early = match call {
        BranchCall::Try => false,
        BranchCall::Confirm => decision != Some(Decision::Confirm),
        BranchCall::Cancel => decision != Some(Decision::Cancel),
    };
    if early {
        world.witness.broken.insert(Invariant::T4);
    }
    if call == BranchCall::Confirm && early {
        world.witness.broken.insert(Invariant::P3);
    }
}

/// Notices what a participant made of a call.
pub(crate) fn acted(
    model: &Model,
    world: &mut World,
    packet: Packet,
    branch: Branch,
    call: BranchCall,
    before: Participant,
    did: Did,
) {
    let ran = world.participant(&model.scope, branch).ran;
    if before.purged && ran != before.ran {
        world.witness.broken.insert(Invariant::T6);
    }
    let by_the_rules = model.scope.cast == Cast::Local && matches!(packet, Packet::Direct(..));
    if by_the_rules && world.store.rows.branch(branch).is_none() {
        world.witness.broken.insert(Invariant::T4);
    }
    let sight = match (call, did) {
        (_, Did::Declined) => Sight::RefusedTryRolledBack,
        (_, Did::Nothing(fence::Step::Empty)) => Sight::EmptyCancel,
        (_, Did::Nothing(fence::Step::Barred)) => Sight::LateTryBarred,
        (_, Did::Nothing(fence::Step::Done)) => Sight::RepeatedBranchCallSwallowed,
        (_, Did::Nothing(fence::Step::Failed(_))) if before.purged => Sight::PurgedBranchFailed,
        (BranchCall::Confirm, Did::Nothing(fence::Step::Failed(_))) if before.row.is_none() => {
            Sight::ConfirmWithoutTryFailed
        }
        (BranchCall::Cancel, Did::Nothing(fence::Step::Failed(_))) => {
            Sight::CancelAfterConfirmFailed
        }
        _ => return,
    };
    model.tally.met(sight);
}

/// Notices what a caller was told.
pub(crate) fn told(
    model: &Model,
    world: &mut World,
    packet: Packet,
    tx: u8,
    result: &Result<Reply, Rejection>,
) {
    let told = &mut world.witness.told[usize::from(tx)];
    if let Packet::Register(branch) = packet {
        match result {
            Ok(_) => {
                told.registered.insert(branch.no);
                model.tally.met(Sight::BranchJoined);
            }
            Err(Rejection::AlreadyDecided(_)) => model.tally.met(Sight::LateBranchRefused),
            Err(_) => {}
        }
        return;
    }
    let mut broken = None;
    let (wanted, content) = match packet {
        Packet::Prepare(_) => (None, Some(false)),
        Packet::PrepareOther(_) => (None, Some(true)),
        Packet::Confirm(_) => (Some(Decision::Confirm), None),
        _ => (Some(Decision::Cancel), None),
    };
    match (wanted, result) {
        (None, Ok(Reply::Transaction { created, .. })) => {
            told.prepared = true;
            if *created {
                broken = told.other_content.map(|_| Invariant::M5);
                told.other_content = content;
            } else if told.other_content != content {
                broken = Some(Invariant::M6);
            }
        }
        (None, Err(Rejection::AlreadyDecided(row))) if row.is_tombstone() => {
            model.tally.met(Sight::LatePrepareRefused);
        }
        (None, Err(Rejection::IdReused { .. })) => model.tally.met(Sight::OtherContentRefused),
        (Some(wanted), Ok(Reply::Transaction { row, .. })) => {
            told.decisions.insert(wanted);
            if row.state.phase.decision() != Some(wanted) {
                broken = Some(Invariant::M3);
            }
        }
        (Some(wanted), Err(Rejection::AlreadyDecided(row))) => {
            model.tally.met(Sight::OppositeDecisionRefused);
            if row
                .state
                .phase
                .decision()
                .is_none_or(|stands| stands == wanted)
            {
                broken = Some(Invariant::M3);
            }
        }
        (Some(_), Err(Rejection::Untried(_))) => model.tally.met(Sight::UntriedConfirmRefused),
        (Some(_), Err(Rejection::NotFound { .. })) if told.prepared => {
            broken = Some(Invariant::M5);
        }
        _ => {}
    }
    world.witness.broken.extend(broken);
}

/// Notices what became of the end of a piece of work.
pub(crate) fn written(
    model: &Model,
    world: &mut World,
    node: u8,
    lease: Lease,
    held: Held,
    stale: bool,
    result: &Result<Reply, Rejection>,
) {
    if let (WorkKey::Branch(branch), Stage::Ended(answer)) = (lease.key, held.stage)
        && matches!(result, Ok(Reply::Settled(_)))
    {
        branch_written(model, world, branch, held.call, answer);
    }
    let it = &world.nodes[usize::from(node)];
    match result {
        Ok(Reply::Settled(_)) if stale => {
            world.witness.broken.insert(Invariant::R2);
        }
        Ok(Reply::Settled(_)) => {
            if it.lease_ran_out {
                model.tally.met(Sight::ExpiredButUntakenEndCounts);
            }
            match (lease.key, held.stage) {
                (WorkKey::Delivery(_), Stage::Ended(Answer::Failed)) => {
                    model.tally.met(Sight::DeliveryParked);
                }
                (WorkKey::Delivery(_), Stage::Ended(Answer::Unknown)) => {
                    model.tally.met(Sight::DeliveryRetried);
                }
                _ => {}
            }
        }
        Ok(Reply::Contradicted(_)) => model.tally.met(Sight::ContradictingAnswer),
        Ok(Reply::LostLease) if stale => model.tally.met(match lease.key {
            WorkKey::CheckBack(_) => Sight::StaleCheckBackRefused,
            WorkKey::Delivery(_) => Sight::StaleDeliveryRefused,
            WorkKey::Branch(_) => Sight::StaleBranchRefused,
        }),
        _ => {}
    }
}

/// Notices what an answer of a participant led to: only a business no cancels, and only *failed* parks.
fn branch_written(
    model: &Model,
    world: &mut World,
    branch: Branch,
    call: Option<BranchCall>,
    answer: Answer,
) {
    let rows = &world.store.rows;
    let parked = rows
        .branch(branch)
        .is_some_and(|row| row.state == BranchState::Parked);
    let wrong = match (call, answer) {
        (Some(BranchCall::Try), Answer::Refused | Answer::Failed) => {
            rows.decision(branch.tx) != Some(Decision::Cancel)
        }
        (_, Answer::Failed) => {
            model.tally.met(Sight::BranchParked);
            !parked
        }
        (_, Answer::Refused) => {
            model.tally.met(Sight::RefusedConfirmRetried);
            parked
        }
        (_, Answer::Unknown) => {
            model.tally.met(Sight::BranchRetried);
            parked
        }
        _ => parked,
    };
    if wrong {
        world.witness.broken.insert(Invariant::T5);
    }
}
