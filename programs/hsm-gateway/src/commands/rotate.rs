//! `hsm-gateway rotate`.

use super::record::recorded;
use super::{ConfigFile, open};
use crate::inventory::{generation, hsm_failure, inspect};
use crate::log::Line;
use crate::worker::protocol::Call;
use std::process::ExitCode;
use vouchsafe_cli::{Failure, clock};
use vouchsafe_gateway::Refusal;

/// Replace every epoch key at once, after a seed or a credential leaked
///
/// Makes the standby generation the current one. Verifiers have its keys already, so new tokens verify at
/// once; tokens of the generation before fail as soon as a verifier fetches the keys again. Running
/// gateways of this token follow within 1 s, brokers within 5 s. There is no way back. A leaked root needs
/// a new root: this does not help. Refused for seven minutes after the last time, since verifiers may not know
/// the next generation before.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway rotate --emergency --config gateway.toml\n\nExit codes: 0 rotated, 1 refused, or the token can't be changed, 2 the command line or the file is wrong, or the PIN was refused."
)]
pub struct Args {
    /// Yes, every token of tier `delegated` that was issued so far may fail
    #[arg(long)]
    emergency: bool,
    /// Also where verifiers may not know the next generation's keys yet: then they refuse new tokens for minutes
    #[arg(long)]
    although_unpublished: bool,
    #[command(flatten)]
    config: ConfigFile,
}

fn unpublished(refusal: Refusal) -> Failure {
    Failure::refused(refusal.to_string())
        .hint("the last rotation was just now; wait, or have new tokens fail until verifiers fetch the keys again: `--although-unpublished`")
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    if !args.emergency {
        return Err(Failure::usage("epoch keys replace themselves every epoch")
            .hint("`--emergency` replaces all of them now, and makes issued tokens fail"));
    }
    let config = args.config.read()?;
    vouchsafe_cli::run(async {
        let hsm = open(&config).await?;
        let inventory = inspect(&hsm).await.map_err(hsm_failure)?;
        let (before, now) = (generation(&inventory)?, clock::unix_seconds()?);
        if !args.although_unpublished {
            before.may_be_left(now).map_err(unpublished)?;
        }
        let next = before
            .next(now)
            .ok_or_else(|| Failure::refused("there is no generation behind this one"))?;
        let about = |line: Line| {
            line.with("act", "rotate")
                .with("before", before.number)
                .with("after", next.number)
                .with("although_unpublished", args.although_unpublished)
        };
        recorded(&config, about, async {
            let set = hsm.call(Call::SetGeneration {
                from: before.to_bytes().into(),
                to: next.to_bytes().into(),
            });
            set.await.map_err(hsm_failure)
        })
        .await?;
        println!(
            "generation {} is current, {} is over",
            next.number, before.number
        );
        Ok(ExitCode::SUCCESS)
    })
}
