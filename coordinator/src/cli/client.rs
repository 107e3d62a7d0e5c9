//! The connection to a running coordinator.

use std::{future::Future, time::Duration};

use clap::Args;
use earnest_proto::v1::{admin_client::AdminClient, coordinator_client::CoordinatorClient};
use tonic::{
    Response, Status,
    transport::{Channel, Endpoint},
};

use super::error::{CliError, innermost};
use crate::config::parse_duration;

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// The largest answer.
const MAX_ANSWER: usize = 64 << 20;

/// Which coordinator, and how its answers are shown.
#[derive(Debug, Clone, Args)]
pub(super) struct ServerArgs {
    /// The coordinator to talk to
    #[arg(
        long,
        env = "EARNEST_SERVER",
        default_value = "http://127.0.0.1:7450",
        value_name = "URL",
        global = true,
        help_heading = "Connection"
    )]
    server: String,
    /// How long one call may take, such as 30s
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = parse_duration, global = true,
          help_heading = "Connection")]
    timeout: Duration,
    /// Print JSON, with the same field names as REST
    #[arg(long, global = true, help_heading = "Connection")]
    pub(super) json: bool,
    /// The namespace that names belong to
    #[arg(
        long,
        default_value = "default",
        value_name = "NAME",
        global = true,
        help_heading = "Connection"
    )]
    pub(super) namespace: String,
}

/// Both services of the coordinator that the command line calls.
pub(super) struct Client {
    pub(super) coordinator: CoordinatorClient<Channel>,
    pub(super) admin: AdminClient<Channel>,
    server: String,
}

impl Client {
    /// Connects, so that an unreachable coordinator is told before anything else.
    pub(super) async fn connect(args: &ServerArgs) -> Result<Self, CliError> {
        let server = match args.server.split_once("://") {
            None => format!("http://{}", args.server),
            Some(("http", _)) => args.server.clone(),
            Some(("https", _)) => {
                return Err(CliError::Usage(format!(
                    "--server {}: TLS is not there yet; give an http:// URL",
                    args.server
                )));
            }
            Some(_) => return Err(not_a_server(&args.server)),
        };
        let endpoint =
            Endpoint::from_shared(server.clone()).map_err(|_| not_a_server(&args.server))?;
        let channel = endpoint
            .connect_timeout(CONNECT.min(args.timeout))
            .timeout(args.timeout)
            .connect()
            .await
            .map_err(|error| CliError::Unreachable {
                server: server.clone(),
                problem: innermost(&error),
            })?;
        Ok(Self {
            coordinator: CoordinatorClient::new(channel.clone())
                .max_decoding_message_size(MAX_ANSWER),
            admin: AdminClient::new(channel).max_decoding_message_size(MAX_ANSWER),
            server,
        })
    }

    /// What a call brought.
    pub(super) fn answer<T>(&self, result: Result<Response<T>, Status>) -> Result<T, CliError> {
        result
            .map(Response::into_inner)
            .map_err(|status| CliError::of_call(&self.server, &status))
    }
}

fn not_a_server(given: &str) -> CliError {
    CliError::Usage(format!(
        "--server {given}: not a URL like http://127.0.0.1:7450"
    ))
}

/// Runs one command; it needs no threads.
pub(super) fn block_on<T>(
    command: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed(format!("no runtime: {error}")))?;
    runtime.block_on(command)
}
