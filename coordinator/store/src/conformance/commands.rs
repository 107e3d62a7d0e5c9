//! Commands and their parts, small enough to read in a case.

use std::time::Duration;

use bytes::Bytes;
use earnest_protocol::{
    CheckBackAnswer, ContentHash, Decision, Jitter, Name, Options, Ordinal, ParkReason, Settled,
    Topic, TransactionId, TrySettled,
};

use super::clock::TestClock;
use crate::{
    AttemptNote, Branch, BranchSettled, BranchTried, BranchWork, CheckBackWork, Command, Decide,
    DeliverySettled, DeliveryWork, Message, NewTransaction, OperatorAction, RegisterBranches,
};

/// Who opens the cases' transactions.
pub const INITIATOR: &str = "cashier";

/// A name.
pub fn name(text: &str) -> Name {
    text.parse().expect("a test's name is right")
}

/// A topic.
pub fn topic(text: &str) -> Topic {
    text.parse().expect("a test's topic is right")
}

/// The id of transaction number `n`, made when the clock starts.
pub fn id(n: u8) -> TransactionId {
    TransactionId::from_parts(TestClock::START, [n; 10])
}

/// A message without a key.
pub fn message(to: &str) -> Message {
    keyed(to, "")
}

/// A message with an order key.
pub fn keyed(to: &str, key: &str) -> Message {
    Message {
        topic: topic(to),
        key: key.into(),
        headers: [("colour".into(), "green".into())].into(),
        payload: Bytes::from_static(b"{\"cents\":100}"),
        content_type: "application/json".into(),
        content_encoding: String::new(),
        key_id: String::new(),
    }
}

/// Transaction number `n` with `messages` and default options.
pub fn transaction(n: u8, messages: Vec<Message>) -> NewTransaction {
    NewTransaction {
        id: id(n),
        namespace: Name::default_namespace(),
        initiator: name(INITIATOR),
        resource_id: "db-1".into(),
        business_key: format!("order-{n}"),
        options: Options::default(),
        content: ContentHash([0; 32]),
        messages,
        branches: vec![],
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
    }
}

/// The branches that a transaction of the cases may have.
pub const BRANCHES: u32 = 8;

/// A branch that is told from others by `n`.
pub fn reserve(n: u32) -> Branch {
    Branch {
        service: name("account"),
        action: name("debit"),
        resource_id: "db-2".into(),
        payload: Bytes::from(format!("{{\"cents\":{n}}}")),
        content_type: "application/json".into(),
    }
}

/// Transaction number `n` with so many branches and no message.
pub fn branched(n: u8, branches: usize) -> NewTransaction {
    NewTransaction {
        branches: (0..).take(branches).map(reserve).collect(),
        ..transaction(n, vec![])
    }
}

/// The initiator registers further branches of transaction `n`.
pub fn register(n: u8, branches: &[(u32, Branch)]) -> Command {
    let branches = branches.iter().cloned();
    Command::RegisterBranches(Box::new(RegisterBranches {
        id: id(n),
        initiator: Some(name(INITIATOR)),
        branches: branches.map(|(at, branch)| (Ordinal(at), branch)).collect(),
        limit: BRANCHES,
        messages: vec![],
        message_limit: 3,
    }))
}

/// The initiator adds messages to transaction `n`.
pub fn add(n: u8, messages: &[(u32, Message)]) -> Command {
    let messages = messages.iter().cloned();
    Command::RegisterBranches(Box::new(RegisterBranches {
        id: id(n),
        initiator: Some(name(INITIATOR)),
        branches: vec![],
        limit: BRANCHES,
        messages: messages
            .map(|(at, message)| (Ordinal(at), message))
            .collect(),
        message_limit: 3,
    }))
}

/// The end of a Confirm or Cancel of a branch.
pub fn branch_settled(work: &BranchWork, settled: Settled) -> Command {
    let note = (settled != Settled::Done).then(|| note("unreachable"));
    Command::BranchSettled(Box::new(BranchSettled {
        key: work.key,
        token: work.token,
        settled,
        park_after: None,
        note,
    }))
}

/// The branch took the decision.
pub fn branch_done(work: &BranchWork) -> Command {
    branch_settled(work, Settled::Done)
}

/// The end of a Try that the coordinator ran.
pub fn tried(work: &BranchWork, settled: TrySettled) -> Command {
    let note = (settled != TrySettled::Ok).then(|| note("refused"));
    Command::BranchTried(Box::new(BranchTried {
        key: work.key,
        token: work.token,
        settled,
        note,
    }))
}

fn hashed(mut new: NewTransaction) -> Box<NewTransaction> {
    let NewTransaction {
        namespace,
        initiator,
        resource_id,
        business_key,
        options,
        messages,
        branches,
        ..
    } = &new;
    new.content = ContentHash::of(
        namespace,
        initiator,
        resource_id,
        business_key,
        options,
        messages,
        branches,
    );
    Box::new(new)
}

/// Prepare; the content hash is filled in.
pub fn prepare(new: NewTransaction) -> Command {
    Command::Prepare(hashed(new))
}

/// Submit; the content hash is filled in.
pub fn submit(new: NewTransaction) -> Command {
    Command::Submit(hashed(new))
}

/// The initiator's decision over transaction `n`.
pub fn decide(n: u8, decision: Decision) -> Command {
    decide_as(n, decision, Some(INITIATOR))
}

/// Anybody's decision over transaction `n`.
pub fn decide_as(n: u8, decision: Decision, initiator: Option<&str>) -> Command {
    let initiator = initiator.map(name);
    Command::Decide(Decide {
        id: id(n),
        decision,
        initiator,
        namespace: Name::default_namespace(),
    })
}

/// The initiator confirms transaction `n`.
pub fn confirm(n: u8) -> Command {
    decide(n, Decision::Confirm)
}

/// The initiator cancels transaction `n`.
pub fn cancel(n: u8) -> Command {
    decide(n, Decision::Cancel)
}

/// A failed attempt.
pub fn note(code: &str) -> AttemptNote {
    AttemptNote {
        node: "node-a".into(),
        target: "http://127.0.0.1:1".into(),
        code: code.into(),
        error: format!("it said: {code}"),
        duration: Duration::from_millis(7),
    }
}

/// The end of a delivery.
pub fn settled(work: &DeliveryWork, settled: Settled) -> Command {
    let note = (settled != Settled::Done).then(|| note("unreachable"));
    Command::DeliverySettled(Box::new(DeliverySettled {
        key: work.key.clone(),
        token: work.token,
        settled,
        note,
    }))
}

/// The delivery was acknowledged.
pub fn done(work: &DeliveryWork) -> Command {
    settled(work, Settled::Done)
}

/// The delivery failed for now.
pub fn later(work: &DeliveryWork, after: Duration) -> Command {
    settled(work, Settled::RetryAfter(after))
}

/// The delivery failed for good.
pub fn failed(work: &DeliveryWork) -> Command {
    settled(work, Settled::Park(ParkReason::new("no such account")))
}

/// Gives a delivery back.
pub fn release(work: &DeliveryWork) -> Command {
    Command::ReleaseDelivery {
        key: work.key.clone(),
        token: work.token,
    }
}

/// The end of a check-back.
pub fn answered(work: &CheckBackWork, answer: CheckBackAnswer) -> Command {
    Command::CheckedBack {
        id: work.id,
        token: work.token,
        answer,
        jitter: Jitter(0),
        note: note("in-progress"),
    }
}

/// A person acts on transaction `n`.
pub fn operator(n: u8, action: OperatorAction) -> Command {
    Command::Operator {
        id: id(n),
        action,
        actor: "ada".into(),
        detail: "ticket 7".into(),
    }
}

/// A person tries transaction `n` again.
pub fn retry(n: u8) -> Command {
    operator(n, OperatorAction::Retry)
}

/// A person sets transaction `n` aside.
pub fn park(n: u8) -> Command {
    operator(n, OperatorAction::Park(ParkReason::new("look at it first")))
}
