//! `hsm-gateway init`.

use super::{ConfigFile, open, runtime};
use crate::failure::Failure;
use crate::gateway::{algorithm, hsm_failure, inspect};
use crate::worker::protocol::Call;
use std::process::ExitCode;
use vouchsafe_gateway::ROOT_LABEL;

/// Make the keys of an empty token
///
/// Makes the root secret and the first version of each [[key]], inside the token: sensitive, not
/// extractable, for signing only. There is no backup of such keys: a lost token is a lost root, and every
/// verifier must then get the keys of a new one.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway init --config gateway.toml\n\nExit codes: 0 made, 1 the token has keys of the gateway or can't make them, 2 the command line or the file is wrong, or the PIN was refused."
)]
pub struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// The generation of epoch keys to begin with: above every one that was ever used with this issuer
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    generation: u64,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let config = args.config.read()?;
    runtime()?.block_on(async {
        let hsm = open(&config).await?;
        let inventory = inspect(&hsm).await.map_err(hsm_failure)?;
        if let Some(key) = inventory.keys.first() {
            return Err(
                Failure::refused(format!("the token has `{}` already", key.label)).hint(
                    "`init` is for empty tokens; `hsm-gateway add-key` makes the key of a new [[key]]",
                ),
            );
        }
        let generation = args.generation;
        let root = hsm.call(Call::CreateRoot { generation }).await;
        root.map_err(hsm_failure)?;
        println!("made {ROOT_LABEL}, generation {generation}");
        for rule in config.rules.keys() {
            let label = rule.label().to_string();
            let call = Call::CreateKey {
                label: label.clone(),
                algorithm: algorithm(rule.algorithm),
            };
            hsm.call(call).await.map_err(hsm_failure)?;
            println!("made {label}, {}", rule.algorithm.name());
        }
        eprintln!("note: these keys have no backup, and can't get one");
        Ok(ExitCode::SUCCESS)
    })
}
