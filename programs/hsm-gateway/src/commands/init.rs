//! `hsm-gateway init`.

use super::record::recorded;
use super::restore::{import, read_share};
use super::{ConfigFile, create_keys, open, require_empty};
use crate::backup::Backup;
use crate::config::Config;
use crate::hsm::Hsm;
use crate::inventory::hsm_failure;
use crate::log::Line;
use crate::root;
use crate::shares::{self, Threshold};
use crate::worker::protocol::Call;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use vouchsafe_cli::{Failure, clock};
use vouchsafe_gateway::ROOT_LABEL;

/// Make the keys of an empty token
///
/// Makes the root secret, the root signing key with its certificate, and the first version of each [[key]]:
/// sensitive, not extractable, for signing only. They are made inside of the token and have no backup: a
/// lost token is then a lost root, and every verifier must get the keys of a new one. With `--with-backup`
/// all of them are made here, in memory, split into shares and put into the token.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway init --config gateway.toml\n  hsm-gateway init --with-backup 2-of-3 --shares /mnt/ceremony\n\nExit codes: 0 made, 1 the token has keys of the gateway or can't make them, 2 the command line or the file is wrong, or the PIN was refused."
)]
pub struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// The generation of epoch keys to begin with: above every one that was ever used with this issuer
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    generation: u64,
    /// Split the keys into N shares, K of which restore them
    #[arg(long, value_name = "K-of-N", requires = "shares")]
    with_backup: Option<Threshold>,
    /// Where the shares go, a file each; give them to different people, and leave none here
    #[arg(long, value_name = "DIR", requires = "with_backup")]
    shares: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let config = args.config.read()?;
    vouchsafe_cli::run(async {
        let hsm = open(&config).await?;
        require_empty(&hsm).await?;
        let keys: Vec<_> = config.rules.keys().map(|it| it.name.as_str()).collect();
        let about = |line: Line| {
            line.with("act", "init")
                .with("generation", args.generation)
                .with("keys", keys.clone())
                .with("backup", args.with_backup.map(|it| it.to_string()))
        };
        recorded(&config, about, make(&hsm, &config, &args)).await?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn make(hsm: &Arc<Hsm>, config: &Config, args: &Args) -> Result<(), Failure> {
    let generation = args.generation;
    match (args.with_backup, &args.shares) {
        (Some(threshold), Some(folder)) => {
            let backup = backed_up(config, threshold, folder)?;
            import(hsm, config, &backup, generation).await?;
            eprintln!(
                "note: give the shares away, then `hsm-gateway root-certificate` to verifiers; a version that is staged later is in no backup"
            );
        }
        _ => {
            let call = Call::CreateRoot { generation };
            hsm.call(call).await.map_err(hsm_failure)?;
            println!("made {ROOT_LABEL}, generation {generation}");
            root::create(hsm, clock::unix_seconds()?).await?;
            create_keys(hsm, config).await?;
            eprintln!("note: these keys have no backup, and can't get one");
        }
    }
    Ok(())
}

/// New keys, whose shares are on disk and were read back.
///
/// ORDER: shares before the token has a key, so that no key without its backup is ever in use.
fn backed_up(config: &Config, threshold: Threshold, folder: &Path) -> Result<Backup, Failure> {
    let backup = Backup::new(config.rules.keys(), clock::unix_seconds()?)?;
    let secret = backup.to_bytes()?;
    let mut read_back = Vec::new();
    for (number, line) in (1..).zip(shares::split(&secret, threshold)) {
        let path = folder.join(format!("share-{number}-of-{}", threshold.made()));
        write_share(&path, &line)?;
        read_back.push(read_share(&path)?);
        println!("wrote {}", path.display());
    }
    // Else a crash could leave a token whose shares are in no folder.
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| Failure::usage(format!("{}: {error}", folder.display())))?;
    let combined = shares::combine(&read_back).map_err(Failure::refused)?;
    if combined == secret {
        Ok(backup)
    } else {
        Err(Failure::refused("the shares do not give the keys back"))
    }
}

fn write_share(path: &Path, line: &str) -> Result<(), Failure> {
    let fail = |error: std::io::Error| Failure::usage(format!("{}: {error}", path.display()));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(path)
        .map_err(fail)?;
    file.write_all(line.as_bytes()).map_err(fail)?;
    file.write_all(b"\n").map_err(fail)?;
    file.sync_all().map_err(fail)
}
