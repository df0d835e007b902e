//! Subcommands.

pub mod add_key;
pub mod credential;
pub mod doctor;
pub mod init;
pub mod restore;
pub mod root_certificate;
pub mod rotate;
pub mod serve;
pub mod status;

use crate::config::{Config, Module};
use crate::failure::Failure;
use crate::gateway::algorithm;
use crate::hsm::Hsm;
use crate::inventory::{hsm_failure, inspect, make_private};
use crate::worker::protocol::Call;
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

/// Refuses a token that has keys of the gateway.
async fn require_empty(hsm: &Arc<Hsm>) -> Result<(), Failure> {
    let inventory = inspect(hsm).await.map_err(hsm_failure)?;
    match inventory.keys.first() {
        None => Ok(()),
        Some(key) => Err(
            Failure::refused(format!("the token has `{}` already", key.label)).hint(
                "this is for empty tokens; `hsm-gateway add-key` makes the key of a new [[key]]",
            ),
        ),
    }
}

/// Makes the version that signs of every [[key]].
async fn create_keys(hsm: &Arc<Hsm>, config: &Config) -> Result<(), Failure> {
    for rule in config.rules.keys() {
        let label = rule.label().to_string();
        let call = Call::CreateKey {
            label: label.clone(),
            algorithm: algorithm(rule.algorithm),
        };
        hsm.call(call).await.map_err(hsm_failure)?;
        println!("made {label}, {}", rule.algorithm.name());
    }
    Ok(())
}
