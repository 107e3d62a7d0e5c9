//! One sentence for 3 a.m.: who owes what, since when, the last error, the next attempt, what to do.

use std::time::Duration;

use earnest_protocol::{
    BranchCall, BranchState, Decider, DeliveryState, InitiatorOutcome, ParkReason, Phase, Timestamp,
};
use earnest_store::{AttemptRow, DeliveryRow, Detail, TransactionRow};

/// The sentence about `detail` as of `now`.
pub fn summary(detail: &Detail, now: Timestamp) -> String {
    let row = &detail.transaction;
    let last = detail.attempts.first();
    match row.state.phase {
        Phase::Prepared => undecided(row, last, now),
        Phase::Confirmed | Phase::Cancelled => finished(detail, now),
        Phase::Confirming | Phase::Cancelling => owing(detail, last, now),
    }
}

fn undecided(row: &TransactionRow, last: Option<&AttemptRow>, now: Timestamp) -> String {
    let initiator = row
        .initiator
        .as_ref()
        .map_or("nobody", |name| name.as_str());
    let age = age(now.since(row.created_at));
    if let Some(reason) = &row.state.parked {
        return format!(
            "Parked and undecided for {age}: {reason}. Ask {initiator}'s team, then `earnest tx retry {id}`, or \
             `earnest tx confirm|cancel {id}`.",
            id = row.id
        );
    }
    if row.state.options.outcome == InitiatorOutcome::Executed {
        let deadline = row
            .check_due
            .map_or_else(|| "is under way".into(), |due| when(due, now));
        return format!(
            "{} of {} Trys have not been answered OK for {age}{}; they are tried again, and the deadline, which cancels, \
             {deadline}. Nothing to do.",
            row.state.untried,
            row.state.branches,
            error(last)
        );
    }
    if row.state.options.outcome == InitiatorOutcome::None {
        let deadline = row
            .check_due
            .map_or_else(|| "is under way".into(), |due| when(due, now));
        return format!(
            "{initiator} has owed a decision for {age}; nobody can be asked, and the deadline, which cancels, {deadline}."
        );
    }
    let next = row.check_due.map_or_else(
        || "a check-back is under way".into(),
        |due| {
            format!(
                "check-back number {} {}",
                row.check_attempts + 1,
                when(due, now)
            )
        },
    );
    format!(
        "{initiator} has owed a decision for {age}{}; {next}. Nothing to do.",
        error(last)
    )
}

fn finished(detail: &Detail, now: Timestamp) -> String {
    let row = &detail.transaction;
    let (at, by) = row.decided.as_ref().map_or_else(
        || ("?".into(), "?".into()),
        |(at, by)| (age(now.since(*at)), who(by)),
    );
    let what = match row.state.phase {
        _ if row.is_tombstone() => "Cancelled before it was prepared".to_owned(),
        Phase::Cancelled => format!("Cancelled; no message left{}", called(detail, "cancel")),
        _ => {
            let delivered = match (detail.deliveries.len(), detail.branches.len()) {
                (0, 1..) => "Confirmed".to_owned(),
                (0, 0) => "Confirmed; nothing was to be delivered".to_owned(),
                (1, _) => "Confirmed; its delivery is done".to_owned(),
                (count, _) => format!("Confirmed; all {count} deliveries are done"),
            };
            delivered + &called(detail, "confirm")
        }
    };
    format!("{what} (decided {at} ago by {by}). Nothing to do.")
}

fn who(by: &Decider) -> String {
    match by {
        Decider::Refusal { service, reason } => format!("{service}'s refusal: {reason}"),
        other => other.to_string(),
    }
}

/// What became of the branches, where there are any.
fn called(detail: &Detail, call: &str) -> String {
    match detail.branches.len() {
        0 => String::new(),
        1 => format!("; its branch has taken the {call}"),
        count => format!("; all {count} branches have taken the {call}"),
    }
}

/// One thing that is owed, whichever it is.
struct Owed<'a> {
    what: String,
    parked: Option<&'a ParkReason>,
    attempts: u32,
    held: bool,
    due: Option<Timestamp>,
}

/// Those that are parked, or those that are not.
fn owed(detail: &Detail, parked: bool) -> Vec<Owed<'_>> {
    let call = detail
        .transaction
        .state
        .phase
        .decision()
        .map_or("try", |decision| BranchCall::from(decision).as_str());
    let branches = detail.branches.iter().filter(|(row, _)| {
        let state = if parked {
            BranchState::Parked
        } else {
            BranchState::Pending
        };
        row.state == state
    });
    let branches = branches.map(|(row, content)| Owed {
        what: format!(
            "{call} of branch {} ({}) at {}",
            row.key.ordinal, content.action, row.service
        ),
        parked: row.parked.as_ref(),
        attempts: row.attempts,
        held: row.holder.is_some(),
        due: row.due,
    });
    let state = if parked {
        DeliveryState::Parked
    } else {
        DeliveryState::Pending
    };
    let deliveries = of(detail, state).into_iter().map(|row| Owed {
        what: to(row),
        parked: row.parked.as_ref(),
        attempts: row.attempts,
        held: row.holder.is_some(),
        due: row.due,
    });
    branches.chain(deliveries).collect()
}

fn owing(detail: &Detail, last: Option<&AttemptRow>, now: Timestamp) -> String {
    let row = &detail.transaction;
    let since = row
        .decided
        .as_ref()
        .map_or_else(String::new, |(at, _)| age(now.since(*at)));
    let parked = owed(detail, true);
    let pending = owed(detail, false);
    let decided = match row.state.phase {
        Phase::Cancelling => "Cancelled",
        _ => "Confirmed",
    };
    if let Some(first) = parked.first() {
        let reason = first
            .parked
            .map_or("no reason was given", |reason| reason.as_str());
        let more = if parked.len() > 1 {
            format!(" (and {} more)", parked.len() - 1)
        } else {
            String::new()
        };
        return format!(
            "{decided} {since} ago, but parked: {} — {reason}{more}. Mend the cause, then `earnest tx retry {}`.",
            first.what, row.id
        );
    }
    let Some(first) = pending.first() else {
        return "Its effects are being recorded.".into();
    };
    let next = match (first.held, first.due) {
        (true, _) => "an attempt is under way".into(),
        (false, Some(due)) => format!("attempt number {} {}", first.attempts + 1, when(due, now)),
        (false, None) => "it waits for an earlier message of its key".into(),
    };
    let more = if pending.len() > 1 {
        format!(" (and {} more)", pending.len() - 1)
    } else {
        String::new()
    };
    format!(
        "{} has been owed for {since}{more}{}; {next}. Nothing to do, or `earnest tx retry {}` to try now.",
        first.what,
        error(last),
        row.id
    )
}

fn of(detail: &Detail, state: DeliveryState) -> Vec<&DeliveryRow> {
    detail
        .deliveries
        .iter()
        .filter(|d| d.state == state)
        .collect()
}

fn to(delivery: &DeliveryRow) -> String {
    let ordinal = delivery.key.ordinal;
    match &delivery.key.subscription {
        Some(name) => format!("message {ordinal} to subscription {name}"),
        None => format!("message {ordinal} to nobody"),
    }
}

fn error(last: Option<&AttemptRow>) -> String {
    last.map_or_else(String::new, |a| {
        format!(", last error: {} from {} ({})", a.code, a.target, a.error)
    })
}

fn when(due: Timestamp, now: Timestamp) -> String {
    if due <= now {
        "is due now".into()
    } else {
        format!("is due in {}", age(due.since(now)))
    }
}

/// A length of time for people: the two largest units.
pub(crate) fn age(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0 => format!("{} ms", length.as_millis()),
        1..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}
