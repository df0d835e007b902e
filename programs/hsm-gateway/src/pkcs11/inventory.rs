//! Inspection of the token, and checks of its keys before they are used.

use super::error::{HsmError, INIT_HINT, duplicate_object, invalid_generation};
use super::hsm::Hsm;
use super::protocol::{Call, Inventory, Reply};
use super::public_key;
use std::sync::Arc;
use vouchsafe_cli::Failure;
use vouchsafe_gateway::versions::{KeyVersions, VersionRecord};
use vouchsafe_gateway::{Generation, KeyLabel, KeyRule, ROOT_LABEL};
use vouchsafe_jose::{KeyUse, PublicKey};
use vouchsafe_json::JsonObject;
use vouchsafe_signer::PublicJwk;

/// Lists the token's keys, certificates and mechanisms.
pub async fn inspect(hsm: &Arc<Hsm>) -> Result<Inventory, HsmError> {
    match hsm.call(Call::Inspect).await? {
        Reply::Inventory(inventory) => Ok(inventory),
        Reply::Bytes(_) | Reply::Done | Reply::States(_) => Err(HsmError::unexpected_reply()),
    }
}

/// The generation of the root, if there is exactly one root and it can't leave the token.
pub fn root_generation(inventory: &Inventory) -> Result<Generation, Failure> {
    let mut roots = inventory.keys.iter().filter(|key| key.label == ROOT_LABEL);
    let root = match (roots.next(), roots.next()) {
        (Some(root), None) => root,
        (None, _) => return Err(missing(ROOT_LABEL).hint(INIT_HINT)),
        (Some(_), Some(_)) => return Err(duplicate_object(ROOT_LABEL)),
    };
    if !root.secret || !root.flags.are_safe() {
        return Err(unsafe_key(ROOT_LABEL));
    }
    Generation::parse(&root.id.0).ok_or_else(invalid_generation)
}

/// The versions of a configured key, with their states.
pub fn key_versions(inventory: &Inventory, rule: &KeyRule) -> Result<KeyVersions, Failure> {
    let number = |label: &str| {
        let label = KeyLabel::parse(label)?;
        (label.name() == rule.name).then_some(label.version())
    };
    let mut records = Vec::new();
    let mut duplicates = Vec::new();
    for key in inventory.keys.iter().filter(|key| !key.secret) {
        let Some(version) = number(&key.label) else {
            continue;
        };
        let record = VersionRecord::parse(&key.id.0);
        if inventory.duplicates.contains(&key.label) {
            duplicates.push((version, record.map_or(0, |it| it.since)));
            continue;
        }
        let record = record.ok_or_else(|| {
            Failure::refused(format!("the CKA_ID of `{}` is not a key state", key.label))
                .hint("another program created or changed this key")
        })?;
        records.push((version, record));
    }
    let destroyed = inventory.destroyed.iter().filter_map(|label| number(label));
    let versions = KeyVersions::new(records, destroyed).with_doubled(duplicates);
    if versions.is_empty() {
        return Err(
            missing(&rule.label_of(1).to_string()).hint(format!("`hsm-gateway add-key {}` creates it", rule.name))
        );
    }
    Ok(versions)
}

/// Checks a version of a configured key, and returns its public key.
pub fn check_key(inventory: &Inventory, rule: &KeyRule, version: u64) -> Result<(PublicJwk, PublicKey), Failure> {
    let label = rule.label_of(version).to_string();
    let hint = "`hsm-gateway status` lists the token's keys";
    check_key_pair(inventory, &label, rule.algorithm.name(), hint)
}

/// Checks that the key with this label exists once, can't leave the token and is for `algorithm`; returns its public
/// key.
/// `hint` says how to create a missing one.
pub fn check_key_pair(
    inventory: &Inventory,
    label: &str,
    algorithm: &str,
    hint: &str,
) -> Result<(PublicJwk, PublicKey), Failure> {
    if inventory.duplicates.iter().any(|it| it == label) {
        return Err(duplicate_object(label));
    }
    let key =
        inventory.keys.iter().find(|key| key.label == label && !key.secret).ok_or_else(|| missing(label).hint(hint))?;
    if !key.flags.are_safe() {
        return Err(unsafe_key(label));
    }
    let jwk = key
        .public
        .as_ref()
        .and_then(public_key::jwk)
        .filter(|jwk| jwk.algorithm() == algorithm)
        .ok_or_else(|| Failure::refused(format!("`{label}` has no public key for {algorithm}")))?;
    let verifier = JsonObject::parse(jwk.to_json().as_bytes())
        .ok()
        .and_then(|object| PublicKey::from_jwk(&object, KeyUse::Signature, &vouchsafe_crypto::Software).ok())
        .ok_or_else(|| Failure::refused(format!("the public key of `{label}` is invalid")))?;
    Ok((jwk, verifier))
}

fn missing(label: &str) -> Failure {
    Failure::refused(format!("the PKCS#11 token has no `{label}`"))
}

fn unsafe_key(label: &str) -> Failure {
    Failure::refused(format!("`{label}` can leave the token or do more than sign")).hint(
        "it must be sensitive, not extractable, and allowed CKA_SIGN only; `hsm-gateway status` shows its attributes",
    )
}
