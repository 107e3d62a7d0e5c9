//! Transactions, as they are kept.

use std::borrow::Cow;

use earnest_protocol::{
    CONTENT_HASH_VERSION, ContentHash, Decider, InitiatorOutcome, OnBudgetSpent, Options,
    ParkReason, Phase, State, Timestamp,
};

use super::column::{Cells, Columns, Read};
use crate::TransactionRow;

/// The columns that [`read`] expects, in order.
macro_rules! columns {
    () => {
        "id, format, namespace, initiator, resource_id, business_key, content, message_count, traceparent, \
         created_at, check_after, outcome, on_budget_spent, check_back_budget, allow_no_subscription, phase, \
         parked, in_progress_answers, unanswered, open_effects, parked_effects, decided_at, decided_by, \
         finished_at, check_due, check_attempts, holder, token, revision, branches, untried"
    };
}
pub(crate) use columns;

pub(crate) fn read<C: Cells>(mut c: Columns<'_, C>) -> Read<TransactionRow> {
    let id = c.id()?;
    c.format()?;
    // Fields of a struct expression are evaluated as they are written: in the order of the columns.
    let mut row = TransactionRow {
        id,
        namespace: c.parse()?,
        initiator: c.parse_option()?,
        resource_id: c.text()?,
        business_key: c.text()?,
        content: c.bytes_option()?.map(read_content).transpose()?,
        message_count: c.int()?,
        traceparent: c.text()?,
        created_at: c.time()?,
        state: state(&mut c)?,
        decided: decided(&mut c)?,
        finished_at: c.time_option()?,
        check_due: c.time_option()?,
        check_attempts: c.int()?,
        holder: c.holder()?,
        token: c.token()?,
        revision: c.int()?,
    };
    row.state.branches = c.int()?;
    row.state.untried = c.int()?;
    row.state.validate()?;
    if row.state.phase.decision().is_some() != row.decided.is_some() {
        return Err("its phase and its decision don't fit together".into());
    }
    if row.state.phase.is_final() != row.finished_at.is_some() {
        return Err("its phase and the time of its end don't fit together".into());
    }
    Ok(row)
}

fn read_content(bytes: &[u8]) -> Read<ContentHash> {
    match bytes.split_first() {
        Some((&CONTENT_HASH_VERSION, hash)) => hash
            .try_into()
            .map(ContentHash)
            .map_err(|_| "the content hash is cut off".to_owned()),
        _ => Err("the content hash is of an unknown version".into()),
    }
}

fn state<C: Cells>(c: &mut Columns<'_, C>) -> Read<State> {
    let options = Options {
        check_after: c.duration()?,
        outcome: c.word(|n| match n {
            1 => Some(InitiatorOutcome::Local),
            2 => Some(InitiatorOutcome::Asked),
            3 => Some(InitiatorOutcome::None),
            4 => Some(InitiatorOutcome::Executed),
            _ => None,
        })?,
        on_budget_spent: c.word(|n| match n {
            1 => Some(OnBudgetSpent::Park),
            2 => Some(OnBudgetSpent::Cancel),
            _ => None,
        })?,
        check_back_budget: c.int()?,
        allow_no_subscription: c.truth()?,
    };
    Ok(State {
        phase: c.word(phase)?,
        options,
        parked: c.text_option()?.map(ParkReason::new),
        in_progress_answers: c.int()?,
        unanswered: c.int()?,
        // The last columns, since they came later.
        branches: 0,
        untried: 0,
        open_effects: c.int()?,
        parked_effects: c.int()?,
    })
}

const OPERATOR: &str = "operator:";

/// `refusal:<service>:<reason>`.
pub(crate) fn refusal(by: &str) -> Option<Decider> {
    let (service, reason) = by.strip_prefix("refusal:")?.split_once(':')?;
    Some(Decider::Refusal {
        service: service.parse().ok()?,
        reason: reason.to_owned(),
    })
}

fn decided<C: Cells>(c: &mut Columns<'_, C>) -> Read<Option<(Timestamp, Decider)>> {
    let (at, by) = (c.time_option()?, c.text_option()?);
    let (Some(at), Some(by)) = (at, by) else {
        return Ok(None);
    };
    let by = match by.as_str() {
        "initiator" => Decider::Initiator,
        "check-back" => Decider::CheckBack,
        "deadline" => Decider::Deadline,
        "budget" => Decider::Budget,
        "tries" => Decider::Tries,
        other => match (other.strip_prefix(OPERATOR), refusal(other)) {
            (Some(name), _) => Decider::Operator(name.to_owned()),
            (None, Some(refusal)) => refusal,
            (None, None) => {
                return Err(format!(
                    "column decided_by: `{other}` stands for nobody that is known"
                ));
            }
        },
    };
    Ok(Some((at, by)))
}

/// The version of the hash, and the hash.
pub(crate) fn content(row: &TransactionRow) -> Option<[u8; 33]> {
    row.content.map(|ContentHash(hash)| {
        let mut content = [CONTENT_HASH_VERSION; 33];
        content[1..].copy_from_slice(&hash);
        content
    })
}

pub(crate) fn outcome(row: &TransactionRow) -> i64 {
    match row.state.options.outcome {
        InitiatorOutcome::Local => 1,
        InitiatorOutcome::Asked => 2,
        InitiatorOutcome::None => 3,
        InitiatorOutcome::Executed => 4,
    }
}

pub(crate) fn on_budget_spent(row: &TransactionRow) -> i64 {
    match row.state.options.on_budget_spent {
        OnBudgetSpent::Park => 1,
        OnBudgetSpent::Cancel => 2,
    }
}

pub(crate) fn phase_number(phase: Phase) -> i64 {
    match phase {
        Phase::Prepared => 1,
        Phase::Confirming => 2,
        Phase::Confirmed => 3,
        Phase::Cancelling => 4,
        Phase::Cancelled => 5,
    }
}

pub(crate) fn phase(number: i64) -> Option<Phase> {
    Phase::ALL
        .into_iter()
        .find(|phase| phase_number(*phase) == number)
}

pub(crate) fn decided_at(row: &TransactionRow) -> Option<i64> {
    row.decided.as_ref().map(|(at, _)| at.as_micros())
}

pub(crate) fn decided_by(row: &TransactionRow) -> Option<Cow<'static, str>> {
    row.decided.as_ref().map(|(_, by)| match by {
        Decider::Initiator => "initiator".into(),
        Decider::CheckBack => "check-back".into(),
        Decider::Deadline => "deadline".into(),
        Decider::Budget => "budget".into(),
        Decider::Tries => "tries".into(),
        by @ Decider::Refusal { .. } => by.to_string().into(),
        Decider::Operator(name) => format!("{OPERATOR}{name}").into(),
    })
}
