//! `hsm-gateway add-key`.

use super::{ConfigFile, open, runtime};
use crate::failure::Failure;
use crate::gateway::algorithm;
use crate::inventory::hsm_failure;
use crate::worker::protocol::Call;
use std::process::ExitCode;

/// Make the key of a [[key]] that the token has not yet
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway add-key deploy --config gateway.toml\n  hsm-gateway add-key deploy --version 2\n\nExit codes: 0 made, 1 the token has it already or can't make it, 2 the command line or the file is wrong, or the PIN was refused."
)]
pub struct Args {
    /// The `name` of the [[key]]
    name: String,
    /// Which version is made [default: the one that the file has sign]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    version: Option<u64>,
    #[command(flatten)]
    config: ConfigFile,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let config = args.config.read()?;
    let rule = config.rules.keys().find(|rule| rule.name == args.name);
    let rule =
        rule.ok_or_else(|| Failure::usage(format!("there is no [[key]] `{}`", args.name)))?;
    runtime()?.block_on(async {
        let hsm = open(&config).await?;
        let version = args.version.unwrap_or(rule.version);
        let label = rule.label_of(version).to_string();
        let call = Call::CreateKey {
            label: label.clone(),
            algorithm: algorithm(rule.algorithm),
        };
        hsm.call(call).await.map_err(hsm_failure)?;
        println!("made {label}, {}", rule.algorithm.name());
        Ok(ExitCode::SUCCESS)
    })
}
