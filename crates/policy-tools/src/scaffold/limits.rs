//! Networks and hours of a new policy.

use super::error::{ScaffoldError, listed};
use std::net::IpAddr;
use vouchsafe_policy::Bundle;

/// Addresses of documentation (RFC 5737, RFC 3849) and of private networks: one of them is outside a given network.
const SAMPLES: [&str; 5] = ["198.51.100.1", "203.0.113.1", "192.0.2.1", "10.0.0.1", "2001:db8::1"];

/// The addresses that a policy admits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// As it was written.
    pub text: String,
    pub address: IpAddr,
    prefix: u32,
}

impl Network {
    /// Reads `192.0.2.0/24`, or a single address. A network of every address is none.
    ///
    /// # Errors
    /// `text` is not a network.
    pub fn parse(text: &str) -> Result<Self, ScaffoldError> {
        let invalid = || ScaffoldError::NetworkInvalid(text.to_owned());
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = length.map_or(Ok(bits), str::parse).map_err(|_| invalid())?;
        match (1..=bits).contains(&prefix) {
            true => Ok(Self { text: text.to_owned(), address, prefix }),
            false => Err(invalid()),
        }
    }

    fn contains(&self, other: IpAddr) -> bool {
        let differing = match (self.address, other) {
            (IpAddr::V4(one), IpAddr::V4(other)) => u128::from(one.to_bits() ^ other.to_bits()) << 96,
            (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() ^ other.to_bits(),
            _ => return false,
        };
        differing.leading_zeros() >= self.prefix
    }
}

/// An address in none of `networks`.
pub(super) fn address_outside(networks: &[Network]) -> Option<&'static str> {
    let outside = |address: IpAddr| !networks.iter().any(|network| network.contains(address));
    SAMPLES.into_iter().find(|sample| sample.parse().is_ok_and(outside))
}

/// Whether a local time, by its weekday and hour, is one that is searched.
pub(super) type IsWanted = Box<dyn Fn(&str, u64) -> bool>;

/// From Monday to Friday, from one full hour to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// The name that the bundle gives to the time zone.
    pub zone: String,
    pub from: u64,
    /// The first hour that is too late.
    pub to: u64,
}

impl Hours {
    /// Reads `berlin:9-17`, or `berlin` for the same hours.
    ///
    /// # Errors
    /// `text` is something else, or `bundle` names no such zone.
    pub fn parse(text: &str, bundle: &Bundle) -> Result<Self, ScaffoldError> {
        let invalid = || ScaffoldError::HoursInvalid(text.to_owned());
        let (zone, hours) = text.split_once(':').unwrap_or((text, "9-17"));
        let (from, to) = hours.split_once('-').ok_or_else(invalid)?;
        let (from, to): (u64, u64) = (from.parse().map_err(|_| invalid())?, to.parse().map_err(|_| invalid())?);
        if from >= to || to > 24 {
            return Err(invalid());
        }
        let zones = bundle.time_zones();
        match zones.contains_key(zone) {
            true => Ok(Self { zone: zone.to_owned(), from, to }),
            false => Err(ScaffoldError::ZoneUnknown {
                zone: zone.to_owned(),
                known: listed(zones.keys().map(String::as_str)),
            }),
        }
    }

    /// The conditions that it is one of these hours. Those that always hold are left out.
    pub(super) fn conditions(&self) -> Vec<String> {
        let Self { zone, from, to } = self;
        let mut conditions = vec![format!("!([\"saturday\", \"sunday\"].contains(context.local.{zone}.weekday))")];
        if *from > 0 {
            conditions.push(format!("context.local.{zone}.hour >= {from}"));
        }
        if *to < 24 {
            conditions.push(format!("context.local.{zone}.hour < {to}"));
        }
        conditions
    }

    /// Whether a local time, by its weekday and hour, is one of these hours.
    pub(super) fn contain(&self, weekday: &str, hour: u64) -> bool {
        !is_weekend(weekday) && (self.from..self.to).contains(&hour)
    }

    /// Local times outside of these hours, with a name for each: one for each condition.
    pub(super) fn denials(&self) -> Vec<(&'static str, IsWanted)> {
        let (from, to) = (self.from, self.to);
        let at = |wanted: u64| -> IsWanted { Box::new(move |weekday, hour| !is_weekend(weekday) && hour == wanted) };
        let on_weekend: IsWanted = Box::new(move |weekday, hour| is_weekend(weekday) && hour == from);
        let mut denials = vec![("on a weekend", on_weekend)];
        denials.extend(from.checked_sub(1).map(|before| ("before these hours", at(before))));
        denials.extend((to < 24).then(|| ("after these hours", at(to))));
        denials
    }
}

fn is_weekend(weekday: &str) -> bool {
    matches!(weekday, "saturday" | "sunday")
}
