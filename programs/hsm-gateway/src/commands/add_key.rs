//! `hsm-gateway add-key`.

use super::record::recorded;
use super::{ConfigFile, create_key, open};
use crate::inventory::{generation, hsm_failure, inspect};
use crate::log::Line;
use std::process::ExitCode;
use vouchsafe_cli::{Failure, clock};
use vouchsafe_gateway::KeyLabel;
use vouchsafe_gateway::versions::VersionRecord;

/// Make the first version of a [[key]] that the token has not yet
///
/// It is published, and signs once `vouchsafe keys promote` says so: seven minutes later, when every
/// verifier has fetched it. With `--active` it signs at once.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway add-key deploy --config gateway.toml\n  hsm-gateway add-key deploy --active\n\nExit codes: 0 made, 1 the token has a version of it or can't make it, 2 the command line or the file is wrong, or the PIN was refused."
)]
pub struct Args {
    /// The `name` of the [[key]]
    name: String,
    /// Sign at once; verifiers that fetched their keys before may refuse its tokens for some minutes
    #[arg(long)]
    active: bool,
    #[command(flatten)]
    config: ConfigFile,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let config = args.config.read()?;
    let rule = config.rules.keys().find(|rule| rule.name == args.name);
    let rule =
        rule.ok_or_else(|| Failure::usage(format!("there is no [[key]] `{}`", args.name)))?;
    vouchsafe_cli::run(async {
        let hsm = open(&config).await?;
        let inventory = inspect(&hsm).await.map_err(hsm_failure)?;
        // Else a key would be there that keeps `init` from making the rest.
        generation(&inventory)?;
        let labels = inventory.keys.iter().map(|key| &key.label);
        let mut labels = labels.chain(&inventory.destroyed);
        if labels.any(|it| KeyLabel::parse(it).is_some_and(|it| it.name() == rule.name)) {
            return Err(Failure::refused(format!(
                "the token has a version of `{}` already",
                rule.name
            ))
            .hint("`vouchsafe keys stage` makes the next one"));
        }
        let record = match args.active {
            true => VersionRecord::first(clock::unix_seconds()?, rule.lifetime_seconds_max),
            false => VersionRecord::pending(clock::unix_seconds()?),
        };
        let about = |line: Line| {
            line.with("act", "add-key")
                .with("key", rule.name.as_str())
                .with("version", 1)
                .with("state", record.state.name())
        };
        recorded(&config, about, create_key(&hsm, rule, record)).await?;
        Ok(ExitCode::SUCCESS)
    })
}
