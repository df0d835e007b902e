//! What the token has to hold before it is used, and what was seen of it before.

use crate::hsm::{Hsm, HsmError};
use crate::public_key;
use crate::worker::protocol::{Call, Fault, Inventory, Reply};
use std::path::Path;
use std::sync::Arc;
use vouchsafe_cli::{Failure, files};
use vouchsafe_gateway::versions::{KeyVersions, VersionRecord};
use vouchsafe_gateway::{Generation, KeyLabel, KeyRule, ROOT_LABEL};
use vouchsafe_jose::{KeyUse, PublicKey};
use vouchsafe_json::JsonObject;
use vouchsafe_signer::PublicJwk;

pub async fn inspect(hsm: &Arc<Hsm>) -> Result<Inventory, HsmError> {
    match hsm.call(Call::Inspect).await? {
        Reply::Inventory(inventory) => Ok(inventory),
        Reply::Bytes(_) | Reply::Done | Reply::States(_) => Err(HsmError::NotRunning),
    }
}

/// The root's generation, if the root is one that stays where it is.
pub fn generation(inventory: &Inventory) -> Result<Generation, Failure> {
    let mut roots = inventory.keys.iter().filter(|key| key.label == ROOT_LABEL);
    let root = match (roots.next(), roots.next()) {
        (Some(root), None) => root,
        (None, _) => {
            return Err(Failure::refused(format!("the token has no `{ROOT_LABEL}`"))
                .hint("`hsm-gateway init` makes the keys of an empty token"));
        }
        (Some(_), Some(_)) => return Err(twice(ROOT_LABEL)),
    };
    if !root.secret || !root.flags.are_safe() {
        return Err(unsafe_key(ROOT_LABEL));
    }
    Generation::parse(&root.id.0).ok_or_else(no_generation)
}

pub fn no_generation() -> Failure {
    Failure::refused(format!("the CKA_ID of `{ROOT_LABEL}` is no generation"))
        .hint("it is a number from 1, in 8 bytes, big-endian")
}

/// A version is another key than it was.
pub fn other_key(label: &str) -> Failure {
    Failure::refused(format!(
        "`{label}` is another key than before, which verifiers have never seen: another token took the place of this gateway's own"
    ))
    .hint("bring the token back, or restart the gateway if verifiers know the keys of this one")
}

/// What is there twice, and can't be told apart.
pub fn twice(label: &str) -> Failure {
    Failure::refused(format!("the token has `{label}` twice"))
        .hint("which of the two is meant is not guessed: remove the one that does not belong there with the HSM's own tools, such as `pkcs11-tool`")
}

fn unsafe_key(label: &str) -> Failure {
    Failure::refused(format!("`{label}` could leave the token, or do more than sign"))
        .hint("it must be sensitive, not extractable, and have no use but CKA_SIGN; `hsm-gateway status` shows what it is")
}

/// What the token says of the versions of a rule's key.
pub fn versions(inventory: &Inventory, rule: &KeyRule) -> Result<KeyVersions, Failure> {
    let number = |label: &str| {
        let label = KeyLabel::parse(label)?;
        (label.name() == rule.name).then_some(label.version())
    };
    let mut records = Vec::new();
    let mut doubled = Vec::new();
    for key in inventory.keys.iter().filter(|key| !key.secret) {
        let Some(version) = number(&key.label) else {
            continue;
        };
        let record = VersionRecord::parse(&key.id.0);
        if inventory.doubled.contains(&key.label) {
            doubled.push((version, record.map_or(0, |it| it.since)));
            continue;
        }
        let record = record.ok_or_else(|| {
            Failure::refused(format!("the CKA_ID of `{}` says no state", key.label))
                .hint("a key of another program, or one that something else has changed")
        })?;
        records.push((version, record));
    }
    let destroyed = inventory.destroyed.iter().filter_map(|label| number(label));
    let versions = KeyVersions::new(records, destroyed).with_doubled(doubled);
    if versions.is_empty() {
        return Err(
            Failure::refused(format!("the token has no `{}`", rule.label_of(1)))
                .hint(format!("`hsm-gateway add-key {}` makes it", rule.name)),
        );
    }
    Ok(versions)
}

/// The public half of a rule's key, if the key is there, safe and of the rule's algorithm.
pub fn checked_key(
    inventory: &Inventory,
    rule: &KeyRule,
    version: u64,
) -> Result<(PublicJwk, PublicKey), Failure> {
    let label = rule.label_of(version).to_string();
    let hint = "`hsm-gateway status` shows what is there";
    checked_pair(inventory, &label, rule.algorithm.name(), hint)
}

/// The public half of the key of this label. `hint` says how it is made.
pub fn checked_pair(
    inventory: &Inventory,
    label: &str,
    algorithm: &str,
    hint: &str,
) -> Result<(PublicJwk, PublicKey), Failure> {
    if inventory.doubled.iter().any(|it| it == label) {
        return Err(twice(label));
    }
    let key = inventory
        .keys
        .iter()
        .find(|key| key.label == label && !key.secret);
    let key =
        key.ok_or_else(|| Failure::refused(format!("the token has no `{label}`")).hint(hint))?;
    if !key.flags.are_safe() {
        return Err(unsafe_key(label));
    }
    let jwk = key.public.as_ref().and_then(public_key::jwk);
    let jwk = jwk
        .filter(|jwk| jwk.algorithm() == algorithm)
        .ok_or_else(|| Failure::refused(format!("`{label}` has no public key for {algorithm}")))?;
    let verifier = JsonObject::parse(jwk.to_json().as_bytes())
        .ok()
        .and_then(|object| PublicKey::from_jwk(&object, KeyUse::Signature).ok())
        .ok_or_else(|| Failure::refused(format!("the public key of `{label}` is unusable")))?;
    Ok((jwk, verifier))
}

/// Refuses a generation below the highest that this gateway has seen, and remembers this one.
pub fn remember_generation(state_dir: &Path, generation: u64) -> Result<(), Failure> {
    let path = state_dir.join("generation");
    let fail = |error: std::io::Error| Failure::state(&path, error);
    let seen = match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|_| {
            Failure::usage(format!("{} holds no number", path.display()))
                .hint("restore it from a backup; without it an old generation could come back")
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(fail(error)),
    };
    if generation < seen {
        return Err(Failure::refused(format!(
            "the token's generation is {generation}, and {seen} was seen before"
        ))
        .hint("an older token must not come back: its keys may have been revoked"));
    }
    if generation > seen {
        files::replace(&path, format!("{generation}\n").as_bytes()).map_err(fail)?;
    }
    Ok(())
}

/// Makes the folder, open to its owner alone, also where it was there and open to others.
pub fn make_private(folder: &Path) -> Result<(), Failure> {
    files::create_private_directory(folder).map_err(|error| Failure::state(folder, error))?;
    files::make_private(folder).map_err(|error| {
        Failure::state(folder, error)
            .hint("`state_dir` is open to others than its owner: it has to be the gateway's own")
    })
}

/// Takes the folder for one gateway, for as long as what is given lives.
pub fn lock(folder: &Path) -> Result<std::fs::File, Failure> {
    let path = folder.join("lock");
    let fail = |error: std::io::Error| Failure::state(&path, error);
    let file = std::fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(fail)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Failure::refused(format!(
            "{}: another gateway uses this `state_dir`",
            path.display()
        ))
        .hint("each gateway has one of its own: what it has seen and done is in it")),
        Err(std::fs::TryLockError::Error(error)) => Err(fail(error)),
    }
}

fn token_missing_hint() -> &'static str {
    match std::env::var_os("SOFTHSM2_CONF") {
        Some(_) => {
            "`token` is the label that the token was initialized with; `pkcs11-tool --list-slots` shows it"
        }
        None => {
            "`token` is the label that the token was initialized with; SoftHSM looks for its tokens where the file says that SOFTHSM2_CONF names, which is not set"
        }
    }
}

/// An HSM that can't be used, for whoever reads the command line.
pub fn hsm_failure(error: HsmError) -> Failure {
    let failure = Failure::refused(error.to_string());
    match error {
        HsmError::Fault(Fault::PinRefused(_)) => Failure {
            code: 2,
            ..failure
                .hint("correct the PIN, then remove `pin-refused` in `state_dir`: a PIN is tried once, so that the token is not locked")
        },
        HsmError::Fault(Fault::LoginFailed(_)) => failure
            .hint("look at the HSM and at the PIN before you try again: this is no answer to a wrong PIN by the standard, but some modules give it, so the next such login is the last"),
        HsmError::Fault(Fault::KeyMissing(label)) if label == ROOT_LABEL => {
            failure.hint("`hsm-gateway init` makes the keys of an empty token")
        }
        HsmError::Fault(Fault::TokenMissing(_)) => failure.hint(token_missing_hint()),
        HsmError::Fault(Fault::TokenTwice { .. }) => failure
            .hint("give each a label of its own; which of them is meant is not guessed. `softhsm2-util --init-token` makes one more with each call, `--delete-token --serial` removes one"),
        HsmError::Fault(Fault::Changed(_) | Fault::MadeTwice(_)) => {
            failure.hint("look with `hsm-gateway status`, then try again, one at a time")
        }
        HsmError::Fault(Fault::KeyTwice(label)) => twice(&label),
        HsmError::Fault(_) | HsmError::NotRunning | HsmError::Overloaded => failure,
    }
}
