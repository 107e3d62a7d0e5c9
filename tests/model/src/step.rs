//! What each step makes of the world. Coordinator steps run the shipped engine; the rest is the world around it.

use std::sync::Arc;

use earnest::fence::{self, FencingRead, Inbox};
use earnest_protocol::{BranchCall, ParkReason};
use earnest_store::{
    Command, NewTransaction, OperatorAction, Rejection, Reply,
    conformance::{cancel, confirm, keyed, operator, prepare, register, reserve, transaction},
};

use crate::{
    action::Action,
    initiator::{Initiator, Local, Step},
    key::{Branch, Lease, TOPIC, WorkKey, subscription_name},
    network::{Network, Packet},
    node::Answer,
    notice,
    scope::{Begins, Cast},
    witness::{Invariant, Sight},
    work::{act, answered, call, claim, ended, hold, write},
    world::{Model, World},
};

/// Takes one step.
pub(crate) fn take(model: &Model, world: &mut World, action: Action) {
    match action {
        Action::Receive(node, packet) => receive(model, world, node, packet),
        Action::Claim(node) => claim(model, world, node),
        Action::Call(node, lease) => call(world, node, lease),
        Action::Hear(node, lease, answer) => {
            arrived(model, world, Packet::Answer(node, lease, answer));
            ended(world, node, lease, answer);
        }
        Action::Silence(node, lease) => {
            world.faults.silences = world.faults.silences.saturating_sub(1);
            ended(world, node, lease, Answer::Unknown);
        }
        Action::Write(node, lease) => write(model, world, node, lease),
        Action::Beat(_)
        | Action::Restart(_)
        | Action::LeaseRunsOut(_)
        | Action::PastRunsOut(_)
        | Action::NodeDies(_) => {
            live(world, action);
        }
        Action::AnswerCheckBack(node, tx, token, answer) => {
            arrived(model, world, Packet::CheckBack(node, tx, token));
            answer_check_back(model, world, tx, token, answer);
            let lease = Lease {
                key: WorkKey::CheckBack(tx),
                token,
            };
            world.packets.insert(Packet::Answer(node, lease, answer));
        }
        Action::Take(node, lease) => {
            arrived(model, world, Packet::Deliver(node, lease));
            consume(model, world, lease);
            world
                .packets
                .insert(Packet::Answer(node, lease, Answer::Taken));
        }
        Action::Refuse(node, lease) => {
            world.faults.refusals -= 1;
            arrived(model, world, Packet::Deliver(node, lease));
            world
                .packets
                .insert(Packet::Answer(node, lease, Answer::Failed));
        }
        Action::Act(packet) => act(model, world, packet, false),
        Action::Decline(packet) => {
            world.faults.refusals -= 1;
            act(model, world, packet, true);
        }
        Action::Break(packet) => {
            world.faults.refusals -= 1;
            arrived(model, world, packet);
            answered(model, world, packet, Answer::Failed);
        }
        Action::Purge(branch) => {
            world.faults.purges -= 1;
            world.participants[World::place(&model.scope, branch)].purge();
        }
        Action::Drop(packet) => {
            world.faults.drops -= 1;
            world.packets.remove(&packet);
        }
        Action::Park(_)
        | Action::Retry(_)
        | Action::Rule(..)
        | Action::Unsubscribe(_)
        | Action::Subscribe(_) => {
            operate(model, world, action);
        }
        _ => initiate(model, world, action),
    }
}

/// A packet is carried out; a network that duplicates keeps it.
pub(crate) fn arrived(model: &Model, world: &mut World, packet: Packet) {
    if model.scope.network == Network::Lossy {
        world.packets.remove(&packet);
    }
}

fn initiate(model: &Model, world: &mut World, action: Action) {
    let (Action::Begin(tx)
    | Action::SendPrepare(tx)
    | Action::HearPrepared(tx, _)
    | Action::SendRegister(tx)
    | Action::HearRegistered(Branch { tx, .. }, _)
    | Action::HearTried(Branch { tx, .. }, _)
    | Action::OpenLocal(tx)
    | Action::GiveUp(tx)
    | Action::SendCommit(tx)
    | Action::CommitLands(tx)
    | Action::CommitFails(tx)
    | Action::ReadFence(tx)
    | Action::LeaveOpen(tx)
    | Action::SendConfirm(tx)
    | Action::SendCancel(tx)
    | Action::ProcessDies(tx)
    | Action::ConnectionLost(tx)
    | Action::LocalLost(tx)) = action
    else {
        unreachable!("{action:?} is not an initiator's step");
    };
    match action {
        Action::HearPrepared(tx, prepared) => {
            arrived(model, world, Packet::Prepared(tx, prepared));
            let named = 0..model.scope.named();
            if prepared {
                let first = named.map(|no| Packet::Direct(Branch { tx, no }, BranchCall::Try));
                world.packets.extend(first);
            }
        }
        Action::SendRegister(tx) => {
            let no = world.initiators[usize::from(tx)].trying;
            world.packets.insert(Packet::Register(Branch { tx, no }));
        }
        Action::HearRegistered(branch, joined) => {
            arrived(model, world, Packet::Registered(branch, joined));
            if joined {
                let call = Packet::Direct(branch, BranchCall::Try);
                world.packets.insert(call);
            }
        }
        Action::HearTried(branch, answer) => {
            arrived(model, world, Packet::Tried(branch, answer));
        }
        Action::SendPrepare(_) => {
            world.packets.insert(Packet::Prepare(tx));
        }
        Action::SendConfirm(_) => {
            world.packets.insert(Packet::Confirm(tx));
        }
        Action::SendCancel(_) => {
            world.packets.insert(Packet::Cancel(tx));
        }
        Action::ProcessDies(_) => world.faults.process_deaths -= 1,
        Action::ConnectionLost(_) => world.faults.cut_commits -= 1,
        Action::LocalLost(_) => world.faults.lost_locals -= 1,
        _ => {}
    }
    local_step(model, &mut world.initiators[usize::from(tx)], action);
}

fn local_step(model: &Model, it: &mut Initiator, action: Action) {
    match action {
        Action::Begin(_) => {
            it.step = Step::Open;
            if model.scope.begins == Begins::First {
                it.local = Local::Open;
            }
        }
        Action::OpenLocal(_) => {
            if it.row.is_none() {
                it.local = Local::Open;
            } else {
                model.tally.met(Sight::FenceBarsTheLocalTransaction);
                rolled_back(it);
            }
        }
        Action::SendPrepare(_) => {
            it.step = Step::Preparing;
            it.told = true;
        }
        Action::HearPrepared(_, true) => {
            it.step = Step::Prepared;
            it.trying = model.scope.named();
        }
        Action::SendRegister(_) => it.step = Step::Registering,
        Action::HearRegistered(branch, true) => {
            it.step = Step::Prepared;
            it.trying = branch.no + 1;
        }
        Action::HearTried(branch, Answer::Taken) => it.reserved |= 1 << branch.no,
        // An unclear answer is none: its code may wait on, or give up.
        Action::HearTried(_, Answer::Unknown) => {}
        Action::HearPrepared(_, false)
        | Action::HearRegistered(_, false)
        | Action::HearTried(..)
        | Action::GiveUp(_) => rolled_back(it),
        Action::SendCommit(_) => {
            if it.may_commit() && it.local == Local::Open {
                it.step = Step::Committing;
                it.local = Local::InFlight;
            } else if it.may_commit() {
                // COMMIT of nothing: it is answered well.
                it.step = Step::Committed;
                it.local = Local::None;
            } else {
                model.tally.met(Sight::FenceStopsCommit);
                rolled_back(it);
            }
        }
        Action::CommitLands(_) => {
            it.land();
            if it.step == Step::Committing {
                it.step = Step::Committed;
            }
        }
        Action::CommitFails(_) => {
            it.roll_back();
            if it.step == Step::Committing {
                // An error is not proof.
                it.step = Step::Unknown;
            }
        }
        Action::ReadFence(_) => match it.fencing_read() {
            Some(FencingRead::Committed) => {
                model.tally.met(Sight::CutCommitHadLanded);
                it.step = Step::Committed;
            }
            Some(FencingRead::RolledBack) => {
                model.tally.met(Sight::CutCommitHadNot);
                it.step = Step::RolledBack;
            }
            Some(FencingRead::InProgress | FencingRead::Forgotten | FencingRead::Unclear)
            | None => {}
        },
        Action::LeaveOpen(_) | Action::SendConfirm(_) | Action::SendCancel(_) => {
            it.step = Step::Over;
        }
        Action::ProcessDies(_) => {
            it.step = Step::Over;
            // What was sent may still be carried out; what was not is rolled back by the database.
            if it.local != Local::InFlight {
                it.roll_back();
            }
        }
        Action::ConnectionLost(_) => it.step = Step::Unknown,
        Action::LocalLost(_) => it.local = Local::Lost,
        _ => unreachable!("{action:?} is not an initiator's step"),
    }
}

fn rolled_back(it: &mut Initiator) {
    it.roll_back();
    it.step = if it.told {
        Step::RolledBack
    } else {
        Step::Over
    };
}

/// A node carries out a request: command, commit, answer.
fn receive(model: &Model, world: &mut World, node: u8, packet: Packet) {
    arrived(model, world, packet);
    let (tx, command) = match packet {
        Packet::Prepare(tx) => (tx, prepare(new(model, tx))),
        Packet::PrepareOther(tx) => {
            let other = NewTransaction {
                business_key: "another order".into(),
                ..new(model, tx)
            };
            (tx, prepare(other))
        }
        Packet::Register(Branch { tx, no }) => {
            (tx, register(tx, &[(no.into(), reserve(no.into()))]))
        }
        Packet::Confirm(tx) => (tx, confirm(tx)),
        Packet::Cancel(tx) => (tx, cancel(tx)),
        _ => unreachable!("{packet:?} is not a request to a node"),
    };
    let Some(result) = run(model, world, node, tx, command) else {
        return;
    };
    notice::told(model, world, packet, tx, &result);
    if model.scope.cast != Cast::Local {
        return;
    }
    let undecided = matches!(&result, Ok(Reply::Transaction { row, .. }) if row.state.phase.decision().is_none());
    match packet {
        Packet::Prepare(tx) => {
            world.packets.insert(Packet::Prepared(tx, undecided));
        }
        Packet::Register(branch) => {
            world.packets.insert(Packet::Registered(branch, undecided));
        }
        _ => {}
    }
}

fn new(model: &Model, tx: u8) -> NewTransaction {
    let key = if model.scope.ordered { "k" } else { "" };
    let messages = model.scope.message.then(|| keyed(TOPIC, key));
    NewTransaction {
        options: model.scope.options(),
        branches: (0..u32::from(model.scope.named())).map(reserve).collect(),
        ..transaction(tx, messages.into_iter().collect())
    }
}

/// Runs a command of `node`, and takes what it leased. `None`: the engine met rows that it holds impossible.
pub(crate) fn run(
    model: &Model,
    world: &mut World,
    node: u8,
    tx: u8,
    command: Command,
) -> Option<Result<Reply, Rejection>> {
    let epoch = world.nodes[usize::from(node)].epoch;
    let before = Arc::clone(&world.store.rows);
    let Ok((store, mut applied)) = world.store.apply(command, epoch, model.scope.fast_path) else {
        world.witness.broken.insert(Invariant::K3);
        return None;
    };
    world.store = store;
    notice::observe(model, world, &before, tx);
    hold(world, node, &applied.leased);
    Some(applied.results.remove(0))
}

fn live(world: &mut World, action: Action) {
    let (Action::Beat(node)
    | Action::Restart(node)
    | Action::LeaseRunsOut(node)
    | Action::PastRunsOut(node)
    | Action::NodeDies(node)) = action
    else {
        unreachable!("{action:?} is not of a node's life");
    };
    let it = &mut world.nodes[usize::from(node)];
    match action {
        Action::Beat(_) => {
            let (store, lives) = world.store.beat(it.epoch);
            world.store = store;
            it.lease_ran_out = false;
            it.buried = false;
            if !lives {
                (world.store, it.epoch) = world.store.enrol();
            }
        }
        Action::Restart(_) => {
            it.up = true;
            (world.store, it.epoch) = world.store.enrol();
        }
        Action::LeaseRunsOut(_) => {
            world.faults.expiries -= 1;
            it.lease_ran_out = true;
            world.store = world.store.run_out(it.epoch);
        }
        Action::PastRunsOut(_) => {
            if let Some(epoch) = it.past.take() {
                world.store = world.store.run_out(epoch);
            }
        }
        _ => {
            world.faults.node_deaths -= 1;
            it.up = false;
            it.held.clear();
            // One run's worth of memory: a run that died before this one is given up now.
            if let Some(before) = it.past.take() {
                world.store = world.store.run_out(before);
            }
            it.past = Some(it.epoch).filter(|_| !it.lease_ran_out);
            it.lease_ran_out = false;
            it.buried = false;
        }
    }
}

fn answer_check_back(
    model: &Model,
    world: &mut World,
    tx: u8,
    token: earnest_protocol::LeaseToken,
    answer: Answer,
) {
    let it = &mut world.initiators[usize::from(tx)];
    let told = &mut world.witness.told[usize::from(tx)];
    if model.scope.cast == Cast::Local && it.row.is_none() && it.fencing_read().is_some() {
        model.tally.met(Sight::EmptyFence);
    }
    match answer {
        Answer::RolledBack => told.said_rolled_back = true,
        Answer::InProgress => {
            told.said_in_progress.insert(token);
        }
        _ => {}
    }
}

/// A consumer's local transaction: inbox row and effect together, or neither.
fn consume(model: &Model, world: &mut World, lease: Lease) {
    let WorkKey::Delivery(key) = lease.key else {
        return;
    };
    let is_there = world.inbox.contains_key(&key);
    if fence::inbox(u64::from(!is_there), is_there) != Inbox::New {
        model.tally.met(Sight::DuplicateSwallowed);
        return;
    }
    // Once too often is often enough to be seen.
    let effects = world.inbox.entry(key).or_default();
    *effects = (*effects + 1).min(2);
    if is_there {
        return;
    }
    if model.scope.ordered {
        world.witness.arrivals.push(key);
    }
}

fn operate(model: &Model, world: &mut World, action: Action) {
    match action {
        Action::Park(tx) => {
            world.faults.operations -= 1;
            let reason = ParkReason::new("look at it first");
            by_hand(model, world, tx, OperatorAction::Park(reason));
        }
        Action::Retry(tx) => {
            world.faults.operations -= 1;
            by_hand(model, world, tx, OperatorAction::Retry);
        }
        Action::Rule(tx, decision) => {
            world.faults.rulings -= 1;
            by_hand(model, world, tx, OperatorAction::Decide(decision));
        }
        Action::Unsubscribe(to) => {
            world.faults.unsubscriptions -= 1;
            world.store = world.store.unsubscribe(&subscription_name(to));
        }
        Action::Subscribe(to) => world.store = world.store.subscribe(model.subscription(to)),
        _ => unreachable!("{action:?} is not a person's"),
    }
}

fn by_hand(model: &Model, world: &mut World, tx: u8, what: OperatorAction) {
    let (parks, retries) = (
        matches!(what, OperatorAction::Park(_)),
        matches!(what, OperatorAction::Retry),
    );
    // A person's command comes in by any node; which one makes a difference to the fast path only.
    let Some(node) = (0..model.scope.nodes).find(|node| world.nodes[usize::from(*node)].up) else {
        return;
    };
    if !matches!(run(model, world, node, tx, operator(tx, what)), Some(Ok(_))) {
        return;
    }
    if parks {
        model.tally.met(Sight::ParkedByHand);
        // Whoever was at it has lost it.
        for (key, claims) in &mut world.witness.claims {
            *claims += u8::from(key.tx() == tx);
        }
    } else if retries {
        model.tally.met(Sight::RetriedByHand);
    }
}
