//! Subcommands.

pub mod add_key;
pub mod credential;
pub mod doctor;
pub mod init;
pub mod rotate;
pub mod serve;
pub mod status;

use crate::config::{Config, Module};
use crate::failure::Failure;
use crate::gateway::{hsm_failure, make_private};
use crate::hsm::Hsm;
use clap::ValueEnum;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Longest that making one key may take: an RSA key of 3072 bits takes seconds in a slow HSM.
const CREATE_MAX: Duration = Duration::from_secs(120);

/// Where the configuration is.
#[derive(clap::Args)]
pub struct ConfigFile {
    /// The gateway's file
    #[arg(long, value_name = "FILE", default_value = "gateway.toml")]
    config: PathBuf,
}

impl ConfigFile {
    pub fn read(&self) -> Result<Config, Failure> {
        Config::read(&self.config)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Json,
    Text,
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::refused(format!("no runtime: {error}")))
}

/// The HSM for a command: one session, and time to make keys.
async fn open(config: &Config) -> Result<Arc<Hsm>, Failure> {
    make_private(&config.state_dir)?;
    let module = Module {
        sessions: 1,
        deadline: CREATE_MAX,
        ..config.module.clone()
    };
    Hsm::start(module, &config.state_dir, Arc::default(), false)
        .await
        .map_err(hsm_failure)
}
