//! The values of claims and of the context, as far as lints know them.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// What a condition reads of a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Variable {
    /// A claim by its attribute's name; `sub` is the principal's id.
    Claim(String),
    /// An attribute of the context.
    Context(String),
    /// The id of the audience.
    Resource,
}

impl Variable {
    pub fn claim(name: &str) -> Self {
        Self::Claim(name.to_owned())
    }

    pub fn context(name: &str) -> Self {
        Self::Context(name.to_owned())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    /// The token or the context does not have the attribute.
    Absent,
    Boolean(bool),
    Integer(i64),
    Text(String),
    Texts(BTreeSet<String>),
    Network(Network),
    /// Unix seconds.
    Time(u64),
}

impl Value {
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub fn texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        Self::Texts(texts.into_iter().map(str::to_owned).collect())
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            _ => None,
        }
    }

    pub fn as_boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            _ => None,
        }
    }
}

/// An address range; a single address has all bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Network {
    pub address: IpAddr,
    pub bits: u32,
}

impl Network {
    /// Reads what Cedar's `ip("…")` takes.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        Some(Self { address, bits: bits.unwrap_or(all) })
    }

    pub fn contains(&self, other: &Self) -> bool {
        self.bits <= other.bits
            && self.address.is_ipv4() == other.address.is_ipv4()
            && self.prefix(self.address) == self.prefix(other.address)
    }

    /// The bits of `address` that all addresses of this range share.
    fn prefix(&self, address: IpAddr) -> u128 {
        let (number, all) = match address {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 32_u32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        number.checked_shr(all.saturating_sub(self.bits)).unwrap_or_default()
    }
}

/// A `like` pattern: literals, and `None` for each wildcard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pattern(pub Vec<Option<String>>);

impl Pattern {
    pub fn fits(&self, text: &str) -> bool {
        fits(&self.0, text)
    }

    /// The pattern with `fill` for every wildcard.
    pub fn filled(&self, fill: &str) -> String {
        self.0.iter().map(|part| part.as_deref().unwrap_or(fill)).collect()
    }

    /// As it was written. A literal `*` looks like a wildcard.
    pub fn shown(&self) -> String {
        self.filled("*")
    }

    pub fn has_wildcard(&self) -> bool {
        self.0.contains(&None)
    }

    /// The text before the first wildcard.
    pub fn start(&self) -> String {
        self.0.iter().map_while(|part| part.as_deref()).collect()
    }

    /// The text after the last wildcard.
    pub fn end(&self) -> String {
        let parts: Vec<&str> = self.0.iter().rev().map_while(|part| part.as_deref()).collect();
        parts.into_iter().rev().collect()
    }
}

fn fits(parts: &[Option<String>], text: &str) -> bool {
    let Some((first, rest)) = parts.split_first() else {
        return text.is_empty();
    };
    match first {
        Some(literal) => text.strip_prefix(literal.as_str()).is_some_and(|text| fits(rest, text)),
        None => {
            let mut starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            starts.any(|at| text.get(at..).is_some_and(|text| fits(rest, text)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::parse(text).expect("a network")
    }

    #[test]
    fn compares_networks_by_prefix() {
        for (wide, narrow, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.0/24", false),
        ] {
            assert_eq!(network(wide).contains(&network(narrow)), expected, "{wide} {narrow}");
        }
    }

    #[test]
    fn fills_and_fits_patterns() {
        let pattern = Pattern(vec![Some("a/".to_owned()), None, Some("-b".to_owned())]);
        assert_eq!(pattern.shown(), "a/*-b");
        assert_eq!((pattern.start().as_str(), pattern.end().as_str()), ("a/", "-b"));
        assert!(pattern.fits(&pattern.filled("x/y")) && pattern.fits("a/-b") && !pattern.fits("a/-bc"));
    }
}
