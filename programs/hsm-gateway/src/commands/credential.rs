//! `hsm-gateway credential`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use vouchsafe_cli::Failure;
use vouchsafe_gateway::{CREDENTIAL_BYTES, CredentialDigest};
use zeroize::Zeroizing;

/// Create a credential for one broker or admin
///
/// Writes the secret to a new file, for the signer's variable `gateway_token`, and prints its SHA-256 for the gateway's
/// configuration. The gateway never needs the secret itself.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway credential --out gateway-token\n\nExit codes: 0 created, 2 the file exists or cannot be written."
)]
pub struct Args {
    /// File for the secret; must not exist
    #[arg(long, value_name = "FILE", default_value = "gateway-token")]
    out: PathBuf,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let mut bytes = Zeroizing::new([0; CREDENTIAL_BYTES]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|error| Failure::refused(format!("random number generator failed: {error}")))?;
    let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes));
    let digest = CredentialDigest::of(&secret).ok_or_else(|| Failure::refused("the new credential is invalid"))?;
    let fail = |error: std::io::Error| Failure::file(&args.out, error);
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.out).map_err(fail)?;
    file.write_all(secret.as_bytes()).map_err(fail)?;
    println!("sha256 = \"{digest}\"");
    Ok(ExitCode::SUCCESS)
}
