//! `hsm-gateway add-key`.

use super::{ConfigFile, open, runtime};
use crate::failure::Failure;
use crate::gateway::{algorithm, hsm_failure};
use crate::worker::protocol::Call;
use std::process::ExitCode;

/// Make the key of a [[key]] that the token has not yet
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway add-key deploy --config gateway.toml\n\nExit codes: 0 made, 1 the token has it already or can't make it, 2 the command line or the file is wrong, or the PIN was refused."
)]
pub struct Args {
    /// The `name` of the [[key]]; its `version` says which one is made
    name: String,
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
        let label = rule.label().to_string();
        let call = Call::CreateKey {
            label: label.clone(),
            algorithm: algorithm(rule.algorithm),
        };
        hsm.call(call).await.map_err(hsm_failure)?;
        println!("made {label}, {}", rule.algorithm.name());
        Ok(ExitCode::SUCCESS)
    })
}
