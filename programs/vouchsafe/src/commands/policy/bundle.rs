//! The bundle that a command reads, and the environment that it is checked in.

use std::path::Path;
use vouchsafe_cli::Failure;
use vouchsafe_policy::{Bundle, BundleFiles, Environment, LoadError, folder};

/// The environment that a bundle is checked in. In the broker it comes from the signer's settings.
#[derive(clap::Args)]
pub struct EnvironmentArgs {
    /// The broker's own issuer URL: the audience of subject tokens if an issuer file names none.
    #[arg(long, value_name = "URL", default_value = "https://broker.example")]
    issuer: String,
    /// Also trust issuers whose files are marked `development = true`.
    #[arg(long)]
    pub development: bool,
    /// Length of a signing epoch. Token lifetimes are limited to it minus 60 s.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    epoch_seconds: u64,
}

impl EnvironmentArgs {
    pub fn environment(&self) -> Environment {
        Environment { issuer: self.issuer.clone(), development: self.development, epoch_seconds: self.epoch_seconds }
    }
}

/// Reads the files in `dir`.
pub fn read_folder(dir: &Path) -> Result<Result<BundleFiles, LoadError>, Failure> {
    must_be_folder(dir)?;
    Ok(folder::read(dir))
}

pub fn must_be_folder(dir: &Path) -> Result<(), Failure> {
    if dir.is_dir() {
        return Ok(());
    }
    Err(Failure::usage(format!("`{}` is not a folder", dir.display()))
        .hint("pass the folder that contains `bundle.toml`"))
}

/// Loads the bundle in `dir`, which must be valid.
pub fn load(dir: &Path, environment: &Environment) -> Result<(BundleFiles, Bundle), Failure> {
    let loaded = read_folder(dir)?.and_then(|files| {
        let bundle = Bundle::load(&files, environment)?;
        Ok((files, bundle))
    });
    loaded.map_err(|error| {
        Failure::refused(format!("the bundle does not load\n{error}"))
            .hint(format!("run `vouchsafe policy check {}`", dir.display()))
    })
}
