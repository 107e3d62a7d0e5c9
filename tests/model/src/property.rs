//! What must hold of every state.

use earnest::fence::{Held as Row, Outcome};
use earnest_protocol::{
    BranchCall, BranchState, Decider, Decision, DeliveryState, InitiatorOutcome,
};
use stateright::{Model as _, Property};

use crate::{
    action::{self, Action},
    key::{Branch, Delivery},
    network::Packet,
    scope::Cast,
    store::Rows,
    witness::Invariant,
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
        Property::always("K1", |model: &Model, world: &World| {
            let branches = &mut world.store.rows.branches.iter();
            branches.all(|row| row.state != BranchState::Done || was_done(model, world, row.branch))
                && world.store.rows.deliveries.iter().all(|row| {
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
        Property::always("T1", |_: &Model, world: &World| {
            world.participants.iter().all(|it| {
                let ran = it.ran;
                ran.tries < 2 && ran.confirms + ran.cancels < 2
            })
        }),
        Property::always("T2", |_: &Model, world: &World| {
            let mut all = world.participants.iter();
            all.all(|it| it.row != Some(Row::Cancelled) || !it.ran.holds())
        }),
        Property::always("T3", |model: &Model, world: &World| {
            let mut all = world.participants.iter();
            all.all(|it| it.ran.confirms == 0 || it.ran.tries > 0)
                && each(model, |tx| t3(model, world, tx))
        }),
        Property::always("T4", |_: &Model, world: &World| kept(world, Invariant::T4)),
        Property::always("T5", |model: &Model, world: &World| {
            kept(world, Invariant::T5)
                && (each(model, |tx| t5(model, world, tx)) || !at_rest(model, world))
        }),
        Property::always("T6", |_: &Model, world: &World| kept(world, Invariant::T6)),
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
    let called = world.packets.iter().any(|packet| match packet {
        Packet::Deliver(_, lease) | Packet::Branch(_, lease, BranchCall::Confirm) => {
            lease.key.tx() == tx
        }
        _ => false,
    });
    let effect = world.inbox.keys().any(|key| key.tx == tx)
        || branches(model, tx)
            .any(|branch| world.participant(&model.scope, branch).ran.confirms > 0);
    model.scope.cast != Cast::Local || committed(world, tx) || !(called || effect)
}

/// To be asked of a world at rest.
fn m2(model: &Model, world: &World, tx: u8) -> bool {
    let rows = &world.store.rows;
    let set_aside = rows
        .transaction(tx)
        .is_some_and(|row| row.parked || row.parked_effects > 0);
    let delivered = !model.scope.message
        || (0..model.scope.subscriptions).all(|to| world.inbox.contains_key(&Delivery { tx, to }));
    let effects = delivered
        && branches(model, tx)
            .all(|branch| world.participant(&model.scope, branch).ran.confirms > 0);
    model.scope.cast != Cast::Local || !committed(world, tx) || set_aside || effects
}

fn m5(world: &World, tx: u8) -> bool {
    let told = &world.witness.told[usize::from(tx)];
    let rows = &world.store.rows;
    (!told.prepared || rows.transaction(tx).is_some())
        && told
            .registered
            .iter()
            .all(|no| rows.branch(Branch { tx, no: *no }).is_some())
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
        (Some(Decider::Deadline), _) => model.scope.outcome.ends_with_the_deadline(),
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
        return rows.deliveries_of(tx).next().is_none() && rows.branches_of(tx).next().is_none();
    };
    let branches = |state| {
        rows.branches_of(tx)
            .filter(|row| row.state == state)
            .count()
    };
    let count = |state| {
        rows.deliveries_of(tx)
            .filter(|row| row.state == state)
            .count()
    };
    let same = |counted: u32, rows: usize| usize::try_from(counted) == Ok(rows);
    let owed = branches(BranchState::Pending) + count(DeliveryState::Pending);
    let parked = branches(BranchState::Parked) + count(DeliveryState::Parked);
    let decided = row.phase.decision().is_some();
    let stand_rightly = rows.branches_of(tx).all(|row| match row.state {
        BranchState::Registered | BranchState::Trying | BranchState::Tried => !decided,
        BranchState::Pending | BranchState::Done | BranchState::Parked => decided,
    });
    row.validity.is_ok()
        && same(row.open_effects, owed)
        && same(row.parked_effects, parked)
        && same(row.branches.0, rows.branches_of(tx).count())
        && same(row.branches.1, branches(BranchState::Trying))
        && stand_rightly
        && (row.phase.decision() == Some(Decision::Confirm)
            || rows.deliveries_of(tx).next().is_none())
}

fn branches(model: &Model, tx: u8) -> impl Iterator<Item = Branch> + use<> {
    model
        .scope
        .all_branches()
        .filter(move |branch| branch.tx == tx)
}

/// The participant of a branch that counts as done has carried the decision out.
fn was_done(model: &Model, world: &World, branch: Branch) -> bool {
    let it = world.participant(&model.scope, branch);
    match world.store.rows.decision(branch.tx) {
        Some(Decision::Confirm) => it.ran.confirms > 0,
        Some(Decision::Cancel) => {
            it.ran.confirms == 0 && (it.purged || it.row == Some(Row::Cancelled))
        }
        None => false,
    }
}

/// Whoever keeps the rules confirms only what is reserved.
fn t3(model: &Model, world: &World, tx: u8) -> bool {
    let by_the_rules =
        model.scope.cast == Cast::Local || model.scope.outcome == InitiatorOutcome::Executed;
    let rows = &world.store.rows;
    let confirmed = rows.decision(tx) == Some(Decision::Confirm);
    let tried = |branch| world.participant(&model.scope, branch).ran.tries > 0;
    !by_the_rules || !confirmed || rows.branches_of(tx).all(|row| tried(row.branch))
}

/// To be asked of a world at rest: every branch did what was decided, and nothing stays reserved. Who keeps the rules reserves
/// nothing besides.
fn t5(model: &Model, world: &World, tx: u8) -> bool {
    let rows = &world.store.rows;
    let Some(decision) = rows.decision(tx) else {
        // Undecided and at rest is parked, or was never prepared: then nobody was tried.
        let known = rows.transaction(tx).is_some() || model.scope.cast != Cast::Local;
        return known
            || branches(model, tx)
                .all(|branch| world.participant(&model.scope, branch).ran.tries == 0);
    };
    branches(model, tx).all(|branch| {
        let it = world.participant(&model.scope, branch);
        match rows.branch(branch).map(|row| row.state) {
            Some(BranchState::Parked) => true,
            Some(_) => !it.ran.holds() && (it.ran.confirms > 0) == (decision == Decision::Confirm),
            None => model.scope.cast != Cast::Local || it.ran.tries == 0,
        }
    })
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
        | Action::Decline(_)
        | Action::Break(_)
        | Action::Purge(_)
        | Action::Rule(..)
        | Action::Park(_)
        | Action::Retry(_)
        | Action::Unsubscribe(_) => true,
        _ => false,
    }
}
