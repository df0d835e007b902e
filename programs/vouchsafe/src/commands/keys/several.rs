//! Several gateways that sign with one key: they need one PKCS#11 token, or tokens that replicate.

use crate::client::gateway::Gateway;
use std::collections::BTreeMap;
use vouchsafe_cli::Failure;
use vouchsafe_gateway::admin::Listing;

/// Requires that each version of the key is the same at all gateways: a broker publishes the keys of one of them, and
/// verifiers would not know those of the other.
///
/// Gateways that can't be reached are skipped.
pub fn require_same_keys(gateways: &[Gateway], name: &str) -> Result<(), Failure> {
    if gateways.len() < 2 {
        return Ok(());
    }
    let mut listings = Vec::new();
    for gateway in gateways {
        match gateway.list() {
            Ok(listing) => listings.push((gateway.url.as_str(), listing)),
            Err(failure) if failure.code == 3 => {}
            Err(failure) => return Err(failure),
        }
    }
    match find_difference(&listings, name) {
        None => Ok(()),
        Some((version, one, other)) => Err(Failure::refused(format!(
            "version {version} of `{name}` is not the same key at {one} and {other}"
        ))
        .hint(format!(
            "gateways of tier `hsm` need one PKCS#11 token, or tokens that replicate; run `vouchsafe keys retire {name} \
             --version {version}` at each, and see docs/hsm/operate.md#several-gateways"
        ))),
    }
}

/// Finds a version that differs, and two gateways where it does. Retired and destroyed versions may differ.
fn find_difference<'u>(listings: &[(&'u str, Listing)], name: &str) -> Option<(u64, &'u str, &'u str)> {
    let mut known: BTreeMap<u64, (&str, &str)> = BTreeMap::new();
    for (url, listing) in listings {
        let key = listing.keys.iter().find(|key| key.name == name);
        for version in key.map(|key| key.versions.as_slice()).unwrap_or_default() {
            let is_ignored = matches!(version.state.as_str(), "destroyed" | "retired");
            let Some(kid) = version.kid.as_deref().filter(|_| !is_ignored) else {
                continue;
            };
            let (first, first_kid) = *known.entry(version.version).or_insert((url, kid));
            if first_kid != kid {
                return Some((version.version, first, url));
            }
        }
    }
    None
}
