//! `hsm-gateway doctor`.

use super::{ConfigFile, doubled_hint, open};
use crate::config::Config;
use crate::gateway::algorithm;
use crate::hsm::Hsm;
use crate::inventory::{checked_pair, generation, hsm_failure, inspect, versions};
use crate::public_key;
use crate::root::Root;
use crate::worker::protocol::{Algorithm, Call, Inventory, KeyInfo, Reply};
use serde_json::json;
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use vouchsafe_cli::{Failure, Format};
use vouchsafe_gateway::{KeyAlgorithm, KeyLabel, ROOT_LABEL, ROOT_SIGNING_LABEL, TOKEN_KEY_PREFIX};
use vouchsafe_jose::PublicKey;

const NOT_MADE: &str = "the token has it not: keys that need it can only be brought from a backup, by `init --with-backup` or `restore`";

/// What is signed to see that it verifies. It is no signing input of a token.
const PROBE: &[u8] = b"hsm-gateway doctor";

/// Use every key once, and say what is wrong
///
/// Derives with the root twice and compares, signs with the root signing key and with every version on the
/// token, of whatever state, and verifies, and names the mechanisms that the token has not. A line begins
/// with `ok`, with `note` or with `WRONG`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway doctor --config gateway.toml\n  hsm-gateway doctor --format json\n\nExit codes: 0 nothing is wrong, 1 something is wrong, 2 the command line or the file is wrong, or the PIN was refused."
)]
pub struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let config = args.config.read()?;
    let findings = vouchsafe_cli::run(examine(&config))?;
    let well = !findings.iter().any(|(_, it)| matches!(it, Found::Wrong(_)));
    match args.format {
        Format::Json => println!("{}", json_of(well, &findings)),
        Format::Text => findings.iter().for_each(print_text),
    }
    Ok(match well {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// What was looked at, and what was found.
type Finding = (String, Found);

enum Found {
    Well,
    /// Nothing is wrong, and somebody may want to know.
    Note(String),
    Wrong(String),
}

impl From<Result<(), String>> for Found {
    fn from(outcome: Result<(), String>) -> Self {
        outcome.map_or_else(Self::Wrong, |()| Self::Well)
    }
}

fn print_text((what, found): &Finding) {
    match found {
        Found::Well => println!("ok    {what}"),
        Found::Note(why) => println!("note  {what}: {why}"),
        Found::Wrong(why) => println!("WRONG {what}: {why}"),
    }
}

fn json_of(well: bool, findings: &[Finding]) -> serde_json::Value {
    let findings = findings.iter().map(|(what, found)| {
        let (result, why) = match found {
            Found::Well => ("ok", None),
            Found::Note(why) => ("note", Some(why)),
            Found::Wrong(why) => ("wrong", Some(why)),
        };
        json!({ "what": what, "result": result, "why": why })
    });
    json!({ "well": well, "findings": findings.collect::<Vec<_>>() })
}

async fn examine(config: &Config) -> Result<Vec<Finding>, Failure> {
    let hsm = open(config).await?;
    let inventory = inspect(&hsm).await.map_err(hsm_failure)?;
    let mut findings = mechanisms(config, &inventory);
    let root = match generation(&inventory) {
        Ok(_) => derives_alike(&hsm).await,
        Err(failure) => Err(failure.message),
    };
    findings.push((ROOT_LABEL.to_owned(), root.into()));
    let signing = match Root::of(&inventory) {
        Ok(root) => verified(&hsm, ROOT_SIGNING_LABEL, Algorithm::Es256, root.verifier()).await,
        Err(failure) => Err(failure.message),
    };
    findings.push((ROOT_SIGNING_LABEL.to_owned(), signing.into()));
    for rule in config.rules.keys() {
        match versions(&inventory, rule) {
            Ok(versions) => {
                for version in versions.doubled() {
                    let label = rule.label_of(version).to_string();
                    findings.push((label, Found::Wrong(doubled_hint(&rule.name, version))));
                }
            }
            Err(failure) => findings.push((rule.name.clone(), Found::Wrong(failure.message))),
        }
    }
    for key in &inventory.keys {
        let is_told = findings.iter().any(|(label, _)| *label == key.label);
        if key.label.starts_with(TOKEN_KEY_PREFIX) && !key.secret && !is_told {
            let found = signs(&hsm, config, &inventory, key).await;
            findings.push((key.label.clone(), found));
        }
    }
    Ok(findings)
}

/// Mechanisms that are needed, by what the file says: to use keys always, to make them on some tokens only.
fn mechanisms(config: &Config, inventory: &Inventory) -> Vec<Finding> {
    let mut uses = BTreeSet::from(["CKM_ECDSA", "CKM_SHA256_HMAC"]);
    let mut makes = BTreeSet::from(["CKM_EC_KEY_PAIR_GEN", "CKM_GENERIC_SECRET_KEY_GEN"]);
    for rule in config.rules.keys() {
        let (maker, user) = match rule.algorithm {
            KeyAlgorithm::EdDsa => ("CKM_EC_EDWARDS_KEY_PAIR_GEN", "CKM_EDDSA"),
            KeyAlgorithm::Es256 => ("CKM_EC_KEY_PAIR_GEN", "CKM_ECDSA"),
            KeyAlgorithm::Rs256 => ("CKM_RSA_PKCS_KEY_PAIR_GEN", "CKM_SHA256_RSA_PKCS"),
        };
        makes.insert(maker);
        uses.insert(user);
    }
    let has = |name: &&str| !inventory.mechanisms_missing.iter().any(|it| it == name);
    let used = uses.into_iter().map(|name| match has(&name) {
        true => (name.to_owned(), Found::Well),
        false => (
            name.to_owned(),
            Found::Wrong("the token has it not".to_owned()),
        ),
    });
    let made = makes.into_iter().map(|name| match has(&name) {
        true => (name.to_owned(), Found::Well),
        false => (name.to_owned(), Found::Note(NOT_MADE.to_owned())),
    });
    used.chain(made).collect()
}

async fn bytes(hsm: &Arc<Hsm>, call: Call) -> Result<Vec<u8>, String> {
    match hsm.call(call).await {
        Ok(Reply::Bytes(bytes)) => Ok(bytes.0.to_vec()),
        Ok(Reply::Done | Reply::Inventory(_) | Reply::States(_)) => {
            Err("the worker answered something else".into())
        }
        Err(error) => Err(error.to_string()),
    }
}

async fn derives_alike(hsm: &Arc<Hsm>) -> Result<(), String> {
    let call = || Call::Derive {
        message: PROBE.to_vec().into(),
    };
    let (first, second) = (bytes(hsm, call()).await?, bytes(hsm, call()).await?);
    if first.len() == 32 && first == second {
        Ok(())
    } else {
        Err("it does not derive the same 32 bytes twice".to_owned())
    }
}

/// Signs with a version, by the algorithm that the file has for it, or else by the key's own.
async fn signs(hsm: &Arc<Hsm>, config: &Config, inventory: &Inventory, key: &KeyInfo) -> Found {
    let label = KeyLabel::parse(&key.label);
    let is_of = |name: &str| label.as_ref().is_some_and(|label| label.name() == name);
    let rule = config.rules.keys().find(|rule| is_of(&rule.name));
    let wanted = match rule {
        Some(rule) => Some(rule.algorithm),
        None => own_algorithm(key),
    };
    let Some(wanted) = wanted else {
        return Found::Wrong("it has no public key of a known algorithm".to_owned());
    };
    let outcome = match checked_pair(inventory, &key.label, wanted.name(), "") {
        Ok((_, verifier)) => verified(hsm, &key.label, algorithm(wanted), &verifier).await,
        Err(failure) => Err(failure.message),
    };
    match (outcome, rule) {
        (Ok(()), None) => Found::Note("it works, and the file has no [[key]] of its name".into()),
        (outcome, _) => outcome.into(),
    }
}

fn own_algorithm(key: &KeyInfo) -> Option<KeyAlgorithm> {
    let jwk = key.public.as_ref().and_then(public_key::jwk)?;
    KeyAlgorithm::from_name(jwk.algorithm())
}

async fn verified(
    hsm: &Arc<Hsm>,
    label: &str,
    algorithm: Algorithm,
    verifier: &PublicKey,
) -> Result<(), String> {
    let call = Call::Sign {
        label: label.to_owned(),
        algorithm,
        message: PROBE.to_vec().into(),
    };
    let signature = bytes(hsm, call).await?;
    verifier
        .verify(PROBE, &signature)
        .map_err(|_| "its signature does not verify".to_owned())
}
