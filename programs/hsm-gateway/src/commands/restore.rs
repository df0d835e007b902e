//! `hsm-gateway restore`.

use super::record::recorded;
use super::{ConfigFile, open, require_empty};
use crate::backup::{Backup, root_key};
use crate::config::Config;
use crate::hsm::Hsm;
use crate::inventory::{hsm_failure, remember_generation};
use crate::log::Line;
use crate::root::import_certificate;
use crate::shares::{self, SHARE_BYTES_MAX};
use crate::worker::protocol::{Call, PrivateKey};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use vouchsafe_cli::{Failure, clock, files};
use vouchsafe_gateway::versions::VersionRecord;
use vouchsafe_gateway::{
    KeyAlgorithm, KeyRule, ROOT_CERTIFICATE_LABEL, ROOT_LABEL, ROOT_SIGNING_LABEL,
};
use zeroize::Zeroizing;

/// Rebuild all keys in an empty token, from shares of `init --with-backup`
///
/// Epoch keys are then what they were, byte for byte; so are the root's certificate and version 1 of each
/// [[key]]. The generation must not be below any that was ever used, or keys that were revoked come back.
/// A [[key]] whose version 1 was replaced must not sign again: leave it out with `--without`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway restore --generation 1 share-1-of-3 share-3-of-3\n  hsm-gateway restore --generation 4 --without deploy share-1-of-3 share-3-of-3\n\nExit codes: 0 restored, 1 the shares give no backup, the generation is too low, or the token has keys or can't take any, 2 the command line or a file is wrong, or the PIN was refused."
)]
pub struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// The highest generation that was ever used
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    generation: u64,
    /// A [[key]] that is not to come back; may be repeated
    #[arg(long, value_name = "NAME")]
    without: Vec<String>,
    /// Files with one share each
    #[arg(required = true, value_name = "FILE")]
    shares: Vec<PathBuf>,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let config = args.config.read()?;
    let lines = args.shares.iter().map(|path| read_share(path));
    let lines = lines.collect::<Result<Vec<_>, _>>()?;
    let secret = shares::combine(&lines).map_err(Failure::refused)?;
    let mut backup = Backup::parse(&secret)?;
    for name in &args.without {
        if !backup.keys.iter().any(|key| key.name == *name) {
            return Err(Failure::usage(format!("the backup has no `{name}`")));
        }
    }
    backup.keys.retain(|key| !args.without.contains(&key.name));
    vouchsafe_cli::run(async {
        let hsm = open(&config).await?;
        require_empty(&hsm).await?;
        // ORDER: all that can be known to be wrong, before the token gets its first key.
        key_rules(&config, &backup)?;
        remember_generation(&config.state_dir, args.generation)?;
        let keys: Vec<_> = backup.keys.iter().map(|it| it.name.as_str()).collect();
        let about = |line: Line| {
            line.with("act", "restore")
                .with("generation", args.generation)
                .with("keys", keys.clone())
        };
        let import = import(&hsm, &config, &backup, args.generation);
        recorded(&config, about, import).await?;
        for rule in config.rules.keys() {
            if !backup.keys.iter().any(|key| key.name == rule.name) {
                let name = &rule.name;
                eprintln!(
                    "note: `{name}` has no key: `hsm-gateway add-key {name}` makes a new one, which verifiers have to fetch"
                );
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Puts the keys of a backup into an empty token.
pub async fn import(
    hsm: &Arc<Hsm>,
    config: &Config,
    backup: &Backup,
    generation: u64,
) -> Result<(), Failure> {
    let rules = key_rules(config, backup)?;
    let call = Call::ImportRoot {
        generation,
        root: backup.root.clone(),
    };
    hsm.call(call).await.map_err(hsm_failure)?;
    println!("put in {ROOT_LABEL}, generation {generation}");
    import_key(
        hsm,
        ROOT_SIGNING_LABEL.to_owned(),
        &[],
        &backup.root_signing,
    )
    .await?;
    let key = root_key(&backup.root_signing)?;
    import_certificate(hsm, backup.root_certificate.0.to_vec(), key).await?;
    println!("put in {ROOT_SIGNING_LABEL}, ES256, and {ROOT_CERTIFICATE_LABEL}");
    for (rule, key) in rules {
        let record = VersionRecord::first(clock::unix_seconds()?, rule.lifetime_seconds_max);
        let label = rule.label_of(1).to_string();
        import_key(hsm, label.clone(), &record.to_bytes(), key).await?;
        println!(
            "put in {label}, {}, {}",
            rule.algorithm.name(),
            record.state.name()
        );
    }
    Ok(())
}

async fn import_key(
    hsm: &Arc<Hsm>,
    label: String,
    id: &[u8],
    key: &PrivateKey,
) -> Result<(), Failure> {
    let call = Call::ImportKey {
        label,
        id: id.to_vec().into(),
        key: key.clone(),
    };
    hsm.call(call).await.map_err(hsm_failure).map(drop)
}

/// Each key of the backup with what the file says of it.
fn key_rules<'a>(
    config: &'a Config,
    backup: &'a Backup,
) -> Result<Vec<(&'a KeyRule, &'a PrivateKey)>, Failure> {
    let rule_of = |name: &str| config.rules.keys().find(|rule| rule.name == name);
    let pairs = backup.keys.iter().map(|key| {
        let rule = rule_of(&key.name).ok_or_else(|| {
            Failure::usage(format!(
                "the backup has `{}`, and the file no such [[key]]",
                key.name
            ))
            .hint("`--without` leaves it out")
        })?;
        let fits = matches!(
            (rule.algorithm, &key.key),
            (KeyAlgorithm::EdDsa, PrivateKey::Edwards { .. })
                | (KeyAlgorithm::Es256, PrivateKey::Ec { .. })
                | (KeyAlgorithm::Rs256, PrivateKey::Rsa { .. })
        );
        if fits {
            Ok((rule, &key.key))
        } else {
            Err(Failure::usage(format!(
                "the backup's `{}` is not for {}",
                rule.name,
                rule.algorithm.name()
            )))
        }
    });
    pairs.collect()
}

/// Reads a share's file.
pub fn read_share(path: &Path) -> Result<Zeroizing<String>, Failure> {
    files::read_text(path, SHARE_BYTES_MAX)
}
