//! `vouchsafe client`: credentials of clients, which ask the broker about tokens and have none of a platform.

use crate::client::base64url;
use clap::Subcommand;
use ring::digest::{SHA256, digest};
use serde_json::json;
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format};

/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;
/// What secrets begin with, so that scanners find one that leaked.
const PREFIX: &str = "vouchsafe-client-";

/// Make credentials of clients: software that asks the broker about tokens and has no token of a platform.
#[derive(clap::Args)]
#[command(subcommand_required = true, after_help = "Examples:\n  vouchsafe client secret")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Secret(SecretArgs),
}

/// Print a random secret of 256 bits, and its hash for the client's file.
///
/// The bundle has only the hash: `secrets = ["sha256:…"]` in `clients/<client_id>.toml`. Nobody can find the secret again.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 printed.

Examples:
  vouchsafe client secret
  vouchsafe client secret --format json | jq -r .hash")]
struct SecretArgs {
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let Command::Secret(args) = &args.command;
    let mut random = [0; SECRET_BYTES];
    getrandom::fill(&mut random).map_err(|error| Failure::refused(format!("no random numbers: {error}")))?;
    let secret = format!("{PREFIX}{}", base64url::encode(&random));
    let hash = hash(&secret);
    match args.format {
        Format::Json => println!("{}", json!({ "secret": secret, "hash": hash })),
        Format::Text => {
            println!("secret: {secret}");
            println!("hash:   {hash}");
            eprintln!("note: keep the secret where the client runs; put the hash into `clients/<client_id>.toml`");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The hash as a client file has it.
fn hash(secret: &str) -> String {
    let hash = digest(&SHA256, secret.as_bytes());
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

#[cfg(test)]
mod tests {
    use super::hash;

    /// FIPS 180-4, example of one block.
    #[test]
    fn hashes_as_client_files_do() {
        assert_eq!(hash("abc"), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
