//! What may happen next.

use earnest::fence::FencingRead;
use earnest_protocol::{BranchCall, Decision};

use crate::{
    initiator::{Local, Step},
    key::{Branch, Lease, WorkKey},
    network::{Network, Packet},
    node::{Answer, Stage},
    scope::{Begins, Cast, Scope},
    world::World,
};

/// One step of one party, or one fault. Numbers are transactions, nodes or subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The initiator begins: fence row, business.
    Begin(u8),
    /// It sends Prepare.
    SendPrepare(u8),
    /// It hears what became of Prepare.
    HearPrepared(u8, bool),
    /// It registers a further branch.
    SendRegister(u8),
    /// It hears what became of that, and calls Try.
    HearRegistered(Branch, bool),
    /// It hears what became of a Try.
    HearTried(Branch, Answer),
    /// All of its Trys were answered OK: its local transaction begins, with the fence row if nobody fenced it off.
    OpenLocal(u8),
    /// It fails, or waits no longer, and rolls back.
    GiveUp(u8),
    /// It looks at its row once more and sends COMMIT.
    SendCommit(u8),
    /// Its database carries COMMIT out; it hears of it unless the connection is gone.
    CommitLands(u8),
    /// Its database refuses COMMIT.
    CommitFails(u8),
    /// It finds out by the fencing read what became of COMMIT.
    ReadFence(u8),
    /// It finds no time to find out.
    LeaveOpen(u8),
    /// It sends Confirm.
    SendConfirm(u8),
    /// It sends Cancel.
    SendCancel(u8),
    /// A node carries out a caller's request.
    Receive(u8, Packet),
    /// A node claims what is due.
    Claim(u8),
    /// A node makes a call.
    Call(u8, Lease),
    /// A node hears the answer.
    Hear(u8, Lease, Answer),
    /// A node writes the end.
    Write(u8, Lease),
    /// A node sends a heartbeat, and enrols anew when it was taken for dead.
    Beat(u8),
    /// The lease of a node's run that died runs out.
    PastRunsOut(u8),
    /// A node is started again.
    Restart(u8),
    /// A participant answers a check-back.
    AnswerCheckBack(u8, u8, earnest_protocol::LeaseToken, Answer),
    /// A participant carries out a call of a branch.
    Act(Packet),
    /// A participant says no to it.
    Decline(Packet),
    /// A participant answers that it can never be done.
    Break(Packet),
    /// A participant purges its fence row.
    Purge(Branch),
    /// A consumer takes a delivery.
    Take(u8, Lease),
    /// A consumer refuses it for good.
    Refuse(u8, Lease),
    /// Fault: a call of a node brings no answer.
    Silence(u8, Lease),
    /// Fault: a node's lease runs out.
    LeaseRunsOut(u8),
    /// Fault: a node dies.
    NodeDies(u8),
    /// Fault: the initiator's process dies.
    ProcessDies(u8),
    /// Fault: its connection is lost at COMMIT.
    ConnectionLost(u8),
    /// Fault: its database loses the open transaction.
    LocalLost(u8),
    /// Fault: a packet is dropped.
    Drop(Packet),
    /// A person sets it aside.
    Park(u8),
    /// A person tries again.
    Retry(u8),
    /// A person decides.
    Rule(u8, Decision),
    /// A subscription is deleted.
    Unsubscribe(u8),
    /// It is created again.
    Subscribe(u8),
}

/// All of them, in `world`.
pub(crate) fn possible(scope: &Scope, world: &World, actions: &mut Vec<Action>) {
    for tx in 0..scope.transactions {
        if scope.cast == Cast::Local {
            initiator(scope, world, tx, actions);
        }
        let faults = &world.faults;
        if faults.operations > 0 && world.store.rows.transaction(tx).is_some() {
            actions.extend([Action::Park(tx), Action::Retry(tx)]);
        }
        if faults.rulings > 0 && world.store.rows.transaction(tx).is_some() {
            actions.extend(
                [Decision::Confirm, Decision::Cancel].map(|decision| Action::Rule(tx, decision)),
            );
        }
    }
    for branch in scope.all_branches() {
        if world.faults.purges > 0 && !world.participant(scope, branch).purged {
            actions.push(Action::Purge(branch));
        }
    }
    for node in 0..scope.nodes {
        of_node(scope, world, node, actions);
    }
    for packet in &world.packets {
        on_arrival(scope, world, *packet, actions);
        if scope.network == Network::Lossy && world.faults.drops > 0 {
            actions.push(Action::Drop(*packet));
        }
    }
    for to in 0..scope.subscriptions {
        match world.store.rows.subscriptions[usize::from(to)] {
            true if world.faults.unsubscriptions > 0 => actions.push(Action::Unsubscribe(to)),
            true => {}
            false => actions.push(Action::Subscribe(to)),
        }
    }
}

fn initiator(scope: &Scope, world: &World, tx: u8, actions: &mut Vec<Action>) {
    let it = &world.initiators[usize::from(tx)];
    match it.step {
        Step::Idle => actions.push(Action::Begin(tx)),
        Step::Open => actions.extend([Action::SendPrepare(tx), Action::GiveUp(tx)]),
        Step::Preparing | Step::Registering => actions.push(Action::GiveUp(tx)),
        Step::Prepared => {
            actions.push(Action::GiveUp(tx));
            if scope.begins == Begins::Reserved && it.local == Local::None {
                if it.all_tried() {
                    actions.push(Action::OpenLocal(tx));
                }
            } else if it.holds_all() && it.trying < scope.branches {
                actions.push(Action::SendRegister(tx));
            } else if it.all_tried() {
                actions.push(Action::SendCommit(tx));
            }
        }
        Step::Unknown => {
            actions.push(Action::LeaveOpen(tx));
            if { *it }.fencing_read().is_some() {
                actions.push(Action::ReadFence(tx));
            }
        }
        Step::Committed => actions.push(Action::SendConfirm(tx)),
        Step::RolledBack => actions.push(Action::SendCancel(tx)),
        Step::Committing | Step::Over => {}
    }
    if it.local == Local::InFlight {
        actions.extend([Action::CommitLands(tx), Action::CommitFails(tx)]);
    }
    if it.step == Step::Committing && world.faults.cut_commits > 0 {
        actions.push(Action::ConnectionLost(tx));
    }
    if it.local == Local::Open && world.faults.lost_locals > 0 {
        actions.push(Action::LocalLost(tx));
    }
    if !matches!(it.step, Step::Idle | Step::Over) && world.faults.process_deaths > 0 {
        actions.push(Action::ProcessDies(tx));
    }
}

fn of_node(scope: &Scope, world: &World, node: u8, actions: &mut Vec<Action>) {
    let it = &world.nodes[usize::from(node)];
    if it.past.is_some() {
        actions.push(Action::PastRunsOut(node));
    }
    if !it.up {
        actions.push(Action::Restart(node));
        return;
    }
    if it.lease_ran_out {
        actions.push(Action::Beat(node));
    } else if world.faults.expiries > 0 {
        actions.push(Action::LeaseRunsOut(node));
    }
    if is_claimable(world) {
        actions.push(Action::Claim(node));
    }
    if world.faults.node_deaths > 0 {
        actions.push(Action::NodeDies(node));
    }
    for (lease, held) in &it.held {
        let nobody_to_ask =
            scope.outcome.ends_with_the_deadline() && matches!(lease.key, WorkKey::CheckBack(_));
        match held.stage {
            Stage::Taken if nobody_to_ask => actions.push(Action::Write(node, *lease)),
            Stage::Taken => actions.push(Action::Call(node, *lease)),
            Stage::Called if world.faults.silences > 0 => {
                actions.push(Action::Silence(node, *lease));
            }
            // What was dropped is answered by the end of the node's patience, and costs no other fault.
            Stage::Called
                if scope.network == Network::Lossy && !is_under_way(world, node, *lease) =>
            {
                actions.push(Action::Silence(node, *lease));
            }
            Stage::Called => {}
            Stage::Ended(_) => actions.push(Action::Write(node, *lease)),
        }
    }
}

/// Whether an answer to this call can still come.
pub(crate) fn is_under_way(world: &World, node: u8, lease: Lease) -> bool {
    world.packets.iter().any(|packet| match *packet {
        Packet::CheckBack(by, tx, token) => {
            by == node && lease.key == WorkKey::CheckBack(tx) && lease.token == token
        }
        Packet::Deliver(by, other)
        | Packet::Branch(by, other, _)
        | Packet::Answer(by, other, _) => by == node && other == lease,
        _ => false,
    })
}

/// Whether a claim could bring anything: something will be due, and is free or held by a node whose lease ran out.
fn is_claimable(world: &World) -> bool {
    let free = |holder: Option<earnest_protocol::NodeEpoch>| {
        holder.is_none_or(|epoch| {
            !world
                .nodes
                .iter()
                .any(|node| node.past == Some(epoch) || (node.epoch == epoch && node.lives()))
        })
    };
    let rows = &world.store.rows;
    rows.transactions
        .iter()
        .flatten()
        .any(|row| row.check_due && free(row.holder))
        || rows
            .deliveries
            .iter()
            .any(|row| row.due && free(row.holder))
        || rows.branches.iter().any(|row| row.due && free(row.holder))
}

fn on_arrival(scope: &Scope, world: &World, packet: Packet, actions: &mut Vec<Action>) {
    match packet {
        Packet::Prepare(_)
        | Packet::PrepareOther(_)
        | Packet::Register(_)
        | Packet::Confirm(_)
        | Packet::Cancel(_) => {
            for node in 0..scope.nodes {
                if world.nodes[usize::from(node)].up {
                    actions.push(Action::Receive(node, packet));
                }
            }
        }
        Packet::Prepared(tx, prepared) => {
            if world.initiators[usize::from(tx)].step == Step::Preparing {
                actions.push(Action::HearPrepared(tx, prepared));
            }
        }
        Packet::Registered(branch, joined) => {
            let it = &world.initiators[usize::from(branch.tx)];
            if it.step == Step::Registering && it.trying == branch.no {
                actions.push(Action::HearRegistered(branch, joined));
            }
        }
        Packet::Direct(_, call) | Packet::Branch(_, _, call) => {
            actions.push(Action::Act(packet));
            if world.faults.refusals > 0 {
                actions.push(Action::Decline(packet));
            }
            if world.faults.refusals > 0 && call != BranchCall::Try {
                actions.push(Action::Break(packet));
            }
        }
        Packet::Tried(branch, answer) => {
            let it = &world.initiators[usize::from(branch.tx)];
            if it.step == Step::Prepared && it.reserved & (1 << branch.no) == 0 {
                actions.push(Action::HearTried(branch, answer));
            }
        }
        Packet::CheckBack(node, tx, token) => match scope.cast {
            Cast::Local => {
                let mut it = world.initiators[usize::from(tx)];
                let answer = match it.fencing_read() {
                    Some(FencingRead::Committed) => Answer::Committed,
                    Some(FencingRead::RolledBack) => Answer::RolledBack,
                    Some(FencingRead::Forgotten | FencingRead::Unclear) => Answer::Unknown,
                    Some(FencingRead::InProgress) | None => Answer::InProgress,
                };
                actions.push(Action::AnswerCheckBack(node, tx, token, answer));
            }
            Cast::Unruly(_) => actions.extend(
                [Answer::Committed, Answer::RolledBack, Answer::InProgress]
                    .map(|answer| Action::AnswerCheckBack(node, tx, token, answer)),
            ),
        },
        Packet::Deliver(node, lease) => {
            actions.push(Action::Take(node, lease));
            if world.faults.refusals > 0 {
                actions.push(Action::Refuse(node, lease));
            }
        }
        Packet::Answer(node, lease, answer) => {
            let waits = world.nodes[usize::from(node)]
                .held
                .get(&lease)
                .is_some_and(|held| held.stage == Stage::Called);
            if waits {
                actions.push(Action::Hear(node, lease, answer));
            }
        }
    }
}
