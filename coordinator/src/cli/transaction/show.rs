//! `earnest tx show`.

use clap::Args;
use earnest_proto::v1;
use earnest_protocol::Timestamp;

use super::super::{
    client::Client,
    error::CliError,
    json,
    output::{Output, Tone},
    table::{Cell, Table, one_line},
    view,
};
use crate::clock::Environment;

/// Show one transaction: first who owes what and what to do, then everything known of it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  earnest tx show 01890a5d-ac96-774b-bcce-b302099a8057
  earnest tx show ID --json | jq .summary")]
pub(super) struct ShowArgs {
    /// The transaction's id
    id: String,
}

pub(super) async fn run(
    args: ShowArgs,
    client: &mut Client,
    environment: &Environment,
    output: &mut Output,
) -> Result<(), CliError> {
    let answered = client
        .coordinator
        .get_transaction(v1::GetTransactionRequest { id: args.id })
        .await;
    let detail = client.answer(answered)?.detail.unwrap_or_default();
    if output.is_json() {
        return output.json(&json::detail(&detail));
    }
    let now = environment.now();
    output.line(output.paint(Tone::Strong, one_line(&detail.summary)))?;
    if let Some(of) = &detail.transaction {
        transaction(of, now, output)?;
    }
    messages(&detail, output)?;
    deliveries(&detail, now, output)?;
    branches(&detail, now, output)?;
    attempts(&detail, now, output)
}

fn transaction(of: &v1::Transaction, now: Timestamp, output: &mut Output) -> Result<(), CliError> {
    let (phase, tone) = view::phase(of);
    heading("Transaction", output)?;
    let options = of.options.unwrap_or_default();
    let treatment = match view::outcome(&options) {
        "EXECUTED" => format!(
            "Trys run here; cancelled {} after Execute",
            view::millis(options.check_after_ms)
        ),
        "NONE" => format!(
            "nobody can be asked; cancelled {} after Prepare",
            view::millis(options.check_after_ms)
        ),
        outcome => format!(
            "outcome {}; check-back {} after Prepare; {} × in progress, then {}",
            outcome.to_lowercase(),
            view::millis(options.check_after_ms),
            options.check_back_budget,
            view::on_budget_spent(&options).to_lowercase()
        ),
    };
    let mut check_back = String::new();
    if of.next_check_back_us != 0 {
        check_back = format!(
            "{}; {} answered in progress, {} unanswered in a row",
            view::when(of.next_check_back_us, now),
            of.in_progress_answers,
            of.unanswered_check_backs
        );
    }
    let at = |micros: i64| {
        if micros == 0 {
            String::new()
        } else {
            view::when(micros, now)
        }
    };
    let decided = match of.decided_at_us {
        0 => String::new(),
        micros => {
            let by = match &of.refusal {
                Some(v1::Refusal { service, reason }) => format!("{service}'s refusal: {reason}"),
                None => of.decided_by.clone(),
            };
            format!("{} by {by}", view::when(micros, now))
        }
    };
    let resource = if of.resource_id.is_empty() {
        String::new()
    } else {
        format!(" (resource {})", of.resource_id)
    };
    let lines = [
        ("id", of.id.clone()),
        ("phase", output.paint(tone, phase)),
        (
            "parked",
            output.paint(Tone::Bad, one_line(&of.parked_reason)),
        ),
        ("initiator", format!("{}{resource}", of.initiator)),
        ("namespace", of.namespace.clone()),
        ("business key", one_line(&of.business_key)),
        ("created", at(of.created_at_us)),
        ("decided", one_line(&decided)),
        ("finished", at(of.finished_at_us)),
        ("next check-back", check_back),
        (
            "options",
            if of.tombstone {
                String::new()
            } else {
                treatment
            },
        ),
        ("trace", of.traceparent.clone()),
    ];
    for (name, value) in lines {
        let empty = value.is_empty() || (name == "parked" && of.parked_reason.is_empty());
        if !empty {
            output.line(format_args!("  {name:<16}{value}"))?;
        }
    }
    Ok(())
}

fn messages(of: &v1::TransactionDetail, output: &mut Output) -> Result<(), CliError> {
    if of.messages.is_empty() {
        return Ok(());
    }
    heading("Messages", output)?;
    let mut table = Table::new(&["#", "TOPIC", "KEY", "BYTES", "TYPE"]);
    for message in &of.messages {
        table.row([
            message.ordinal.to_string().into(),
            message.topic.as_str().into(),
            message.key.as_str().into(),
            message.payload_bytes.to_string().into(),
            message.content_type.as_str().into(),
        ]);
    }
    table.write("  ", output)
}

fn deliveries(
    of: &v1::TransactionDetail,
    now: Timestamp,
    output: &mut Output,
) -> Result<(), CliError> {
    if of.deliveries.is_empty() {
        return Ok(());
    }
    heading("Deliveries", output)?;
    let mut table = Table::new(&[
        "#",
        "SUBSCRIPTION",
        "STATE",
        "ATTEMPTS",
        "NEXT OR DONE",
        "PARKED",
    ]);
    for delivery in &of.deliveries {
        let (state, tone) = view::effect(delivery.state());
        let next = match (delivery.done_at_us, delivery.due_at_us) {
            (0, 0) => String::new(),
            (0, due) => view::ahead(due, now),
            (done, _) => format!("{} ago", view::ago(done, now)),
        };
        table.row([
            delivery.ordinal.to_string().into(),
            delivery.subscription.as_str().into(),
            Cell::toned(state, tone),
            delivery.attempts.to_string().into(),
            next.into(),
            delivery.parked_reason.as_str().into(),
        ]);
    }
    table.write("  ", output)
}

fn branches(
    of: &v1::TransactionDetail,
    now: Timestamp,
    output: &mut Output,
) -> Result<(), CliError> {
    if of.branches.is_empty() {
        return Ok(());
    }
    heading("Branches", output)?;
    let mut table = Table::new(&[
        "#",
        "SERVICE",
        "ACTION",
        "STATE",
        "ATTEMPTS",
        "NEXT OR DONE",
        "PARKED",
    ]);
    for branch in &of.branches {
        let (state, tone) = view::branch(branch.state());
        let next = match (branch.done_at_us, branch.due_at_us) {
            (0, 0) => String::new(),
            (0, due) => view::ahead(due, now),
            (done, _) => format!("{} ago", view::ago(done, now)),
        };
        table.row([
            branch.ordinal.to_string().into(),
            branch.service.as_str().into(),
            branch.action.as_str().into(),
            Cell::toned(state, tone),
            branch.attempts.to_string().into(),
            next.into(),
            branch.parked_reason.as_str().into(),
        ]);
    }
    table.write("  ", output)
}

fn attempts(
    of: &v1::TransactionDetail,
    now: Timestamp,
    output: &mut Output,
) -> Result<(), CliError> {
    if of.attempts.is_empty() {
        return Ok(());
    }
    heading("Attempts that did not succeed, the newest first", output)?;
    let mut table = Table::new(&[
        "AGO", "WHAT", "NO.", "CALLED", "CODE", "TOOK", "NODE", "ERROR",
    ]);
    for attempt in &of.attempts {
        let what = match attempt.kind.as_str() {
            "delivery" => format!("message {} to {}", attempt.ordinal, attempt.subscription),
            call @ ("try" | "confirm" | "cancel") => {
                format!("{call} of branch {}", attempt.ordinal)
            }
            kind => kind.to_owned(),
        };
        table.row([
            view::ago(attempt.at_us, now).into(),
            what.into(),
            attempt.number.to_string().into(),
            attempt.target.as_str().into(),
            Cell::toned(attempt.code.as_str(), Tone::Bad),
            view::millis(attempt.duration_us / 1_000).into(),
            attempt.node.as_str().into(),
            attempt.error.as_str().into(),
        ]);
    }
    table.write("  ", output)
}

fn heading(text: &str, output: &mut Output) -> Result<(), CliError> {
    output.line(format_args!("\n{}", output.paint(Tone::Strong, text)))
}
