//! The bundle that a command reads, and the environment that it is checked in.

use super::output::quoted;
use std::path::{Path, PathBuf};
use vouchsafe_cli::Failure;
use vouchsafe_policy::{Bundle, BundleFiles, Environment, LoadError, folder};

/// The folder that commands use if none is given.
pub const DIR_DEFAULT: &str = "policies";
/// A broker that does not exist, for bundles that are the same at every broker.
const ISSUER_DEFAULT: &str = "https://broker.example";

/// The environment that a bundle is checked in. In the broker it comes from the signer's settings.
#[derive(clap::Args)]
pub struct EnvironmentArgs {
    /// The broker's own issuer URL: the audience of subject tokens if an issuer file names none;
    /// default: `https://broker.example`.
    #[arg(long, value_name = "URL")]
    pub issuer: Option<String>,
    /// Also trust issuers whose files are marked `development = true`.
    #[arg(long)]
    pub development: bool,
    /// Length of a signing epoch. Token lifetimes are limited to it minus 60 s.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    epoch_seconds: u64,
}

impl EnvironmentArgs {
    pub fn environment(&self) -> Environment {
        let issuer = self.issuer.as_deref().unwrap_or(ISSUER_DEFAULT);
        Environment { issuer: issuer.to_owned(), development: self.development, epoch_seconds: self.epoch_seconds }
    }
}

/// Reads the files in `dir`.
pub fn read_folder(dir: &Path) -> Result<Result<BundleFiles, LoadError>, Failure> {
    must_have_bundle(dir)?;
    Ok(folder::read(dir))
}

/// Fails in a folder without a bundle, in which every file would be an error, and names one with a bundle nearby.
pub fn must_have_bundle(dir: &Path) -> Result<(), Failure> {
    if has_bundle(dir) {
        return Ok(());
    }
    let shown = dir.display();
    let failure = Failure::usage(match dir.is_dir() {
        true => format!("no `bundle.toml` in `{shown}`"),
        false => format!("`{shown}` is not a folder"),
    });
    let nearby = [dir.join(DIR_DEFAULT), PathBuf::from(DIR_DEFAULT), PathBuf::from(".")];
    Err(match nearby.iter().find(|dir| has_bundle(dir)) {
        Some(dir) => failure.hint(format!("did you mean `{}`?", dir.display())),
        None => failure.hint("pass the folder that contains `bundle.toml`"),
    })
}

/// Whatever is there under this name: reading the folder reports what is wrong with it.
fn has_bundle(dir: &Path) -> bool {
    dir.join("bundle.toml").symlink_metadata().is_ok()
}

/// Loads the bundle in `dir`, which must be valid.
pub fn load(dir: &Path, environment: &Environment) -> Result<(BundleFiles, Bundle), Failure> {
    let loaded = read_folder(dir)?.and_then(|files| {
        let bundle = Bundle::load(&files, environment)?;
        Ok((files, bundle))
    });
    loaded.map_err(|error| {
        Failure::refused(format!("the bundle does not load\n{error}"))
            .hint(format!("run `vouchsafe policy check {}`", quoted(dir)))
    })
}
