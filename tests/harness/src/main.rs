//! `earnest-harness postgres mariadb -- COMMAND…`: starts the servers, runs the command with their URLs in its environment, and
//! stops them. Exits as the command does.

use std::{
    env,
    process::{Command, ExitCode},
};

use anyhow::{Context, bail};
use earnest_harness::{Kind, Server};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("earnest-harness: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    let words: Vec<String> = env::args().skip(1).collect();
    let usage = "usage: earnest-harness [postgres] [mariadb] -- COMMAND [ARGUMENT…]";
    let split = words.iter().position(|word| word == "--").context(usage)?;
    let (kinds, command) = (&words[..split], &words[split + 1..]);
    let Some((program, arguments)) = command.split_first() else {
        bail!(usage);
    };
    let mut servers = Vec::new();
    for kind in kinds {
        let server = Server::start(kind.parse::<Kind>()?)?;
        eprintln!("earnest-harness: {kind} is there, from {}", server.source());
        servers.push(server);
    }
    let variables = servers
        .iter()
        .map(|server| (server.kind().variable(), server.url()));
    let status = Command::new(program)
        .args(arguments)
        .envs(variables)
        .status()
        .with_context(|| format!("can't run {program}"))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}
