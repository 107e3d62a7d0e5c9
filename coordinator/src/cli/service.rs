//! `earnest service`.

use clap::{Args, Subcommand, ValueEnum};
use earnest_proto::v1;
use serde_json::{Value, json};

use super::{
    client::{Client, ServerArgs},
    error::{CliError, Refusal},
    json,
    output::Output,
    table::Table,
    view,
};
use crate::clock::Environment;

/// Say where services are called
#[derive(Debug, Args)]
#[command(
    long_about = "A service is a name with endpoints. Services with the SDK register themselves when they start; \
                  these commands are for the others, and for looking.",
    after_help = "\
Examples:
  earnest service list
  earnest service add ledger http://127.0.0.1:8080
  earnest service add legacy --url http://10.0.0.7/earnest --protocol http"
)]
pub(super) struct ServiceArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: ServiceCommand,
}

#[derive(Debug, Subcommand)]
enum ServiceCommand {
    Add(AddArgs),
    /// List services and where they are called
    List,
    /// Show one service
    Show(NameArgs),
    /// Forget a service; its transactions and subscriptions stay, and wait until it is registered again
    Remove(NameArgs),
}

#[derive(Debug, Args)]
struct NameArgs {
    /// The service's name
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    /// earnest.v1.Participant
    Grpc,
    /// POSTs of JSON under the URL
    Http,
}

/// Register endpoints of a service
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  earnest service add ledger http://127.0.0.1:8080
  earnest service add ledger http://10.0.0.1:8080 http://10.0.0.2:8080 --replace
  earnest service add legacy http://10.0.0.7/earnest --protocol http")]
struct AddArgs {
    /// The service's name
    name: String,
    /// Where instances of it are called
    #[arg(value_name = "URL", required_unless_present = "more")]
    urls: Vec<String>,
    /// The same as URL; may be repeated
    #[arg(long = "url", value_name = "URL", id = "more")]
    more: Vec<String>,
    /// How they are spoken to
    #[arg(long, value_enum, default_value_t = Protocol::Grpc)]
    protocol: Protocol,
    /// Forget the endpoints known so far
    #[arg(long)]
    replace: bool,
}

pub(super) async fn run(
    args: ServiceArgs,
    environment: &Environment,
    output: &mut Output,
) -> Result<(), CliError> {
    output.set_json(args.server.json);
    let mut client = Client::connect(&args.server).await?;
    let namespace = args.server.namespace;
    match args.command {
        ServiceCommand::Add(add) => register(add, namespace, &mut client, output).await,
        ServiceCommand::List => list(namespace, &mut client, environment, output).await,
        ServiceCommand::Show(of) => {
            show(of.name, namespace, &mut client, environment, output).await
        }
        ServiceCommand::Remove(of) => remove(of.name, namespace, &mut client, output).await,
    }
}

async fn register(
    args: AddArgs,
    namespace: String,
    client: &mut Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let protocol = match args.protocol {
        Protocol::Grpc => v1::EndpointProtocol::Grpc,
        Protocol::Http => v1::EndpointProtocol::Http,
    };
    let endpoint = |url| v1::Endpoint {
        url,
        protocol: protocol.into(),
        resource_id: String::new(),
    };
    let request = v1::RegisterServiceRequest {
        namespace,
        name: args.name,
        endpoints: args
            .urls
            .into_iter()
            .chain(args.more)
            .map(endpoint)
            .collect(),
        replace: args.replace,
    };
    let answered = client.coordinator.register_service(request).await;
    let of = client.answer(answered)?.service.unwrap_or_default();
    if output.is_json() {
        return output.json(&json!({ "service": json::service(&of) }));
    }
    output.line(format_args!(
        "service {} is called at {}",
        of.name,
        endpoints(&of)
    ))
}

async fn list(
    namespace: String,
    client: &mut Client,
    environment: &Environment,
    output: &mut Output,
) -> Result<(), CliError> {
    let request = v1::ListServicesRequest {
        namespace: namespace.clone(),
    };
    let answered = client.admin.list_services(request).await;
    let found = client.answer(answered)?.services;
    if output.is_json() {
        let all: Vec<Value> = found.iter().map(json::service).collect();
        return output.json(&json!({ "services": all }));
    }
    if found.is_empty() {
        return output.line(format_args!(
            "no services in namespace {namespace}; those with the SDK register themselves when they start, others \
             with: earnest service add NAME URL"
        ));
    }
    let now = environment.now();
    let mut table = Table::new(&["NAME", "REGISTERED", "ENDPOINTS"]);
    for of in &found {
        let registered = format!("{} ago", view::ago(of.updated_at_us, now));
        table.row([
            of.name.as_str().into(),
            registered.into(),
            endpoints(of).into(),
        ]);
    }
    table.write("", output)
}

async fn show(
    name: String,
    namespace: String,
    client: &mut Client,
    environment: &Environment,
    output: &mut Output,
) -> Result<(), CliError> {
    let request = v1::ResolveServiceRequest { namespace, name };
    let answered = client.coordinator.resolve_service(request).await;
    let of = client.answer(answered)?.service.unwrap_or_default();
    if output.is_json() {
        return output.json(&json!({ "service": json::service(&of) }));
    }
    output.line(format_args!("name       {}", of.name))?;
    output.line(format_args!("namespace  {}", of.namespace))?;
    output.line(format_args!(
        "registered {}",
        view::when(of.updated_at_us, environment.now())
    ))?;
    let mut table = Table::new(&["ENDPOINT", "PROTOCOL", "DATABASE"]);
    for endpoint in &of.endpoints {
        table.row([
            endpoint.url.as_str().into(),
            view::protocol(endpoint).into(),
            endpoint.resource_id.as_str().into(),
        ]);
    }
    table.write("", output)
}

async fn remove(
    name: String,
    namespace: String,
    client: &mut Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let request = v1::DeleteServiceRequest {
        namespace: namespace.clone(),
        name: name.clone(),
    };
    let answered = client.admin.delete_service(request).await;
    if !client.answer(answered)?.deleted {
        return Err(CliError::Refused(Refusal {
            code: "NOT_FOUND".into(),
            message: format!("service {name} is not known in namespace {namespace}"),
            hint: "`earnest service list` shows those that are".into(),
            retryable: false,
        }));
    }
    if output.is_json() {
        return output.json(&json!({ "deleted": true }));
    }
    output.line(format_args!(
        "service {name} is forgotten; what is owed to it waits until it is registered again"
    ))
}

fn endpoints(of: &v1::Service) -> String {
    if of.endpoints.is_empty() {
        return "no endpoint".into();
    }
    let one = |endpoint: &v1::Endpoint| format!("{} ({})", endpoint.url, view::protocol(endpoint));
    of.endpoints.iter().map(one).collect::<Vec<_>>().join(", ")
}
