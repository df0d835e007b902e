//! `hsm-gateway doctor`.

use super::{ConfigFile, doubled_hint, open, runtime};
use crate::config::Config;
use crate::failure::Failure;
use crate::gateway::algorithm;
use crate::hsm::Hsm;
use crate::inventory::{checked_key, generation, hsm_failure, inspect, versions};
use crate::root::Root;
use crate::worker::protocol::{Algorithm, Call, Inventory, Reply};
use std::process::ExitCode;
use std::sync::Arc;
use vouchsafe_gateway::{KeyAlgorithm, KeyRule, ROOT_LABEL, ROOT_SIGNING_LABEL};
use vouchsafe_jose::PublicKey;

/// What is signed to see that it verifies. It is no signing input of a token.
const PROBE: &[u8] = b"hsm-gateway doctor";

/// Use every key once, and say what is wrong
///
/// Derives with the root twice and compares, signs with the root signing key and every [[key]] and
/// verifies, and names the mechanisms that the token has not.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway doctor --config gateway.toml\n\nExit codes: 0 all is well, 1 something is wrong, 2 the command line or the file is wrong, or the PIN was refused."
)]
pub struct Args {
    #[command(flatten)]
    config: ConfigFile,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let config = args.config.read()?;
    let findings = runtime()?.block_on(examine(&config))?;
    let mut well = true;
    for (what, outcome) in findings {
        match outcome {
            Ok(()) => println!("ok    {what}"),
            Err(why) => {
                well = false;
                println!("WRONG {what}: {why}");
            }
        }
    }
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

type Finding = (String, Result<(), String>);

async fn examine(config: &Config) -> Result<Vec<Finding>, Failure> {
    let hsm = open(config).await?;
    let inventory = inspect(&hsm).await.map_err(hsm_failure)?;
    let mut findings = mechanisms(config, &inventory);
    let root = match generation(&inventory) {
        Ok(_) => derives_alike(&hsm).await,
        Err(failure) => Err(failure.message),
    };
    findings.push((ROOT_LABEL.to_owned(), root));
    let signing = match Root::of(&inventory) {
        Ok(root) => verified(&hsm, ROOT_SIGNING_LABEL, Algorithm::Es256, root.verifier()).await,
        Err(failure) => Err(failure.message),
    };
    findings.push((ROOT_SIGNING_LABEL.to_owned(), signing));
    for rule in config.rules.keys() {
        let versions = match versions(&inventory, rule) {
            Ok(versions) => versions,
            Err(failure) => {
                findings.push((rule.name.clone(), Err(failure.message)));
                continue;
            }
        };
        for version in versions.doubled() {
            let label = rule.label_of(version).to_string();
            findings.push((label, Err(doubled_hint(&rule.name, version))));
        }
        for version in versions.published() {
            let label = rule.label_of(version).to_string();
            findings.push((label, signs(&hsm, &inventory, rule, version).await));
        }
    }
    Ok(findings)
}

/// Mechanisms that are needed, by what the file says.
fn mechanisms(config: &Config, inventory: &Inventory) -> Vec<Finding> {
    let mut needed = vec![
        "CKM_EC_KEY_PAIR_GEN",
        "CKM_ECDSA",
        "CKM_GENERIC_SECRET_KEY_GEN",
        "CKM_SHA256_HMAC",
    ];
    for rule in config.rules.keys() {
        needed.extend(match rule.algorithm {
            KeyAlgorithm::EdDsa => ["CKM_EC_EDWARDS_KEY_PAIR_GEN", "CKM_EDDSA"],
            KeyAlgorithm::Es256 => ["CKM_EC_KEY_PAIR_GEN", "CKM_ECDSA"],
            KeyAlgorithm::Rs256 => ["CKM_RSA_PKCS_KEY_PAIR_GEN", "CKM_SHA256_RSA_PKCS"],
        });
    }
    needed.sort_unstable();
    needed.dedup();
    let finding = |name: &str| {
        let missing = inventory.mechanisms_missing.iter().any(|it| it == name);
        let outcome = if missing {
            Err("the token has it not".to_owned())
        } else {
            Ok(())
        };
        (name.to_owned(), outcome)
    };
    needed.into_iter().map(finding).collect()
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

async fn signs(
    hsm: &Arc<Hsm>,
    inventory: &Inventory,
    rule: &KeyRule,
    version: u64,
) -> Result<(), String> {
    let (_, verifier) = checked_key(inventory, rule, version).map_err(|failure| failure.message)?;
    let label = rule.label_of(version).to_string();
    verified(hsm, &label, algorithm(rule.algorithm), &verifier).await
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
