//! Several gateways that are to sign with one key: they need one token, or tokens that replicate.

use crate::client::gateway::Gateway;
use std::collections::BTreeMap;
use vouchsafe_cli::Failure;
use vouchsafe_gateway::admin::Listing;

/// Refuses where one version of the key is another one at another gateway: a broker publishes what one of
/// them says, and verifiers would not know what the other signs with.
///
/// Gateways that can't be reached say nothing.
pub fn check_same(gateways: &[Gateway], name: &str) -> Result<(), Failure> {
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
    match different(&listings, name) {
        None => Ok(()),
        Some((version, one, other)) => Err(Failure::refused(format!(
            "version {version} of `{name}` is one key at {one} and another at {other}"
        ))
        .hint(format!(
            "gateways of tier `hsm` need one token, or tokens that replicate: `vouchsafe keys retire {name} --version {version}` \
             at each, and see docs/hsm/operate.md#several-gateways"
        ))),
    }
}

/// The first version that is not the same, and where. What is over may differ.
fn different<'u>(listings: &[(&'u str, Listing)], name: &str) -> Option<(u64, &'u str, &'u str)> {
    let mut known: BTreeMap<u64, (&str, &str)> = BTreeMap::new();
    for (url, listing) in listings {
        let key = listing.keys.iter().find(|key| key.name == name);
        for version in key.map(|key| key.versions.as_slice()).unwrap_or_default() {
            let is_over = matches!(version.state.as_str(), "destroyed" | "retired");
            let Some(kid) = version.kid.as_deref().filter(|_| !is_over) else {
                continue;
            };
            let (first, of_first) = *known.entry(version.version).or_insert((url, kid));
            if of_first != kid {
                return Some((version.version, first, url));
            }
        }
    }
    None
}
