//! `earnest tx list`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use earnest_proto::v1;
use serde_json::Value;

use super::super::{
    client::Client,
    error::CliError,
    json,
    output::{Output, Tone},
    table::{Cell, Table},
    view,
};
use crate::{clock::Environment, config::parse_duration};

/// The largest page.
const PAGE: u32 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PhaseArg {
    /// Recorded and undecided
    Prepared,
    /// Decided confirm, something is still owed
    Confirming,
    /// Decided confirm, done
    Confirmed,
    /// Decided cancel, something is still owed
    Cancelling,
    /// Decided cancel, done
    Cancelled,
}

impl PhaseArg {
    fn on_the_wire(self) -> v1::Phase {
        match self {
            Self::Prepared => v1::Phase::Prepared,
            Self::Confirming => v1::Phase::Confirming,
            Self::Confirmed => v1::Phase::Confirmed,
            Self::Cancelling => v1::Phase::Cancelling,
            Self::Cancelled => v1::Phase::Cancelled,
        }
    }
}

/// List transactions, the newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  earnest tx list                                   the newest 50
  earnest tx list --parked                          what waits for a person
  earnest tx list --phase prepared --phase confirming --older-than 5m
  earnest tx list --initiator cashier --topic payments --limit 1000 --json")]
pub(super) struct ListArgs {
    /// Only in this phase; may be repeated
    #[arg(long, value_name = "PHASE", value_delimiter = ',')]
    phase: Vec<PhaseArg>,
    /// Only those that this service opened
    #[arg(
        long,
        value_name = "SERVICE",
        default_value = "",
        hide_default_value = true
    )]
    initiator: String,
    /// Only those with a message of this topic
    #[arg(
        long,
        value_name = "TOPIC",
        default_value = "",
        hide_default_value = true
    )]
    topic: String,
    /// Only those with this business key: the caller's own reference
    #[arg(
        long,
        value_name = "KEY",
        default_value = "",
        hide_default_value = true
    )]
    key: String,
    /// Only those created at least this long ago, such as 90s, 5m, 2h or 7d
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    older_than: Option<Duration>,
    /// Only those that wait for a person, or owe something that does
    #[arg(long)]
    parked: bool,
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

pub(super) async fn run(
    args: ListArgs,
    namespace: String,
    client: &mut Client,
    environment: &Environment,
    output: &mut Output,
) -> Result<(), CliError> {
    let (found, next) = fetch(&args, namespace, client).await?;
    if output.is_json() {
        let all: Vec<Value> = found.iter().map(json::transaction).collect();
        return output.json(&serde_json::json!({ "transactions": all, "next_page_token": next }));
    }
    if found.is_empty() {
        return output.line(nothing(&args));
    }
    let now = environment.now();
    let mut table = Table::new(&[
        "ID",
        "PHASE",
        "INITIATOR",
        "KEY",
        "AGE",
        "OWES",
        "PARKED",
        "DECIDED BY",
    ]);
    for of in &found {
        let (phase, tone) = view::phase(of);
        let parked = match (of.parked_reason.as_str(), of.parked_effects) {
            ("", 0) => Cell::from(""),
            ("", count) => Cell::toned(format!("{count} deliveries"), Tone::Bad),
            (reason, _) => Cell::toned(cut(reason, 48), Tone::Bad),
        };
        table.row([
            of.id.as_str().into(),
            Cell::toned(phase, tone),
            of.initiator.as_str().into(),
            of.business_key.as_str().into(),
            view::ago(of.created_at_us, now).into(),
            if of.open_effects == 0 {
                "".into()
            } else {
                of.open_effects.to_string().into()
            },
            parked,
            of.decided_by.as_str().into(),
        ]);
    }
    table.write("", output)?;
    if next.is_some() {
        output.line(format_args!(
            "… and more: --limit {} shows them",
            args.limit.saturating_mul(10)
        ))?;
    }
    Ok(())
}

/// Up to `limit` transactions, page by page, and where the next page begins.
async fn fetch(
    args: &ListArgs,
    namespace: String,
    client: &mut Client,
) -> Result<(Vec<v1::Transaction>, Option<String>), CliError> {
    let mut request = v1::ListTransactionsRequest {
        namespace,
        phases: args
            .phase
            .iter()
            .map(|phase| phase.on_the_wire().into())
            .collect(),
        initiator: args.initiator.clone(),
        business_key: args.key.clone(),
        topic: args.topic.clone(),
        older_than_ms: args
            .older_than
            .map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        parked: args.parked,
        page_size: 0,
        page_token: String::new(),
    };
    let mut found = Vec::new();
    loop {
        let left = args
            .limit
            .saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
        request.page_size = left.min(PAGE);
        let answered = client.coordinator.list_transactions(request.clone()).await;
        let page = client.answer(answered)?;
        found.extend(page.transactions);
        request.page_token = page.next_page_token;
        let next = Some(request.page_token.clone()).filter(|token| !token.is_empty());
        if next.is_none() || found.len() >= args.limit as usize {
            return Ok((found, next));
        }
    }
}

/// What an empty list means.
fn nothing(args: &ListArgs) -> &'static str {
    let filtered = !args.phase.is_empty()
        || args.older_than.is_some()
        || !(args.initiator.is_empty() && args.topic.is_empty() && args.key.is_empty());
    match (args.parked, filtered) {
        (true, false) => "nothing is parked: nothing waits for a person",
        (_, true) => {
            "no transaction matches; finished ones are kept for the retention only (`earnest config`)"
        }
        (false, false) => {
            "no transactions yet; the first one comes with a service's Prepare or Submit (README: first message)"
        }
    }
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}
