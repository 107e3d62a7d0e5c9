//! `earnest serve`.

use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    config::{SourceArgs, warn},
    error::CliError,
    log,
    output::{Output, Tone},
    port_holder,
};
use crate::{
    clock::Environment,
    config::{Database, Loaded},
    node::{Node, NodeError},
    transport::BindError,
};

/// Run a coordinator
#[derive(Debug, Args)]
#[command(
    long_about = "Runs a coordinator until SIGTERM or Ctrl-C, which drain it: no more calls are taken, what is under \
                  way is finished, leases are given back. A second signal ends it at once; nothing acknowledged is lost \
                  by that either.\n\n\
                  Settings come from a file, over it EARNEST_* variables, over those the flags; `earnest config` shows \
                  what holds.",
    after_help = "\
Examples:
  earnest serve                                        on 127.0.0.1:7450, kept in ./earnest.db
  earnest serve --database /var/lib/earnest/earnest.db
  EARNEST_DATABASE=postgres://earnest:…@db:5432/earnest earnest serve
  EARNEST_DATABASE=mysql://earnest:…@db:3306/earnest earnest serve
  earnest serve --database memory: --listen 127.0.0.1:0  to try things out, on any free port
  earnest serve --config /etc/earnest.toml --check     only check the configuration"
)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// Check the configuration and exit
    #[arg(long)]
    check: bool,
}

pub(super) fn run(
    args: &ServeArgs,
    environment: &Environment,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let loaded = args.sources.load()?;
    warn(&loaded);
    if args.check {
        output.line("the configuration is right; nothing was started")?;
        return Ok(ExitCode::SUCCESS);
    }
    log::start(&loaded.config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed(format!("no runtime: {error}")))?;
    let code = runtime.block_on(serve(loaded, environment.clone(), output))?;
    // What a stop has given up on must not hold up the process.
    runtime.shutdown_background();
    Ok(code)
}

async fn serve(
    loaded: Loaded,
    environment: Environment,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let database = loaded.config.node.database.clone();
    let mut signals = Signals::new()?;
    let mut node = Node::start(loaded.config.node, environment)
        .await
        .map_err(|error| {
            let holder = match &error {
                NodeError::Bind(BindError::InUse { address, .. }) => {
                    Some(port_holder::describe(*address))
                }
                _ => None,
            };
            CliError::Node(error, holder)
        })?;
    if let Err(error) = output.line(ready(&node, &database, output)) {
        // Nobody reads it; the coordinator is needed all the same.
        tracing::warn!(%error, address = %node.local_addr(), "serving");
    }
    let asked = tokio::select! {
        name = signals.next() => Some(name),
        () = node.port_lost() => None,
    };
    if let Some(name) = asked {
        tracing::info!(signal = name, "draining; a second signal ends at once");
    }
    tokio::select! {
        () = node.shutdown() => {}
        name = signals.next() => {
            tracing::warn!(signal = name, "ended at once; what was not finished is in the database");
            return Ok(ExitCode::from(130));
        }
    }
    Ok(if asked.is_some() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The line that says that it runs, and what comes next.
fn ready(node: &Node, database: &Database, output: &Output) -> String {
    let durability = node.durability();
    let durable = if durability.durable {
        "durable"
    } else {
        "NOT durable"
    };
    let address = node.local_addr();
    let url = format!("http://{address}");
    format!(
        "{} on {} · database {database} ({}, {durable}) · next: earnest subscription add NAME --topic TOPIC --service \
         SERVICE{}",
        output.paint(
            Tone::Strong,
            format!("earnest {} serves gRPC and REST", env!("CARGO_PKG_VERSION"))
        ),
        output.paint(Tone::Good, &url),
        durability.settings,
        if address.port() == 7450 && address.ip().is_loopback() {
            String::new()
        } else {
            format!(" --server http://{}", reachable(address))
        },
    )
}

/// An address that can be called from this machine.
fn reachable(address: std::net::SocketAddr) -> std::net::SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    address
}

/// What asks a process to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, CliError> {
        let listen = |kind| {
            signal(kind).map_err(|error| CliError::Failed(format!("no signal handler: {error}")))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
