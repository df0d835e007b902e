//! `hsm-gateway root-certificate`.

use super::{ConfigFile, open};
use crate::inventory::{hsm_failure, inspect};
use crate::root::Root;
use std::process::ExitCode;
use vouchsafe_cli::Failure;

/// Print the certificate of the root signing key, for verifiers that pin it
///
/// PEM, on standard output. It is public and the same for every gateway of this token, and of a token
/// that `restore` made from this one's backup. Verifiers must get it from you, and not from the broker.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway root-certificate > root.pem\n  vouchsafe verify --pin-root root.pem --broker https://broker.example --audience https://api.example - < token\n\nExit codes: 0 printed, 1 the token has none or can't be read, 2 the command line or the file is wrong, or the PIN was refused."
)]
pub struct Args {
    #[command(flatten)]
    config: ConfigFile,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let config = args.config.read()?;
    let inventory = vouchsafe_cli::run(async {
        let hsm = open(&config).await?;
        inspect(&hsm).await.map_err(hsm_failure)
    })?;
    let pem = Root::of(&inventory)?.certificate().to_pem();
    print!(
        "{}",
        pem.map_err(|error| Failure::refused(error.to_string()))?
    );
    Ok(ExitCode::SUCCESS)
}
