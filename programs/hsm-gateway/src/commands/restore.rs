//! `hsm-gateway restore`.

use super::{ConfigFile, create_keys, open, require_empty, runtime};
use crate::failure::Failure;
use crate::inventory::{hsm_failure, remember_generation};
use crate::shares;
use crate::worker::protocol::Call;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vouchsafe_gateway::ROOT_LABEL;
use zeroize::Zeroizing;

/// Longest file that holds a share.
const SHARE_BYTES_MAX: u64 = 4096;

/// Rebuild the root in an empty token, from shares of `init --with-backup`
///
/// Epoch keys are then what they were, byte for byte. Keys of tier `hsm` have no backup: they are made
/// anew, and verifiers have to fetch them. The generation must not be below any that was ever used, or
/// keys that were revoked come back.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway restore --generation 1 share-1-of-3 share-3-of-3\n\nExit codes: 0 restored, 1 the shares give no root, the generation is too low, or the token has keys or can't take any, 2 the command line or a file is wrong, or the PIN was refused."
)]
pub struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// The highest generation that was ever used
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    generation: u64,
    /// Files with one share each
    #[arg(required = true, value_name = "FILE")]
    shares: Vec<PathBuf>,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let config = args.config.read()?;
    let lines = args.shares.iter().map(|path| read_share(path));
    let lines = lines.collect::<Result<Vec<_>, _>>()?;
    let root = shares::combine(&lines).map_err(Failure::refused)?;
    runtime()?.block_on(async {
        let hsm = open(&config).await?;
        require_empty(&hsm).await?;
        remember_generation(&config.state_dir, args.generation)?;
        let call = Call::ImportRoot {
            generation: args.generation,
            root: root.to_vec().into(),
        };
        hsm.call(call).await.map_err(hsm_failure)?;
        println!("restored {ROOT_LABEL}, generation {}", args.generation);
        crate::root::create(&hsm, crate::clock::Clock::new(None).now()).await?;
        create_keys(&hsm, &config).await?;
        Ok(ExitCode::SUCCESS)
    })
}

fn read_share(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let fail = |why: &dyn std::fmt::Display| Failure::usage(format!("{}: {why}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| fail(&error))?.len();
    if size > SHARE_BYTES_MAX {
        return Err(fail(&"too long for a share"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| fail(&error))?;
    Ok(Zeroizing::new(text))
}
