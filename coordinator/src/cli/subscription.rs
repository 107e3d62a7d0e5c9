//! `earnest subscription`.

use clap::{Args, Subcommand};
use earnest_proto::v1::{self, destination::To};
use earnest_protocol::RetryPolicy;
use serde_json::{Value, json};

use super::{
    client::{Client, ServerArgs},
    error::{CliError, Refusal},
    json,
    output::{Output, Tone},
    table::{Cell, Table},
    view,
};
use crate::clock::Environment;

/// Say where the messages of a topic go
#[derive(Debug, Args)]
#[command(
    long_about = "A subscription sends the messages of a topic to a registered service or a URL. Which subscriptions a \
                  message goes to is settled when its transaction is decided.",
    after_help = "\
Examples:
  earnest subscription add ledger --topic payments --service ledger
  earnest subscription add audit --topic payments --webhook-url http://127.0.0.1:9000/hook
  earnest subscription list
  earnest subscription pause ledger     messages wait, visibly
  earnest subscription resume ledger"
)]
pub(super) struct SubscriptionArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: SubscriptionCommand,
}

#[derive(Debug, Subcommand)]
enum SubscriptionCommand {
    Add(Box<AddArgs>),
    /// List subscriptions, with what each still owes
    List,
    /// Show one subscription
    Show(NameArgs),
    /// Remove a subscription; what it still owes is parked, not lost
    Remove(NameArgs),
    /// Make no more attempts; messages wait meanwhile
    Pause(NameArgs),
    /// Make attempts again
    Resume(NameArgs),
}

#[derive(Debug, Args)]
struct NameArgs {
    /// The subscription's name
    name: String,
}

/// Add a subscription, or change one
#[derive(Debug, Args)]
#[command(
    long_about = "Adds a subscription. Adding it again with the same settings changes nothing; other settings need \
                  --replace, and those not given go back to the coordinator's defaults.",
    after_help = "\
Examples:
  earnest subscription add ledger --topic payments --service ledger
  earnest subscription add audit --topic payments --webhook-url http://127.0.0.1:9000/hook
  earnest subscription add ledger --topic payments --service ledger --ordered --replace"
)]
struct AddArgs {
    /// The subscription's name, unique in its namespace
    name: String,
    /// The topic whose messages it takes
    #[arg(long, value_name = "TOPIC")]
    topic: String,
    /// Send them to this registered service
    #[arg(
        long,
        value_name = "SERVICE",
        required_unless_present = "webhook_url",
        conflicts_with = "webhook_url"
    )]
    service: Option<String>,
    /// Send each as a POST to this URL
    #[arg(long, value_name = "URL")]
    webhook_url: Option<String>,
    /// Messages of one key: one at a time, in the order of their decisions
    #[arg(long)]
    ordered: bool,
    /// Begin paused: messages wait until `resume`
    #[arg(long)]
    paused: bool,
    /// Deliveries under way at once [default: the coordinator's]
    #[arg(long, value_name = "COUNT")]
    concurrency: Option<u32>,
    /// How long one attempt may take [default: the coordinator's]
    #[arg(long, value_name = "MILLISECONDS")]
    timeout_ms: Option<u64>,
    /// The wait after the first failed attempt; each further one doubles
    #[arg(long, value_name = "MILLISECONDS")]
    retry_initial_ms: Option<u64>,
    /// The longest wait between two attempts
    #[arg(long, value_name = "MILLISECONDS")]
    retry_cap_ms: Option<u64>,
    /// Replace the subscription of that name, if its settings are others
    #[arg(long)]
    replace: bool,
}

pub(super) async fn run(
    args: SubscriptionArgs,
    environment: &Environment,
    output: &mut Output,
) -> Result<(), CliError> {
    output.set_json(args.server.json);
    let mut client = Client::connect(&args.server).await?;
    let namespace = args.server.namespace;
    match args.command {
        SubscriptionCommand::Add(add) => put(*add, namespace, &mut client, output).await,
        SubscriptionCommand::List => list(namespace, &mut client, environment, output).await,
        SubscriptionCommand::Show(of) => {
            show(&of.name, namespace, &mut client, environment, output).await
        }
        SubscriptionCommand::Remove(of) => remove(of.name, namespace, &mut client, output).await,
        SubscriptionCommand::Pause(of) => {
            pause(of.name, true, namespace, &mut client, output).await
        }
        SubscriptionCommand::Resume(of) => {
            pause(of.name, false, namespace, &mut client, output).await
        }
    }
}

impl AddArgs {
    fn wanted(&self, namespace: String) -> v1::Subscription {
        let to = match (&self.service, &self.webhook_url) {
            (Some(name), _) => Some(To::Service(name.clone())),
            (None, url) => url.clone().map(To::WebhookUrl),
        };
        let defaults = RetryPolicy::default();
        let millis =
            |length: std::time::Duration| u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let own_retry = self.retry_initial_ms.is_some() || self.retry_cap_ms.is_some();
        v1::Subscription {
            name: self.name.clone(),
            namespace,
            topic: self.topic.clone(),
            destination: Some(v1::Destination { to }),
            ordered: self.ordered,
            paused: self.paused,
            concurrency: self.concurrency.unwrap_or(0),
            timeout_ms: self.timeout_ms.unwrap_or(0),
            retry: own_retry.then(|| v1::RetryPolicy {
                initial_ms: self.retry_initial_ms.unwrap_or(millis(defaults.initial)),
                multiplier_milli: defaults.multiplier_milli,
                cap_ms: self.retry_cap_ms.unwrap_or(millis(defaults.cap)),
            }),
            updated_at_us: 0,
        }
    }

    /// Whether `known` is what was asked for; what was not said doesn't count.
    fn is_met_by(&self, known: &v1::Subscription) -> bool {
        let wanted = self.wanted(known.namespace.clone());
        let same = |given: Option<u64>, known: u64| given.is_none_or(|given| given == known);
        let retry = known.retry.unwrap_or_default();
        wanted.topic == known.topic
            && wanted.destination == known.destination
            && wanted.ordered == known.ordered
            && (!wanted.paused || known.paused)
            && same(
                self.concurrency.map(u64::from),
                u64::from(known.concurrency),
            )
            && same(self.timeout_ms, known.timeout_ms)
            && same(self.retry_initial_ms, retry.initial_ms)
            && same(self.retry_cap_ms, retry.cap_ms)
    }
}

async fn put(
    args: AddArgs,
    namespace: String,
    client: &mut Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let known = find(&args.name, &namespace, client)
        .await?
        .and_then(|status| status.subscription);
    let (subscription, said) = match known {
        Some(known) if args.is_met_by(&known) => (known, "is there already; nothing was changed"),
        Some(known) if !args.replace => {
            return Err(CliError::Refused(Refusal {
                code: "EXISTS".into(),
                message: format!(
                    "subscription {} exists with other settings: topic {} to {}{}",
                    known.name,
                    known.topic,
                    view::destination(&known),
                    if known.ordered { ", ordered" } else { "" }
                ),
                hint: "look at it with `earnest subscription show`, and change it with --replace"
                    .into(),
                retryable: false,
            }));
        }
        before => {
            let request = v1::PutSubscriptionRequest {
                subscription: Some(args.wanted(namespace)),
            };
            let answered = client.admin.put_subscription(request).await;
            let kept = client.answer(answered)?.subscription.unwrap_or_default();
            (
                kept,
                if before.is_some() {
                    "is replaced"
                } else {
                    "is there now"
                },
            )
        }
    };
    if output.is_json() {
        return output.json(&json!({ "subscription": json::subscription(&subscription) }));
    }
    output.line(format_args!(
        "subscription {} {said}: messages of topic {} go to {}{}",
        subscription.name,
        subscription.topic,
        view::destination(&subscription),
        if subscription.paused { " (paused)" } else { "" }
    ))
}

async fn all(
    namespace: &str,
    client: &mut Client,
) -> Result<Vec<v1::SubscriptionStatus>, CliError> {
    let request = v1::ListSubscriptionsRequest {
        namespace: namespace.to_owned(),
    };
    let answered = client.admin.list_subscriptions(request).await;
    Ok(client.answer(answered)?.subscriptions)
}

async fn find(
    name: &str,
    namespace: &str,
    client: &mut Client,
) -> Result<Option<v1::SubscriptionStatus>, CliError> {
    let is_it = |status: &v1::SubscriptionStatus| {
        status
            .subscription
            .as_ref()
            .is_some_and(|of| of.name == name)
    };
    Ok(all(namespace, client).await?.into_iter().find(is_it))
}

async fn list(
    namespace: String,
    client: &mut Client,
    environment: &Environment,
    output: &mut Output,
) -> Result<(), CliError> {
    let found = all(&namespace, client).await?;
    if output.is_json() {
        let all: Vec<Value> = found.iter().map(json::subscription_status).collect();
        return output.json(&json!({ "subscriptions": all }));
    }
    if found.is_empty() {
        return output.line(format_args!(
            "no subscriptions in namespace {namespace}; add one: earnest subscription add NAME --topic TOPIC --service \
             SERVICE"
        ));
    }
    let now = environment.now();
    let mut table = Table::new(&[
        "NAME",
        "TOPIC",
        "DESTINATION",
        "STATE",
        "ORDERED",
        "PENDING",
        "OLDEST",
        "PARKED",
    ]);
    for status in &found {
        let of = status.subscription.clone().unwrap_or_default();
        table.row([
            of.name.as_str().into(),
            of.topic.as_str().into(),
            view::destination(&of).into(),
            state(&of),
            if of.ordered { "yes" } else { "no" }.into(),
            status.pending.to_string().into(),
            view::ago(status.oldest_pending_us, now).into(),
            parked(status.parked),
        ]);
    }
    table.write("", output)
}

async fn show(
    name: &str,
    namespace: String,
    client: &mut Client,
    environment: &Environment,
    output: &mut Output,
) -> Result<(), CliError> {
    let status = find(name, &namespace, client)
        .await?
        .ok_or_else(|| unknown(name, &namespace))?;
    if output.is_json() {
        return output.json(&json::subscription_status(&status));
    }
    let now = environment.now();
    let of = status.subscription.clone().unwrap_or_default();
    let retry = of.retry.unwrap_or_default();
    let oldest = match status.oldest_pending_us {
        0 => String::new(),
        micros => format!(", the oldest for {}", view::ago(micros, now)),
    };
    let lines = [
        ("name", of.name.clone()),
        ("namespace", of.namespace.clone()),
        ("topic", of.topic.clone()),
        ("destination", view::destination(&of)),
        ("state", if of.paused { "paused" } else { "active" }.into()),
        ("ordered", if of.ordered { "yes" } else { "no" }.into()),
        (
            "owes",
            format!(
                "{} pending{oldest}; {} parked",
                status.pending, status.parked
            ),
        ),
        ("concurrency", of.concurrency.to_string()),
        ("timeout", view::millis(of.timeout_ms)),
        (
            "retry",
            format!(
                "after {}, each wait × {}.{:03}, at most {}",
                view::millis(retry.initial_ms),
                retry.multiplier_milli / 1_000,
                retry.multiplier_milli % 1_000,
                view::millis(retry.cap_ms)
            ),
        ),
        ("changed", view::when(of.updated_at_us, now)),
    ];
    for (name, value) in lines {
        output.line(format_args!("{name:<13}{value}"))?;
    }
    Ok(())
}

async fn remove(
    name: String,
    namespace: String,
    client: &mut Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let request = v1::DeleteSubscriptionRequest {
        namespace: namespace.clone(),
        name: name.clone(),
    };
    let answered = client.admin.delete_subscription(request).await;
    if !client.answer(answered)?.deleted {
        return Err(unknown(&name, &namespace));
    }
    if output.is_json() {
        return output.json(&json!({ "deleted": true }));
    }
    output.line(format_args!(
        "subscription {name} is removed; what it still owed is parked (`earnest tx list --parked`)"
    ))
}

async fn pause(
    name: String,
    paused: bool,
    namespace: String,
    client: &mut Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let request = v1::PauseSubscriptionRequest {
        namespace,
        name,
        paused,
    };
    let answered = client.admin.pause_subscription(request).await;
    let of = client.answer(answered)?.subscription.unwrap_or_default();
    if output.is_json() {
        return output.json(&json!({ "subscription": json::subscription(&of) }));
    }
    if of.paused {
        return output.line(format_args!(
            "subscription {0} is paused: messages wait; `earnest subscription resume {0}` goes on",
            of.name
        ));
    }
    output.line(format_args!(
        "subscription {} is active: what waited is delivered now",
        of.name
    ))
}

fn state(of: &v1::Subscription) -> Cell {
    if of.paused {
        Cell::toned("paused", Tone::Waiting)
    } else {
        Cell::toned("active", Tone::Good)
    }
}

fn parked(count: u64) -> Cell {
    if count == 0 {
        "0".into()
    } else {
        Cell::toned(count.to_string(), Tone::Bad)
    }
}

fn unknown(name: &str, namespace: &str) -> CliError {
    CliError::Refused(Refusal {
        code: "NOT_FOUND".into(),
        message: format!("subscription {name} is not known in namespace {namespace}"),
        hint: "`earnest subscription list` shows those that are".into(),
        retryable: false,
    })
}
