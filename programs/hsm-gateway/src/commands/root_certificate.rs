//! `hsm-gateway root-certificate`.

use super::{ConfigFile, open};
use crate::pkcs11::{Root, inspect};
use std::process::ExitCode;
use vouchsafe_cli::Failure;

/// Print the certificate of the root signing key, for verifiers that pin it
///
/// Prints PEM to standard output. The certificate is public, and the same for every gateway of this PKCS#11 token and
/// of tokens restored from its backup. Verifiers must get it from you and not from the broker.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway root-certificate > root.pem\n  vouchsafe verify --pin-root root.pem --broker https://broker.example --audience https://api.example - < token\n\nExit codes: 0 printed, 1 the PKCS#11 token has none or cannot be read, 2 the command line or the configuration is wrong, or the PIN was refused."
)]
pub struct Args {
    #[command(flatten)]
    config: ConfigFile,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let config = args.config.read()?;
    let inventory = vouchsafe_cli::run(async {
        let hsm = open(&config).await?;
        Ok(inspect(&hsm).await?)
    })?;
    let pem = Root::find(&inventory)?.certificate().to_pem();
    print!("{}", pem.map_err(|error| Failure::refused(error.to_string()))?);
    Ok(ExitCode::SUCCESS)
}
