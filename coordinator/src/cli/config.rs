//! `earnest config`, and the flags that it shares with `earnest serve`.

use std::path::PathBuf;

use clap::Args;

use super::{error::CliError, output::Output};
use crate::config::{self, FlagSetting, Loaded, Sources};

/// Where the configuration comes from.
#[derive(Debug, Args)]
pub(super) struct SourceArgs {
    /// The configuration file; ./earnest.toml is read if it is there [env: EARNEST_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to serve gRPC and REST [default: 127.0.0.1:7450] [env: EARNEST_LISTEN]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Where everything is kept: sqlite:PATH, postgres://…, mysql://… or memory: [default: sqlite:earnest.db] [env: EARNEST_DATABASE]
    #[arg(long, value_name = "DATABASE")]
    database: Option<String>,
    /// This node's name in logs and attempt records [default: the host's name] [env: EARNEST_NODE]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// error, warn, info, debug or trace [default: info] [env: EARNEST_LOG_LEVEL]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// text or json [default: text] [env: EARNEST_LOG_FORMAT]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Set any key of the configuration, such as --set retention=30d; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
}

impl SourceArgs {
    /// Reads file, environment and flags.
    pub(super) fn load(&self) -> Result<Loaded, CliError> {
        let dedicated = [
            ("--listen", "listen", &self.listen),
            ("--database", "database", &self.database),
            ("--node", "node", &self.node),
            ("--log-level", "log.level", &self.log_level),
            ("--log-format", "log.format", &self.log_format),
        ];
        let setting = |flag: &str, key: &str, value: &String| FlagSetting {
            flag: flag.into(),
            key: key.into(),
            value: value.clone(),
        };
        let any = self
            .set
            .iter()
            .map(|(key, value)| setting("--set", key, value));
        let dedicated = dedicated
            .into_iter()
            .filter_map(|(flag, key, value)| value.as_ref().map(|v| setting(flag, key, v)));
        let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let sources = Sources {
            file: self.config.clone(),
            directory: PathBuf::new(),
            environment: std::env::vars_os()
                .map(|(name, value)| (lossy(name), lossy(value)))
                .collect(),
            // The more particular flag is the stronger one.
            flags: any.chain(dedicated).collect(),
        };
        config::load(&sources).map_err(CliError::Config)
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("give KEY=VALUE, such as retention=30d")?;
    Ok((key.trim().into(), value.trim().into()))
}

/// Check the configuration and show what holds
#[derive(Debug, Args)]
#[command(
    long_about = "Reads the configuration as `earnest serve` would: a file, over it EARNEST_* variables, over those \
                  the flags. Prints every key with its value and where that came from, or every mistake at once. Starts \
                  nothing.",
    after_help = "\
Examples:
  earnest config                              what holds here
  earnest config --example > earnest.toml     begin a configuration file
  EARNEST_LISTEN=0.0.0.0:7450 earnest config  what would hold then"
)]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// Print a sample file with every key, documented, at its default
    #[arg(long)]
    example: bool,
}

pub(super) fn run(args: &ConfigArgs, output: &mut Output) -> Result<(), CliError> {
    if args.example {
        return output.text(&config::example());
    }
    let loaded = args.sources.load()?;
    warn(&loaded);
    output.text(&config::effective(&loaded))
}

/// Tells what is allowed, but should be known.
pub(super) fn warn(loaded: &Loaded) {
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
}
