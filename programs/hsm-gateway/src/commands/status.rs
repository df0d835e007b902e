//! `hsm-gateway status`.

use super::{ConfigFile, describe_duplicate, open};
use crate::hex::{fingerprint, hex};
use crate::pkcs11::protocol::{Inventory, KeyInfo};
use crate::pkcs11::public_key;
use crate::pkcs11::{Root, inspect};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format};
use vouchsafe_gateway::versions::VersionRecord;
use vouchsafe_gateway::{Generation, KeyLabel, ROOT_CERTIFICATE_LABEL, ROOT_SIGNING_LABEL};

/// List the PKCS#11 token's mechanisms and keys, with versions and states
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway status --config gateway.toml\n  hsm-gateway status --format json\n\nExit codes: 0 listed, 1 the PKCS#11 token cannot be read, 2 the command line or the configuration is wrong, or the PIN was refused."
)]
pub struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let config = args.config.read()?;
    let inventory = vouchsafe_cli::run(async {
        let hsm = open(&config).await?;
        Ok(inspect(&hsm).await?)
    })?;
    match args.format {
        Format::Json => println!("{}", json_of(&inventory)),
        Format::Text => print_text(&inventory),
    }
    Ok(ExitCode::SUCCESS)
}

fn kid(key: &KeyInfo) -> Option<String> {
    let jwk = key.public.as_ref().and_then(public_key::jwk)?;
    Some(jwk.kid().to_owned())
}

fn algorithm(key: &KeyInfo) -> &'static str {
    let jwk = key.public.as_ref().and_then(public_key::jwk);
    match jwk {
        Some(jwk) => jwk.algorithm(),
        None if key.secret => "HMAC-SHA256",
        None => "unknown",
    }
}

/// The state of a version of a key that signs JWTs.
fn state(key: &KeyInfo) -> Option<&'static str> {
    let record = VersionRecord::parse(&key.id.0);
    record.filter(|_| !key.secret).map(|it| it.state.name())
}

/// The generation, if the key is the root.
fn generation(key: &KeyInfo) -> Option<Generation> {
    Generation::parse(&key.id.0).filter(|_| key.secret)
}

fn json_of(inventory: &Inventory) -> serde_json::Value {
    let keys: Vec<_> = inventory
        .keys
        .iter()
        .map(|key| {
            json!({
                "label": key.label,
                "algorithm": algorithm(key),
                "kid": kid(key),
                "generation": generation(key).map(|it| it.number),
                "generation_since": generation(key).and_then(|it| it.since),
                "state": state(key),
                "sensitive": key.flags.sensitive,
                "extractable": key.flags.extractable,
                "never_extractable": key.flags.never_extractable,
                "sign_only": key.flags.sign && !key.flags.more,
            })
        })
        .collect();
    json!({
        "model": inventory.model,
        "serial": inventory.serial,
        "mechanisms": inventory.mechanisms,
        "mechanisms_missing": inventory.mechanisms_missing,
        "keys": keys,
        "destroyed": inventory.destroyed,
        "doubled": inventory.duplicates,
        "root_certificate_sha256": Root::find(inventory)
            .ok()
            .map(|root| hex(&Sha256::digest(root.der()))),
    })
}

fn print_text(inventory: &Inventory) {
    println!("token {} {}", inventory.model, inventory.serial);
    println!("  mechanisms  {}", inventory.mechanisms.join(" "));
    if !inventory.mechanisms_missing.is_empty() {
        let missing = inventory.mechanisms_missing.join(" ");
        println!("  mechanisms not supported  {missing}");
    }
    for key in &inventory.keys {
        let safety = match (key.flags.are_safe(), key.flags.never_extractable) {
            (true, true) => "stays in the token",
            (true, false) => "stays in the token, imported",
            (false, _) => "NOT SAFE: can leave the token or do more than sign",
        };
        let what = match generation(key) {
            Some(generation) => format!("generation {}", generation.number),
            None => format!(
                "{} {}",
                kid(key).unwrap_or_default(),
                if key.label == ROOT_SIGNING_LABEL { "certifies epoch keys" } else { state(key).unwrap_or("NO STATE") }
            ),
        };
        println!("  {}  {}  {what}  {safety}", key.label, algorithm(key));
    }
    match Root::find(inventory) {
        Ok(root) => println!("  {ROOT_CERTIFICATE_LABEL}  SHA-256 {}", fingerprint(&Sha256::digest(root.der()))),
        Err(_) if inventory.keys.is_empty() => {}
        Err(failure) => println!("  {ROOT_CERTIFICATE_LABEL}  NOT USABLE: {}", failure.message),
    }
    for label in &inventory.destroyed {
        println!("  {label}  destroyed");
    }
    for label in &inventory.duplicates {
        let problem = match KeyLabel::parse(label) {
            Some(key) => describe_duplicate(key.name(), key.version()),
            None => "duplicate PKCS#11 objects; no gateway starts".to_owned(),
        };
        println!("  {label}  DUPLICATE: {problem}");
    }
    if inventory.keys.is_empty() {
        println!("  no keys of the gateway; `hsm-gateway init` creates them");
    }
}
