//! `earnest tx retry|park|confirm|cancel`.

use clap::Args;
use earnest_proto::v1;
use serde_json::json;

use super::super::{actor, client::Client, error::CliError, json, output::Output, view};

/// Who acts.
#[derive(Debug, Args)]
pub(super) struct ActorArgs {
    /// Who acts, for the audit [default: the user of this terminal]
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
}

impl ActorArgs {
    fn name(self) -> String {
        self.actor.unwrap_or_else(actor::of_terminal)
    }
}

/// Make everything that a transaction waits for due now, and unpark it
#[derive(Debug, Args)]
#[command(
    long_about = "Makes everything that a transaction waits for due now: its check-back while it is undecided, its \
                  deliveries once it is confirmed. What was parked is tried again. Nothing is decided by it: where nobody \
                  can be asked, a deadline that runs goes on, and a parked transaction gets its whole time anew.",
    after_help = "Example:\n  earnest tx retry 01890a5d-ac96-774b-bcce-b302099a8057"
)]
pub(super) struct RetryArgs {
    /// The transaction's id
    id: String,
    #[command(flatten)]
    actor: ActorArgs,
}

/// Set a transaction, or what it still owes, aside
#[derive(Debug, Args)]
#[command(
    long_about = "Sets a transaction, or the deliveries that it still owes, aside until a person retries it. It stays \
                  visible and is never dropped; a parked undecided transaction still accepts its initiator's Confirm and \
                  Cancel.",
    after_help = "Example:\n  earnest tx park ID --reason 'the ledger is being migrated'"
)]
pub(super) struct ParkArgs {
    /// The transaction's id
    id: String,
    /// Why, for whoever finds it parked
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    reason: String,
    #[command(flatten)]
    actor: ActorArgs,
}

/// Confirm a parked, undecided transaction
#[derive(Debug, Args)]
#[command(
    long_about = "Confirms a parked, undecided transaction: its messages leave. The initiator is asked first, and must \
                  answer that its local transaction is committed. A transaction that is not parked is left to its \
                  initiator and its check-backs.\n\n\
                  With --force the answer doesn't matter. If the local transaction did not commit, messages then leave \
                  for something that never happened: what that breaks is yours to mend.",
    after_help = "\
Examples:
  earnest tx confirm ID --reason 'cashier says committed, ticket 12'
  earnest tx confirm ID --force --reason 'cashier is gone for good; its backup has the payment'"
)]
pub(super) struct ConfirmArgs {
    #[command(flatten)]
    pub(super) decide: DecideArgs,
}

/// Cancel a parked, undecided transaction
#[derive(Debug, Args)]
#[command(
    long_about = "Cancels a parked, undecided transaction: its messages never leave. The initiator is asked first, and must \
                  answer that its local transaction is rolled back, which also makes a late commit impossible. A transaction \
                  that is not parked is left to its initiator and its check-backs.\n\n\
                  With --force the answer doesn't matter. If the local transaction did commit, or commits later, its \
                  messages are lost: what that breaks is yours to mend.",
    after_help = "\
Examples:
  earnest tx cancel ID --reason 'cashier says rolled back, ticket 12'
  earnest tx cancel ID --force --reason 'cashier and its database are gone for good'"
)]
pub(super) struct CancelArgs {
    #[command(flatten)]
    pub(super) decide: DecideArgs,
}

#[derive(Debug, Args)]
pub(super) struct DecideArgs {
    /// The transaction's id
    id: String,
    /// Decide although the initiator can't be asked, or answers otherwise; needs a reason
    #[arg(long, requires = "reason")]
    force: bool,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    actor: ActorArgs,
}

pub(super) async fn retry(
    args: RetryArgs,
    client: &mut Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let request = v1::RetryTransactionRequest {
        id: args.id,
        actor: args.actor.name(),
    };
    let answered = client.admin.retry_transaction(request).await;
    let answer = client.answer(answered)?;
    let of = answer.transaction.unwrap_or_default();
    if output.is_json() {
        return output
            .json(&json!({ "transaction": json::transaction(&of), "made_due": answer.made_due }));
    }
    let (phase, _) = view::phase(&of);
    match answer.made_due {
        0 => output.line(format_args!(
            "{} is {phase} and waits for nothing; nothing was changed",
            of.id
        )),
        count => output.line(format_args!(
            "{count} made due; {} is {phase}. `earnest tx show {}` says how it goes",
            of.id, of.id
        )),
    }
}

pub(super) async fn park(
    args: ParkArgs,
    client: &mut Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let request = v1::ParkTransactionRequest {
        id: args.id,
        reason: args.reason,
        actor: args.actor.name(),
    };
    let answered = client.admin.park_transaction(request).await;
    let of = client.answer(answered)?.transaction.unwrap_or_default();
    if output.is_json() {
        return output.json(&json!({ "transaction": json::transaction(&of) }));
    }
    let (phase, _) = view::phase(&of);
    output.line(format_args!(
        "{} is parked ({phase}); `earnest tx retry {}` takes it up again",
        of.id, of.id
    ))
}

pub(super) async fn decide(
    args: DecideArgs,
    decision: v1::Decision,
    client: &mut Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let request = v1::DecideTransactionRequest {
        id: args.id,
        decision: decision.into(),
        force: args.force,
        actor: args.actor.name(),
        reason: args.reason.unwrap_or_default(),
    };
    let answered = client.admin.decide_transaction(request).await;
    let of = client.answer(answered)?.transaction.unwrap_or_default();
    if output.is_json() {
        return output.json(&json!({ "transaction": json::transaction(&of) }));
    }
    let (phase, _) = view::phase(&of);
    let (id, by) = (&of.id, &of.decided_by);
    let owed = match of.open_effects {
        0 => String::new(),
        1 => "; 1 delivery is owed now".into(),
        count => format!("; {count} deliveries are owed now"),
    };
    output.line(format_args!("{id} is {phase}, decided by {by}{owed}"))
}
