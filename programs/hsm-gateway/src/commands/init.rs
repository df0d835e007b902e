//! `hsm-gateway init`.

use super::log_operation::log_operation;
use super::{ConfigFile, create_keys, open, require_empty};
use crate::backup::Backup;
use crate::backup::import::import;
use crate::backup::shares::{self, ShareFile, Threshold};
use crate::config::Config;
use crate::log::Line;
use crate::pkcs11::protocol::Call;
use crate::pkcs11::{Hsm, create_root_signing_key};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use vouchsafe_cli::{Failure, clock};
use vouchsafe_gateway::ROOT_LABEL;

/// Create the keys of an empty PKCS#11 token
///
/// Creates the root secret, the root signing key with its certificate, and the first version of each [[key]]:
/// sensitive, not extractable, for signing only. They are generated inside the token and have no backup, so a lost
/// token is a lost root, and every verifier must get the keys of a new one. With `--with-backup` all of them are
/// generated here, in memory, split into shares and imported into the token.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway init --config gateway.toml\n  hsm-gateway init --with-backup 2-of-3 --shares /mnt/ceremony\n\nExit codes: 0 created, 1 the PKCS#11 token has keys of the gateway or cannot create them, 2 the command line or the configuration is wrong, or the PIN was refused."
)]
pub struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// First generation of epoch keys: higher than any that was ever used with this issuer
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    generation: u64,
    /// Split the keys into N shares, K of which restore them
    #[arg(long, value_name = "K-of-N", requires = "shares")]
    with_backup: Option<Threshold>,
    /// Directory for the shares, one file each; give them to different people, and leave none here
    #[arg(long, value_name = "DIR", requires = "with_backup")]
    shares: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let config = args.config.read()?;
    vouchsafe_cli::run(async {
        let hsm = open(&config).await?;
        require_empty(&hsm).await?;
        let keys: Vec<_> = config.rules.keys().map(|it| it.name.as_str()).collect();
        let describe = |line: Line| {
            line.with("act", "init")
                .with("generation", args.generation)
                .with("keys", keys.clone())
                .with("backup", args.with_backup.map(|it| it.to_string()))
        };
        log_operation(&config, describe, create(&hsm, &config, &args)).await?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn create(hsm: &Arc<Hsm>, config: &Config, args: &Args) -> Result<(), Failure> {
    let generation = args.generation;
    match (args.with_backup, &args.shares) {
        (Some(threshold), Some(folder)) => {
            let backup = generate_backup(config, threshold, folder)?;
            import(hsm, config, &backup, generation).await?;
            eprintln!(
                "note: distribute the shares, then give verifiers the output of `hsm-gateway root-certificate`; versions that are staged later are in no backup"
            );
        }
        _ => {
            let call = Call::CreateRoot { generation };
            hsm.call(call).await?;
            println!("created {ROOT_LABEL}, generation {generation}");
            create_root_signing_key(hsm, clock::unix_seconds()?).await?;
            create_keys(hsm, config).await?;
            eprintln!("note: these keys have no backup and cannot be backed up later");
        }
    }
    Ok(())
}

/// Generates keys, and writes their shares to disk.
///
/// ORDER: the shares are read back before the token gets a key, so that no key without a backup is ever in use.
fn generate_backup(config: &Config, threshold: Threshold, folder: &Path) -> Result<Backup, Failure> {
    let backup = Backup::generate(config.rules.keys(), clock::unix_seconds()?)?;
    let secret = backup.to_bytes()?;
    let mut read_back = Vec::new();
    for (number, line) in (1..).zip(shares::split(&secret, threshold)) {
        let path = folder.join(format!("share-{number}-of-{}", threshold.total()));
        write_share(&path, &line)?;
        read_back.push(ShareFile::read(&path)?);
        println!("wrote {}", path.display());
    }
    // Otherwise a crash could lose the shares of a token in use.
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| Failure::file(folder, error))?;
    let combined = shares::combine(&read_back).map_err(Failure::refused)?;
    if combined == secret { Ok(backup) } else { Err(Failure::refused("the shares do not restore the keys")) }
}

fn write_share(path: &Path, line: &str) -> Result<(), Failure> {
    let fail = |error: std::io::Error| Failure::file(path, error);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o400).open(path).map_err(fail)?;
    file.write_all(line.as_bytes()).map_err(fail)?;
    file.write_all(b"\n").map_err(fail)?;
    file.sync_all().map_err(fail)
}
