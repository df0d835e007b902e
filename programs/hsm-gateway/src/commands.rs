//! Subcommands, and what they share.

pub mod add_key;
pub mod credential;
pub mod doctor;
pub mod init;
mod log_operation;
pub mod restore;
pub mod root_certificate;
pub mod rotate;
pub mod serve;
pub mod status;

use crate::config::{Config, Module};
use crate::pkcs11::protocol::Call;
use crate::pkcs11::{CREATE_MAX, Hsm, inspect};
use crate::state_dir;
use std::path::PathBuf;
use std::sync::Arc;
use vouchsafe_cli::{Failure, clock};
use vouchsafe_gateway::KeyRule;
use vouchsafe_gateway::versions::VersionRecord;

/// The option that names the configuration file.
#[derive(clap::Args)]
pub struct ConfigFile {
    /// Configuration file
    #[arg(long, value_name = "FILE", default_value = "gateway.toml")]
    config: PathBuf,
}

impl ConfigFile {
    pub fn read(&self) -> Result<Config, Failure> {
        Config::read(&self.config)
    }
}

/// Opens the HSM for a command: with one session, and enough time to generate keys.
async fn open(config: &Config) -> Result<Arc<Hsm>, Failure> {
    state_dir::create(&config.state_dir)?;
    let module = Module { sessions: 1, deadline: CREATE_MAX, ..config.module.clone() };
    Ok(Hsm::start(module, &config.state_dir, Arc::default(), false).await?)
}

/// Requires that the token has no key of the gateway.
async fn require_empty(hsm: &Arc<Hsm>) -> Result<(), Failure> {
    let inventory = inspect(hsm).await?;
    match inventory.keys.first() {
        None => Ok(()),
        Some(key) => Err(Failure::refused(format!("the PKCS#11 token already has `{}`", key.label))
            .hint("this command is for empty PKCS#11 tokens; `hsm-gateway add-key` creates the key of a new [[key]]")),
    }
}

/// Creates the first version of every [[key]]. It signs at once, since no verifier knows another.
async fn create_keys(hsm: &Arc<Hsm>, config: &Config) -> Result<(), Failure> {
    for rule in config.rules.keys() {
        let record = VersionRecord::first(clock::unix_seconds()?, rule.lifetime_seconds_max);
        create_key(hsm, rule, record).await?;
    }
    Ok(())
}

/// Creates version 1 of a [[key]].
async fn create_key(hsm: &Arc<Hsm>, rule: &KeyRule, record: VersionRecord) -> Result<(), Failure> {
    let label = rule.label_of(1).to_string();
    hsm.call(Call::CreateKey {
        label: label.clone(),
        algorithm: rule.algorithm.into(),
        id: record.to_bytes().to_vec().into(),
    })
    .await?;
    let (algorithm, state) = (rule.algorithm.name(), record.state.name());
    println!("created {label}, {algorithm}, {state}");
    Ok(())
}

/// What is wrong with a version that the token has more than once, and what to do about it.
fn describe_duplicate(name: &str, version: u64) -> String {
    format!(
        "duplicate PKCS#11 objects, ignored; `vouchsafe keys retire {name} --version {version} --destroy` destroys both"
    )
}
