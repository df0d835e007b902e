//! `hsm-gateway rotate`.

use super::record::recorded;
use super::{ConfigFile, open, runtime};
use crate::failure::Failure;
use crate::inventory::{generation, hsm_failure, inspect};
use crate::log::Line;
use crate::worker::protocol::Call;
use std::process::ExitCode;

/// Replace every epoch key at once, after a seed or a credential leaked
///
/// Makes the standby generation the current one. Verifiers have its keys already, so new tokens verify at
/// once; tokens of the generation before fail as soon as a verifier fetches the keys again. Running
/// gateways of this token follow within 1 s, brokers within 5 s. There is no way back. A leaked root needs
/// a new root: this does not help.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway rotate --emergency --config gateway.toml\n\nExit codes: 0 rotated, 1 the token can't be changed, 2 the command line or the file is wrong, or the PIN was refused."
)]
pub struct Args {
    /// Yes, every token of tier `delegated` that was issued so far may fail
    #[arg(long)]
    emergency: bool,
    #[command(flatten)]
    config: ConfigFile,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    if !args.emergency {
        return Err(Failure::usage("epoch keys replace themselves every epoch")
            .hint("`--emergency` replaces all of them now, and makes issued tokens fail"));
    }
    let config = args.config.read()?;
    runtime()?.block_on(async {
        let hsm = open(&config).await?;
        let inventory = inspect(&hsm).await.map_err(hsm_failure)?;
        let before = generation(&inventory)?;
        let generation = before
            .checked_add(1)
            .ok_or_else(|| Failure::refused("there is no generation behind this one"))?;
        let about = |line: Line| {
            line.with("act", "rotate")
                .with("before", before)
                .with("after", generation)
        };
        recorded(&config, about, async {
            let set = hsm.call(Call::SetGeneration { generation }).await;
            set.map_err(hsm_failure)
        })
        .await?;
        println!("generation {generation} is current, {before} is over");
        Ok(ExitCode::SUCCESS)
    })
}
