//! One sentence for 3 a.m.: who owes what, since when, the last error, the next attempt, what to do.

use std::time::Duration;

use earnest_protocol::{DeliveryState, InitiatorOutcome, Phase, Timestamp};
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
        |(at, by)| (age(now.since(*at)), by.to_string()),
    );
    let what = match row.state.phase {
        _ if row.is_tombstone() => "Cancelled before it was prepared".to_owned(),
        Phase::Cancelled => "Cancelled; no message left".to_owned(),
        _ => match detail.deliveries.len() {
            0 => "Confirmed; nothing was to be delivered".to_owned(),
            1 => "Confirmed; its delivery is done".to_owned(),
            count => format!("Confirmed; all {count} deliveries are done"),
        },
    };
    format!("{what} (decided {at} ago by {by}). Nothing to do.")
}

fn owing(detail: &Detail, last: Option<&AttemptRow>, now: Timestamp) -> String {
    let row = &detail.transaction;
    let since = row
        .decided
        .as_ref()
        .map_or_else(String::new, |(at, _)| age(now.since(*at)));
    let parked: Vec<_> = of(detail, DeliveryState::Parked);
    let pending: Vec<_> = of(detail, DeliveryState::Pending);
    if let Some(first) = parked.first() {
        let reason = first
            .parked
            .as_ref()
            .map_or("no reason was given", |reason| reason.as_str());
        let more = if parked.len() > 1 {
            format!(" (and {} more)", parked.len() - 1)
        } else {
            String::new()
        };
        return format!(
            "Confirmed {since} ago, but parked: {} — {reason}{more}. Mend the cause, then `earnest tx retry {}`.",
            to(first),
            row.id
        );
    }
    let Some(first) = pending.first() else {
        return "Its effects are being recorded.".into();
    };
    let next = match (first.holder, first.due) {
        (Some(_), _) => "an attempt is under way".into(),
        (None, Some(due)) => format!("attempt number {} {}", first.attempts + 1, when(due, now)),
        (None, None) => "it waits for an earlier message of its key".into(),
    };
    let more = if pending.len() > 1 {
        format!(" (and {} more)", pending.len() - 1)
    } else {
        String::new()
    };
    format!(
        "{} has been owed for {since}{more}{}; {next}. Nothing to do, or `earnest tx retry {}` to try now.",
        to(first),
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
