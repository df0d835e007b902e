//! `hsm-gateway restore`.

use super::log_operation::log_operation;
use super::{ConfigFile, open, require_empty};
use crate::backup::Backup;
use crate::backup::import::{import, require_configured};
use crate::backup::shares::{self, ShareFile};
use crate::log::Line;
use crate::state_dir;
use std::path::PathBuf;
use std::process::ExitCode;
use vouchsafe_cli::Failure;

/// Restore all keys into an empty PKCS#11 token, from shares of `init --with-backup`
///
/// Epoch keys are then the same as before, byte for byte, and so are the root's certificate and version 1 of each
/// [[key]]. The generation must not be lower than any that was ever used, or revoked keys come back. A [[key]] whose
/// version 1 was replaced must not sign again: leave it out with `--without`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway restore --generation 1 share-1-of-3 share-3-of-3\n  hsm-gateway restore --generation 4 --without deploy share-1-of-3 share-3-of-3\n\nExit codes: 0 restored, 1 the shares restore no backup, the generation is too low, or the PKCS#11 token has keys or accepts none, 2 the command line or a file is wrong, or the PIN was refused."
)]
pub struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// Highest generation that was ever used
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    generation: u64,
    /// [[key]] to leave out; may be repeated
    #[arg(long, value_name = "NAME")]
    without: Vec<String>,
    /// Files with one share each
    #[arg(required = true, value_name = "FILE")]
    shares: Vec<PathBuf>,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let config = args.config.read()?;
    let files = args.shares.iter().map(|path| ShareFile::read(path)).collect::<Result<Vec<_>, _>>()?;
    let secret = shares::combine(&files).map_err(|why| {
        Failure::refused(why).hint("compare the SHA-256 of the files with the record of the ceremony")
    })?;
    let mut backup = Backup::parse(&secret)?;
    for name in &args.without {
        if !backup.keys.iter().any(|key| key.name == *name) {
            return Err(Failure::usage(format!("backup contains no key `{name}`")));
        }
    }
    backup.keys.retain(|key| !args.without.contains(&key.name));
    vouchsafe_cli::run(async {
        let hsm = open(&config).await?;
        require_empty(&hsm).await?;
        // ORDER: every check before the token gets its first key.
        require_configured(&config, &backup)?;
        state_dir::remember_generation(&config.state_dir, args.generation)?;
        let keys: Vec<_> = backup.keys.iter().map(|it| it.name.as_str()).collect();
        let describe =
            |line: Line| line.with("act", "restore").with("generation", args.generation).with("keys", keys.clone());
        let import = import(&hsm, &config, &backup, args.generation);
        log_operation(&config, describe, import).await?;
        for rule in config.rules.keys() {
            if !backup.keys.iter().any(|key| key.name == rule.name) {
                let name = &rule.name;
                eprintln!(
                    "note: `{name}` has no key; `hsm-gateway add-key {name}` creates a new one, which verifiers have to fetch"
                );
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}
