//! Import of a backup into an empty token.

use super::{Backup, root_key};
use crate::config::Config;
use crate::pkcs11::protocol::{Call, PrivateKey};
use crate::pkcs11::{Hsm, import_root_certificate};
use std::sync::Arc;
use vouchsafe_cli::{Failure, clock};
use vouchsafe_gateway::versions::VersionRecord;
use vouchsafe_gateway::{KeyAlgorithm, KeyRule, ROOT_CERTIFICATE_LABEL, ROOT_LABEL, ROOT_SIGNING_LABEL};

/// Imports the keys of a backup into an empty token.
pub async fn import(hsm: &Arc<Hsm>, config: &Config, backup: &Backup, generation: u64) -> Result<(), Failure> {
    let keys = require_configured(config, backup)?;
    let call = Call::ImportRoot { generation, root: backup.root.clone() };
    hsm.call(call).await?;
    println!("imported {ROOT_LABEL}, generation {generation}");
    import_key(hsm, ROOT_SIGNING_LABEL.to_owned(), &[], &backup.root_signing).await?;
    let key = root_key(&backup.root_signing)?;
    import_root_certificate(hsm, backup.root_certificate.0.to_vec(), key).await?;
    println!("imported {ROOT_SIGNING_LABEL}, ES256, and {ROOT_CERTIFICATE_LABEL}");
    for (rule, key) in keys {
        let record = VersionRecord::first(clock::unix_seconds()?, rule.lifetime_seconds_max);
        let label = rule.label_of(1).to_string();
        import_key(hsm, label.clone(), &record.to_bytes(), key).await?;
        let (algorithm, state) = (rule.algorithm.name(), record.state.name());
        println!("imported {label}, {algorithm}, {state}");
    }
    Ok(())
}

async fn import_key(hsm: &Arc<Hsm>, label: String, id: &[u8], key: &PrivateKey) -> Result<(), Failure> {
    hsm.call(Call::ImportKey { label, id: id.to_vec().into(), key: key.clone() }).await?;
    Ok(())
}

/// Requires that each key of the backup is configured for its algorithm; returns the keys with their configuration.
pub fn require_configured<'a>(
    config: &'a Config,
    backup: &'a Backup,
) -> Result<Vec<(&'a KeyRule, &'a PrivateKey)>, Failure> {
    let pairs = backup.keys.iter().map(|key| {
        let name = &key.name;
        let rule = config.rules.keys().find(|rule| rule.name == *name);
        let rule = rule.ok_or_else(|| {
            Failure::usage(format!("backup contains `{name}`, but the configuration has no such [[key]]"))
                .hint("`--without` leaves it out")
        })?;
        let fits = matches!(
            (rule.algorithm, &key.key),
            (KeyAlgorithm::EdDsa, PrivateKey::Edwards { .. })
                | (KeyAlgorithm::Es256, PrivateKey::Ec { .. })
                | (KeyAlgorithm::Rs256, PrivateKey::Rsa { .. })
        );
        if !fits {
            let algorithm = rule.algorithm.name();
            return Err(Failure::usage(format!("`{name}` in the backup is not a key for {algorithm}")));
        }
        Ok((rule, &key.key))
    });
    pairs.collect()
}
