//! Keys and credentials of a gateway.

use super::entry::{Entry, State};
use super::uses::Uses;
use vouchsafe_gateway::admin::{EpochListing, GroupListing, KeyListing, Listing, VersionListing};

/// Everything that the gateway at `url` lists.
pub fn entries(url: &str, listing: &Listing, uses: &Uses) -> Vec<Entry> {
    let mut entries = vec![Entry {
        id: Some(format!("generation {}", listing.generation)),
        used: listing.groups.iter().flat_map(|group| &group.epochs).filter_map(|epoch| uses.of_kid(&epoch.kid)).max(),
        ..Entry::new("root", url, "HSM")
    }];
    for group in &listing.groups {
        entries.extend(group.epochs.iter().map(|epoch| epoch_key(epoch, group, listing, uses)));
    }
    for key in &listing.keys {
        entries.extend(key.versions.iter().map(|version| version_entry(key, version, uses)));
    }
    for credential in &listing.credentials {
        let kind = if credential.is_admin { "gateway-admin" } else { "gateway-credential" };
        let custody = format!("its holder; a digest at {url}");
        entries.push(Entry::new(kind, &credential.name, custody));
    }
    entries
}

fn epoch_key(epoch: &EpochListing, group: &GroupListing, listing: &Listing, uses: &Uses) -> Entry {
    let end = epoch.start.saturating_add(group.epoch_seconds);
    let state = match listing.now {
        _ if epoch.generation > listing.generation => State::PreActivation,
        now if now < epoch.start => State::PreActivation,
        now if now < end => State::Active,
        _ => State::Deactivated,
    };
    Entry {
        id: Some(epoch.kid.clone()),
        algorithm: Some(epoch.algorithm.clone()),
        state,
        created: Some(epoch.start.saturating_sub(group.epoch_seconds.saturating_mul(2))),
        activated: Some(epoch.start),
        expires: Some(epoch.leaves_at),
        used: uses.of_kid(&epoch.kid),
        ..Entry::new("epoch-key", &epoch.kid, "derived in the HSM, in memory")
    }
}

fn version_entry(key: &KeyListing, version: &VersionListing, uses: &Uses) -> Entry {
    let state = match version.state.as_str() {
        "pending" => State::PreActivation,
        "destroyed" => State::Destroyed,
        "retiring" | "retired" => State::Deactivated,
        _ => State::Active,
    };
    let is_active = version.state == "active";
    let own = version.kid.as_deref().and_then(|kid| uses.of_kid(kid));
    Entry {
        id: version.kid.clone(),
        algorithm: Some(key.algorithm.clone()),
        state,
        created: version.published,
        activated: version.first_use,
        expires: version.leaves_at,
        used: version.last_use.max(own),
        // Those of a key are about its rotation, which is due for the version that signs.
        warnings: if is_active { key.warnings.clone() } else { Vec::new() },
        ..Entry::new("hsm-key", format!("{}/{}", key.name, version.version), "HSM")
    }
}
