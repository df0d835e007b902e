//! `hsm-gateway doctor`.

use super::{ConfigFile, describe_duplicate, open};
use crate::config::Config;
use crate::pkcs11::protocol::{Algorithm, Call, Inventory, KeyInfo, Reply};
use crate::pkcs11::public_key;
use crate::pkcs11::{Hsm, Root, check_key_pair, inspect, key_versions, root_generation};
use serde_json::json;
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use vouchsafe_cli::{Failure, Format};
use vouchsafe_gateway::{KeyAlgorithm, KeyLabel, ROOT_LABEL, ROOT_SIGNING_LABEL, TOKEN_KEY_PREFIX};
use vouchsafe_jose::PublicKey;

const IMPORT_ONLY: &str =
    "not supported by the PKCS#11 token; keys that need it can only be imported, by `init --with-backup` or `restore`";

/// The message that is signed as a test. It can't be the signing input of a JWT.
const PROBE: &[u8] = b"hsm-gateway doctor";

/// Test every key and mechanism, and report what is wrong
///
/// Derives with the root twice and compares; signs with the root signing key and with every version on the PKCS#11
/// token, whatever its state, and verifies; names the mechanisms that the token does not support. Each line begins with
/// `ok`,
/// `note` or `WRONG`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway doctor --config gateway.toml\n  hsm-gateway doctor --format json\n\nExit codes: 0 nothing is wrong, 1 something is wrong, 2 the command line or the configuration is wrong, or the PIN was refused."
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
    let findings = vouchsafe_cli::run(examine(&config))?;
    let healthy = !findings.iter().any(|(_, it)| matches!(it, Found::Wrong(_)));
    match args.format {
        Format::Json => println!("{}", json_of(healthy, &findings)),
        Format::Text => findings.iter().for_each(print_text),
    }
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was tested, with the result.
type Finding = (String, Found);

enum Found {
    Ok,
    /// Not wrong, but worth knowing.
    Note(String),
    Wrong(String),
}

impl From<Result<(), String>> for Found {
    fn from(outcome: Result<(), String>) -> Self {
        outcome.map_or_else(Self::Wrong, |()| Self::Ok)
    }
}

fn print_text((what, found): &Finding) {
    match found {
        Found::Ok => println!("ok    {what}"),
        Found::Note(why) => println!("note  {what}: {why}"),
        Found::Wrong(why) => println!("WRONG {what}: {why}"),
    }
}

fn json_of(healthy: bool, findings: &[Finding]) -> serde_json::Value {
    let findings = findings.iter().map(|(what, found)| {
        let (result, why) = match found {
            Found::Ok => ("ok", None),
            Found::Note(why) => ("note", Some(why)),
            Found::Wrong(why) => ("wrong", Some(why)),
        };
        json!({ "what": what, "result": result, "why": why })
    });
    json!({ "well": healthy, "findings": findings.collect::<Vec<_>>() })
}

async fn examine(config: &Config) -> Result<Vec<Finding>, Failure> {
    let hsm = open(config).await?;
    let inventory = inspect(&hsm).await?;
    let mut findings = check_mechanisms(config, &inventory);
    let root = match root_generation(&inventory) {
        Ok(_) => check_derivation(&hsm).await,
        Err(failure) => Err(failure.message),
    };
    findings.push((ROOT_LABEL.to_owned(), root.into()));
    let signing = match Root::find(&inventory) {
        Ok(root) => check_signature(&hsm, ROOT_SIGNING_LABEL, Algorithm::Es256, root.verifier()).await,
        Err(failure) => Err(failure.message),
    };
    findings.push((ROOT_SIGNING_LABEL.to_owned(), signing.into()));
    for rule in config.rules.keys() {
        match key_versions(&inventory, rule) {
            Ok(versions) => {
                for version in versions.doubled() {
                    let label = rule.label_of(version).to_string();
                    findings.push((label, Found::Wrong(describe_duplicate(&rule.name, version))));
                }
            }
            Err(failure) => findings.push((rule.name.clone(), Found::Wrong(failure.message))),
        }
    }
    for key in &inventory.keys {
        let is_reported = findings.iter().any(|(label, _)| *label == key.label);
        if key.label.starts_with(TOKEN_KEY_PREFIX) && !key.secret && !is_reported {
            let found = check_version(&hsm, config, &inventory, key).await;
            findings.push((key.label.clone(), found));
        }
    }
    Ok(findings)
}

/// Checks the mechanisms that the configuration needs: those for using keys must be supported, those for generating
/// them need not be.
fn check_mechanisms(config: &Config, inventory: &Inventory) -> Vec<Finding> {
    let mut required = BTreeSet::from(["CKM_ECDSA", "CKM_SHA256_HMAC"]);
    let mut generating = BTreeSet::from(["CKM_EC_KEY_PAIR_GEN", "CKM_GENERIC_SECRET_KEY_GEN"]);
    for rule in config.rules.keys() {
        let (generate, sign) = match rule.algorithm {
            KeyAlgorithm::EdDsa => ("CKM_EC_EDWARDS_KEY_PAIR_GEN", "CKM_EDDSA"),
            KeyAlgorithm::Es256 => ("CKM_EC_KEY_PAIR_GEN", "CKM_ECDSA"),
            KeyAlgorithm::Rs256 => ("CKM_RSA_PKCS_KEY_PAIR_GEN", "CKM_SHA256_RSA_PKCS"),
        };
        generating.insert(generate);
        required.insert(sign);
    }
    let is_supported = |name: &&str| !inventory.mechanisms_missing.iter().any(|it| it == name);
    let required = required.into_iter().map(|name| {
        let found =
            if is_supported(&name) { Found::Ok } else { Found::Wrong("not supported by the PKCS#11 token".to_owned()) };
        (name.to_owned(), found)
    });
    let generating = generating.into_iter().map(|name| {
        let found = if is_supported(&name) { Found::Ok } else { Found::Note(IMPORT_ONLY.to_owned()) };
        (name.to_owned(), found)
    });
    required.chain(generating).collect()
}

async fn call_for_bytes(hsm: &Arc<Hsm>, call: Call) -> Result<Vec<u8>, String> {
    match hsm.call(call).await {
        Ok(Reply::Bytes(bytes)) => Ok(bytes.0.to_vec()),
        Ok(Reply::Done | Reply::Inventory(_) | Reply::States(_)) => Err("unexpected reply from the worker".into()),
        Err(error) => Err(error.to_string()),
    }
}

async fn check_derivation(hsm: &Arc<Hsm>) -> Result<(), String> {
    let call = || Call::Derive { message: PROBE.to_vec().into() };
    let (first, second) = (call_for_bytes(hsm, call()).await?, call_for_bytes(hsm, call()).await?);
    if first.len() == 32 && first == second {
        Ok(())
    } else {
        Err("does not derive the same 32 bytes twice".to_owned())
    }
}

/// Signs with a version, with the configured algorithm or else the key's own.
async fn check_version(hsm: &Arc<Hsm>, config: &Config, inventory: &Inventory, key: &KeyInfo) -> Found {
    let label = KeyLabel::parse(&key.label);
    let is_of = |name: &str| label.as_ref().is_some_and(|label| label.name() == name);
    let rule = config.rules.keys().find(|rule| is_of(&rule.name));
    let algorithm = match rule {
        Some(rule) => Some(rule.algorithm),
        None => own_algorithm(key),
    };
    let Some(algorithm) = algorithm else {
        return Found::Wrong("no public key of a known algorithm".to_owned());
    };
    let outcome = match check_key_pair(inventory, &key.label, algorithm.name(), "") {
        Ok((_, verifier)) => check_signature(hsm, &key.label, algorithm.into(), &verifier).await,
        Err(failure) => Err(failure.message),
    };
    match (outcome, rule) {
        (Ok(()), None) => Found::Note("works, but the configuration has no [[key]] of its name".into()),
        (outcome, _) => outcome.into(),
    }
}

fn own_algorithm(key: &KeyInfo) -> Option<KeyAlgorithm> {
    let jwk = key.public.as_ref().and_then(public_key::jwk)?;
    KeyAlgorithm::from_name(jwk.algorithm())
}

async fn check_signature(
    hsm: &Arc<Hsm>,
    label: &str,
    algorithm: Algorithm,
    verifier: &PublicKey,
) -> Result<(), String> {
    let call = Call::Sign { label: label.to_owned(), algorithm, message: PROBE.to_vec().into() };
    let signature = call_for_bytes(hsm, call).await?;
    verifier.verify(PROBE, &signature).map_err(|_| "signature does not verify".to_owned())
}
