//! `hsm-gateway rotate`.

use super::log_operation::log_operation;
use super::{ConfigFile, open};
use crate::log::Line;
use crate::pkcs11::protocol::Call;
use crate::pkcs11::{inspect, root_generation};
use std::process::ExitCode;
use vouchsafe_cli::{Failure, clock};
use vouchsafe_gateway::Refusal;

/// Replace every epoch key at once, after a seed or a credential leaked
///
/// Makes the standby generation the current one. Verifiers already have its keys, so new tokens verify at once. Tokens
/// of the previous generation fail as soon as a verifier fetches the key set again. Running gateways of this PKCS#11
/// token follow within 1 s, brokers within 5 s. This can't be undone. It does not help if the root leaked: that needs a
/// new root. Can't be repeated within seven minutes: verifiers need that long to learn the next generation.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway rotate --emergency --config gateway.toml\n\nExit codes: 0 rotated, 1 refused, or the PKCS#11 token cannot be changed, 2 the command line or the configuration is wrong, or the PIN was refused."
)]
pub struct Args {
    /// Confirm that every token of tier `delegated` issued so far may fail
    #[arg(long)]
    emergency: bool,
    /// Rotate even if verifiers may not know the next generation's keys yet; they then reject new tokens for minutes
    #[arg(long)]
    although_unpublished: bool,
    #[command(flatten)]
    config: ConfigFile,
}

fn unpublished(refusal: Refusal) -> Failure {
    Failure::refused(refusal.to_string())
        .hint("the last rotation was less than seven minutes ago; wait, or use `--although-unpublished` and accept that new tokens fail until verifiers fetch the key set again")
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    if !args.emergency {
        return Err(Failure::usage("epoch keys are replaced every epoch without this command")
            .hint("`--emergency` replaces all of them now, and makes issued tokens fail"));
    }
    let config = args.config.read()?;
    vouchsafe_cli::run(async {
        let hsm = open(&config).await?;
        let inventory = inspect(&hsm).await?;
        let (before, now) = (root_generation(&inventory)?, clock::unix_seconds()?);
        if !args.although_unpublished {
            before.may_be_left(now).map_err(unpublished)?;
        }
        let next =
            before.next(now).ok_or_else(|| Failure::refused("the generation is already the highest possible"))?;
        let describe = |line: Line| {
            line.with("act", "rotate")
                .with("before", before.number)
                .with("after", next.number)
                .with("although_unpublished", args.although_unpublished)
        };
        log_operation(&config, describe, async {
            let call = Call::SetGeneration { from: before.to_bytes().into(), to: next.to_bytes().into() };
            Ok(hsm.call(call).await?)
        })
        .await?;
        println!("generation {} is current, {} is superseded", next.number, before.number);
        Ok(ExitCode::SUCCESS)
    })
}
