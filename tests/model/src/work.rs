//! What a node does with the work it holds, and what participants make of its calls.

use std::sync::Arc;

use earnest_protocol::{
    BranchCall, Decision, Jitter, RetryPolicy, Settled, TrySettled, settle, settle_branch,
    settle_try,
};
use earnest_store::{
    BranchSettled, BranchTried, Command, DeliverySettled, Work,
    conformance::{id, note},
};

use crate::{
    key::{Branch, Delivery, Lease, WorkKey, delivery_key},
    network::Packet,
    node::{Answer, Held, Stage},
    notice,
    scope::Cast,
    step::{arrived, run},
    witness::{Invariant, Sight},
    world::{Model, World},
};

pub(crate) fn hold(world: &mut World, node: u8, leased: &[Work]) {
    for work in leased {
        let lease = Lease::of(work);
        let claims = world.witness.claims.entry(lease.key).or_default();
        *claims += 1;
        let call = match work {
            Work::Branch(work) => Some(work.call),
            Work::CheckBack(_) | Work::Delivery(_) => None,
        };
        let held = Held {
            stage: Stage::Taken,
            call,
            claim: *claims,
        };
        world.nodes[usize::from(node)].held.insert(lease, held);
    }
}

pub(crate) fn claim(model: &Model, world: &mut World, node: u8) {
    let epoch = world.nodes[usize::from(node)].epoch;
    let before = Arc::clone(&world.store.rows);
    let (store, work) = world.store.claim(epoch);
    world.store = store;
    let had_holder = |lease: &Lease| match lease.key {
        WorkKey::CheckBack(tx) => before
            .transaction(tx)
            .is_some_and(|row| row.holder.is_some()),
        WorkKey::Delivery(key) => before.delivery(key).is_some_and(|row| row.holder.is_some()),
        WorkKey::Branch(branch) => before
            .branch(branch)
            .is_some_and(|row| row.holder.is_some()),
    };
    if work.iter().map(Lease::of).any(|lease| had_holder(&lease)) {
        model.tally.met(Sight::TakenOverFromTheDead);
    }
    hold(world, node, &work);
    // A claim takes silent nodes for dead, which they learn with their next heartbeat.
    for it in &mut world.nodes {
        it.buried = it.lease_ran_out && !world.store.beat(it.epoch).1;
    }
}

pub(crate) fn call(world: &mut World, node: u8, lease: Lease) {
    let Some(held) = world.nodes[usize::from(node)].held.get_mut(&lease) else {
        return;
    };
    held.stage = Stage::Called;
    let call = held.call;
    match lease.key {
        WorkKey::CheckBack(tx) => {
            world
                .packets
                .insert(Packet::CheckBack(node, tx, lease.token));
        }
        WorkKey::Delivery(key) => {
            if world.store.rows.decision(key.tx) != Some(Decision::Confirm) {
                world.witness.broken.insert(Invariant::P3);
            }
            world.packets.insert(Packet::Deliver(node, lease));
        }
        WorkKey::Branch(branch) => {
            let Some(call) = call else {
                return;
            };
            notice::called(world, branch, call);
            world.packets.insert(Packet::Branch(node, lease, call));
        }
    }
}

pub(crate) fn ended(world: &mut World, node: u8, lease: Lease, answer: Answer) {
    if let Some(held) = world.nodes[usize::from(node)].held.get_mut(&lease) {
        held.stage = Stage::Ended(answer);
    }
}

/// A node writes the end of a piece of work, and lets go of it.
pub(crate) fn write(model: &Model, world: &mut World, node: u8, lease: Lease) {
    let Some(held) = world.nodes[usize::from(node)].held.remove(&lease) else {
        return;
    };
    let (tx, command) = match (lease.key, held.stage) {
        (WorkKey::CheckBack(tx), Stage::Ended(answer)) => (
            tx,
            Command::CheckedBack {
                id: id(tx),
                token: lease.token,
                answer: answer.to_check_back(),
                jitter: Jitter(0),
                note: note("in-progress"),
            },
        ),
        (WorkKey::CheckBack(tx), _) => {
            debug_assert!(model.scope.outcome.ends_with_the_deadline());
            (
                tx,
                Command::DeadlinePassed {
                    id: id(tx),
                    token: lease.token,
                },
            )
        }
        (WorkKey::Delivery(key), Stage::Ended(answer)) => (key.tx, delivered(key, lease, answer)),
        (WorkKey::Branch(branch), Stage::Ended(answer)) => {
            (branch.tx, called_branch(branch, lease, held.call, answer))
        }
        (WorkKey::Delivery(_) | WorkKey::Branch(_), _) => return,
    };
    // Asked before: an end that decides takes other leases away, its own among them.
    let stale = world.witness.claims.get(&lease.key) > Some(&held.claim);
    if let Some(result) = run(model, world, node, tx, command) {
        notice::written(model, world, node, lease, held, stale, &result);
    }
}

fn delivered(key: Delivery, lease: Lease, answer: Answer) -> Command {
    let settled = settle(answer.to_delivery(), 1, &RetryPolicy::default(), Jitter(0));
    let note = (settled != Settled::Done).then(|| note("unreachable"));
    Command::DeliverySettled(Box::new(DeliverySettled {
        key: delivery_key(key),
        token: lease.token,
        settled,
        note,
    }))
}

fn called_branch(
    branch: Branch,
    lease: Lease,
    call: Option<BranchCall>,
    answer: Answer,
) -> Command {
    let (answer, policy) = (answer.to_branch(), RetryPolicy::default());
    if call == Some(BranchCall::Try) {
        let settled = settle_try(answer, 1, &policy, Jitter(0));
        return Command::BranchTried(Box::new(BranchTried {
            key: branch.key(),
            token: lease.token,
            note: (settled != TrySettled::Ok).then(|| note("refused")),
            settled,
        }));
    }
    let settled = settle_branch(answer, 1, &policy, Jitter(0));
    Command::BranchSettled(Box::new(BranchSettled {
        key: branch.key(),
        token: lease.token,
        park_after: None,
        note: (settled != Settled::Done).then(|| note("unreachable")),
        settled,
    }))
}

/// A participant carries out a call of a branch, whoever made it.
pub(crate) fn act(model: &Model, world: &mut World, packet: Packet, declines: bool) {
    arrived(model, world, packet);
    let (Packet::Direct(branch, call)
    | Packet::Branch(
        _,
        Lease {
            key: WorkKey::Branch(branch),
            ..
        },
        call,
    )) = packet
    else {
        unreachable!("{packet:?} is no call of a branch")
    };
    let it = &mut world.participants[World::place(&model.scope, branch)];
    let before = *it;
    let (answer, did) = it.call(call, declines);
    notice::acted(model, world, packet, branch, call, before, did);
    answered(model, world, packet, answer);
}

/// A participant answers whoever called; nobody waits for what nobody but the checker sent.
pub(crate) fn answered(model: &Model, world: &mut World, packet: Packet, answer: Answer) {
    match packet {
        Packet::Branch(node, lease, _) => {
            world.packets.insert(Packet::Answer(node, lease, answer));
        }
        Packet::Direct(branch, BranchCall::Try) if model.scope.cast == Cast::Local => {
            world.packets.insert(Packet::Tried(branch, answer));
        }
        _ => {}
    }
}
