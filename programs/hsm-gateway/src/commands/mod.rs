//! Subcommands.

pub mod add_key;
pub mod credential;
pub mod doctor;
pub mod init;
mod record;
pub mod restore;
pub mod root_certificate;
pub mod rotate;
pub mod serve;
pub mod status;

use crate::config::{Config, Module};
use crate::gateway::algorithm;
use crate::hsm::{CREATE_MAX, Hsm};
use crate::inventory::{hsm_failure, inspect, make_private};
use crate::worker::protocol::Call;
use std::path::PathBuf;
use std::sync::Arc;
use vouchsafe_cli::{Failure, clock};
use vouchsafe_gateway::KeyRule;
use vouchsafe_gateway::versions::VersionRecord;

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

/// Makes the first version of every [[key]], which signs at once: no verifier knows another.
async fn create_keys(hsm: &Arc<Hsm>, config: &Config) -> Result<(), Failure> {
    for rule in config.rules.keys() {
        let record = VersionRecord::first(clock::unix_seconds()?, rule.lifetime_seconds_max);
        create_key(hsm, rule, record).await?;
    }
    Ok(())
}

/// Makes version 1 of a [[key]].
async fn create_key(hsm: &Arc<Hsm>, rule: &KeyRule, record: VersionRecord) -> Result<(), Failure> {
    let label = rule.label_of(1).to_string();
    let call = Call::CreateKey {
        label: label.clone(),
        algorithm: algorithm(rule.algorithm),
        id: record.to_bytes().to_vec().into(),
    };
    hsm.call(call).await.map_err(hsm_failure)?;
    let (algorithm, state) = (rule.algorithm.name(), record.state.name());
    println!("made {label}, {algorithm}, {state}");
    Ok(())
}

/// What to know of a version that the token has twice, and to do.
fn doubled_hint(name: &str, version: u64) -> String {
    format!(
        "the token has it twice, and it is not used; `vouchsafe keys retire {name} --version {version} --destroy` destroys both"
    )
}
