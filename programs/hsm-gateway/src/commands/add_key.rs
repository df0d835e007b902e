//! `hsm-gateway add-key`.

use super::log_operation::log_operation;
use super::{ConfigFile, create_key, open};
use crate::log::Line;
use crate::pkcs11::{inspect, root_generation};
use std::process::ExitCode;
use vouchsafe_cli::{Failure, clock};
use vouchsafe_gateway::KeyLabel;
use vouchsafe_gateway::versions::VersionRecord;

/// Create the first version of a new [[key]]
///
/// The version is published, and signs after `vouchsafe keys promote`: at the earliest seven minutes later, when every
/// verifier has fetched it. With `--active` it signs at once.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway add-key deploy --config gateway.toml\n  hsm-gateway add-key deploy --active\n\nExit codes: 0 created, 1 the PKCS#11 token already has a version of it or cannot create one, 2 the command line or the configuration is wrong, or the PIN was refused."
)]
pub struct Args {
    /// `name` of the [[key]]
    name: String,
    /// Sign at once; verifiers that fetched the key set before may reject its tokens for some minutes
    #[arg(long)]
    active: bool,
    #[command(flatten)]
    config: ConfigFile,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let config = args.config.read()?;
    let rule = config.rules.keys().find(|rule| rule.name == args.name);
    let rule = rule.ok_or_else(|| Failure::usage(format!("the configuration has no [[key]] `{}`", args.name)))?;
    vouchsafe_cli::run(async {
        let hsm = open(&config).await?;
        let inventory = inspect(&hsm).await?;
        // Without a root, the new key would keep `init` from creating the rest.
        root_generation(&inventory)?;
        let labels = inventory.keys.iter().map(|key| &key.label);
        let mut labels = labels.chain(&inventory.destroyed);
        if labels.any(|it| KeyLabel::parse(it).is_some_and(|it| it.name() == rule.name)) {
            return Err(Failure::refused(format!("the PKCS#11 token already has a version of `{}`", rule.name))
                .hint("`vouchsafe keys stage` creates the next one"));
        }
        let now = clock::unix_seconds()?;
        let record = if args.active {
            VersionRecord::first(now, rule.lifetime_seconds_max)
        } else {
            VersionRecord::pending(now)
        };
        let describe = |line: Line| {
            line.with("act", "add-key")
                .with("key", rule.name.as_str())
                .with("version", 1)
                .with("state", record.state.name())
        };
        log_operation(&config, describe, create_key(&hsm, rule, record)).await?;
        Ok(ExitCode::SUCCESS)
    })
}
