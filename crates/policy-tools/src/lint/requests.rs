//! Policies whose conditions on the client's address or the time keep nobody out.

use super::domain::ADDRESSES;
use super::search::{Adversary, Search, TooComplex};
use super::value::{Network, Value, Variable};
use super::warning::Warning;

/// Ranges with fewer bits than these, of IPv4 and IPv6, are nobody's own.
const BITS_MIN: (u32, u32) = (8, 20);

pub(super) fn warnings(search: &Search<'_>) -> Result<Vec<Warning>, TooComplex> {
    let policy = || search.rule.policy.id.clone();
    let mut warnings = Vec::new();
    let address = Variable::context("client_ip");
    if search.rule.reads(&address)
        && let Some(from) = unlimited_address(search, &address)?
    {
        warnings.push(Warning::AddressUnbounded { policy: policy(), from });
    }
    let now = Variable::context("now");
    if search.rule.reads(&now) && search.ignores(&now)? {
        warnings.push(Warning::TimeUnbounded(policy()));
    }
    Ok(warnings)
}

/// Where a request can come from that the policy's ranges do not have, although it is about addresses.
fn unlimited_address(search: &Search<'_>, address: &Variable) -> Result<Option<String>, TooComplex> {
    let own = search.rule.facts.literals(address).filter_map(|value| match value {
        Value::Network(network) => Some(*network),
        _ => None,
    });
    let is_narrow = |network: &Network| {
        let (of_v4, of_v6) = BITS_MIN;
        network.bits >= if network.address.is_ipv4() { of_v4 } else { of_v6 }
    };
    let (narrow, wide): (Vec<Network>, Vec<Network>) = own.partition(is_narrow);
    let within = wide.iter().filter_map(|network| Network::parse(&network.address.to_string()));
    let elsewhere = ADDRESSES.iter().filter_map(|text| Network::parse(text)).chain(within);
    let elsewhere = elsewhere.filter(|one| !narrow.iter().any(|network| network.contains(one)));
    let values = elsewhere.map(Value::Network).chain([Value::Absent]).collect();
    let adversary = Adversary::default().with(address.clone(), values);
    let shown = |value: Option<&Value>| match value {
        Some(Value::Network(network)) => format!("from `{}`", network.address),
        _ => "without a client address".to_owned(),
    };
    if let Some(state) = search.decided_by(address, &adversary)? {
        return Ok(Some(shown(state.get(address))));
    }
    let anywhere = search.ignores(address)?;
    Ok(anywhere.then(|| "from any address".to_owned()))
}
