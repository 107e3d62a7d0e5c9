//! What must hold of every state, and what is noticed at every step.

use earnest::fence::Outcome;
use earnest_protocol::{Decider, Decision, DeliveryState, InitiatorOutcome};
use earnest_store::{Rejection, Reply};
use stateright::{Model as _, Property};

use crate::{
    action::{self, Action},
    key::{Delivery, Lease, WorkKey},
    network::Packet,
    node::{Answer, Held, Stage},
    scope::Cast,
    store::Rows,
    witness::{Invariant, Sight},
    world::{Model, World},
};

/// One for each invariant.
pub(crate) fn all() -> Vec<Property<Model>> {
    vec![
        Property::always("M1", |model: &Model, world: &World| {
            each(model, |tx| m1(model, world, tx))
        }),
        Property::always("M2", |model: &Model, world: &World| {
            each(model, |tx| m2(model, world, tx)) || !at_rest(model, world)
        }),
        Property::always("M3", |model: &Model, world: &World| {
            kept(world, Invariant::M3)
                && each(model, |tx| {
                    world.witness.told[usize::from(tx)].decisions.len() < 2
                })
        }),
        Property::always("M4", |model: &Model, world: &World| {
            model.scope.cast != Cast::Local
                || each(model, |tx| {
                    !(world.witness.told[usize::from(tx)].said_rolled_back && committed(world, tx))
                })
        }),
        Property::always("M5", |model: &Model, world: &World| {
            kept(world, Invariant::M5) && each(model, |tx| m5(world, tx))
        }),
        Property::always("M6", |_: &Model, world: &World| kept(world, Invariant::M6)),
        Property::always("P3", |_: &Model, world: &World| kept(world, Invariant::P3)),
        Property::always("P6", |model: &Model, world: &World| {
            each(model, |tx| p6(model, world, tx))
        }),
        Property::always("P9", |model: &Model, world: &World| p9(model, world)),
        Property::always("R2", |_: &Model, world: &World| kept(world, Invariant::R2)),
        Property::always("K1", |_: &Model, world: &World| {
            world.store.rows.deliveries.iter().all(|row| {
                let taken = row
                    .to
                    .is_some_and(|to| world.inbox.contains_key(&Delivery { tx: row.tx, to }));
                row.state != DeliveryState::Done || taken
            })
        }),
        Property::always("K2", |_: &Model, world: &World| {
            world.inbox.values().all(|effects| *effects < 2)
        }),
        Property::always("K3", |model: &Model, world: &World| {
            kept(world, Invariant::K3) && each(model, |tx| k3(&world.store.rows, tx))
        }),
        Property::always("V1", |model: &Model, world: &World| {
            each(model, |tx| is_settled(&world.store.rows, tx)) || !at_rest(model, world)
        }),
    ]
}

fn kept(world: &World, invariant: Invariant) -> bool {
    !world.witness.broken.contains(&invariant)
}

fn each(model: &Model, holds: impl FnMut(u8) -> bool) -> bool {
    (0..model.scope.transactions).all(holds)
}

fn committed(world: &World, tx: u8) -> bool {
    world.initiators[usize::from(tx)].row == Some(Outcome::Committed)
}

fn m1(model: &Model, world: &World, tx: u8) -> bool {
    let called = world
        .packets
        .iter()
        .any(|packet| matches!(packet, Packet::Deliver(_, lease) if lease.key.tx() == tx));
    let effect = world.inbox.keys().any(|key| key.tx == tx);
    model.scope.cast != Cast::Local || committed(world, tx) || !(called || effect)
}

/// To be asked of a world at rest.
fn m2(model: &Model, world: &World, tx: u8) -> bool {
    let rows = &world.store.rows;
    let set_aside = rows
        .transaction(tx)
        .is_some_and(|row| row.parked || row.parked_effects > 0);
    let effects =
        (0..model.scope.subscriptions).all(|to| world.inbox.contains_key(&Delivery { tx, to }));
    model.scope.cast != Cast::Local || !committed(world, tx) || set_aside || effects
}

fn m5(world: &World, tx: u8) -> bool {
    let told = &world.witness.told[usize::from(tx)];
    let rows = &world.store.rows;
    (!told.prepared || rows.transaction(tx).is_some())
        && told
            .decisions
            .iter()
            .all(|told| rows.decision(tx) == Some(*told))
}

/// Neither time nor budget decides over a local outcome, nothing is counted that was not answered, and a check-back
/// decides what was said.
fn p6(model: &Model, world: &World, tx: u8) -> bool {
    let Some(row) = world.store.rows.transaction(tx) else {
        return true;
    };
    let told = &world.witness.told[usize::from(tx)];
    let local = model.scope.outcome == InitiatorOutcome::Local;
    let decided_rightly = match (&row.decider, row.phase.decision()) {
        (Some(Decider::Deadline), _) => model.scope.outcome == InitiatorOutcome::None,
        (Some(Decider::Budget), _) => !local,
        (Some(Decider::CheckBack), Some(Decision::Cancel)) => told.said_rolled_back,
        _ => true,
    };
    let counted = usize::try_from(row.in_progress_answers).expect("few answers");
    decided_rightly && counted <= told.said_in_progress.len()
}

/// First effects of each subscription come in the order of the decisions.
fn p9(model: &Model, world: &World) -> bool {
    let witness = &world.witness;
    (0..model.scope.subscriptions).all(|to| {
        let arrived = witness.arrivals.iter().filter(|key| key.to == to);
        arrived
            .map(|key| &key.tx)
            .zip(&witness.order)
            .all(|(a, b)| a == b)
    })
}

fn k3(rows: &Rows, tx: u8) -> bool {
    let Some(row) = rows.transaction(tx) else {
        return rows.deliveries_of(tx).next().is_none();
    };
    let count = |state| {
        rows.deliveries_of(tx)
            .filter(|row| row.state == state)
            .count()
    };
    let same = |counted: u32, rows: usize| usize::try_from(counted) == Ok(rows);
    row.validity.is_ok()
        && same(row.open_effects, count(DeliveryState::Pending))
        && same(row.parked_effects, count(DeliveryState::Parked))
        && (row.phase.decision() == Some(Decision::Confirm)
            || rows.deliveries_of(tx).next().is_none())
}

fn is_settled(rows: &Rows, tx: u8) -> bool {
    rows.transaction(tx).is_none_or(|row| {
        row.phase.is_final() || row.parked || (row.open_effects == 0 && row.parked_effects > 0)
    })
}

/// Nothing more happens unless something else goes wrong.
fn at_rest(model: &Model, world: &World) -> bool {
    let mut actions = Vec::new();
    action::possible(&model.scope, world, &mut actions);
    actions
        .into_iter()
        .filter(|action| !is_fault(world, *action))
        .all(|action| model.next_state(world, action).is_none())
}

fn is_fault(world: &World, action: Action) -> bool {
    match action {
        Action::Silence(node, lease) => action::is_under_way(world, node, lease),
        Action::LeaseRunsOut(_)
        | Action::NodeDies(_)
        | Action::ProcessDies(_)
        | Action::ConnectionLost(_)
        | Action::LocalLost(_)
        | Action::Drop(_)
        | Action::Refuse(..)
        | Action::Park(_)
        | Action::Retry(_)
        | Action::Unsubscribe(_) => true,
        _ => false,
    }
}

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
            _ => {}
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

/// Notices what a caller was told.
pub(crate) fn told(
    model: &Model,
    world: &mut World,
    packet: Packet,
    tx: u8,
    result: &Result<Reply, Rejection>,
) {
    let told = &mut world.witness.told[usize::from(tx)];
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
    result: &Result<Reply, Rejection>,
) {
    let stale = world.witness.claims.get(&lease.key) > Some(&held.claim);
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
        }),
        _ => {}
    }
}
