//! The client's address, according to the proxies that the operator trusts.
//!
//! Only headers from trusted proxies count, and only for the hop that a proxy saw itself: walking from the nearest
//! hop outwards, the first address outside the trusted networks is the client's. A request from a trusted proxy
//! whose headers leave that address undetermined is refused: a `forbid` whose condition starts with
//! `context has client_ip` would not apply to it, and clients can provoke this case at will.

use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// Most hops that are examined.
pub const HOPS_MAX: usize = 32;
/// Most networks in `trusted_proxies`.
pub const TRUSTED_PROXIES_MAX: usize = 64;

/// The networks of trusted proxies, and the header that they write. Without networks, every header is ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    header: ForwardedHeader,
}

/// The header in which trusted proxies record the hops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// Whichever is present; a request with both is refused.
    #[default]
    Either,
    /// `forwarded` (RFC 7239) only.
    Forwarded,
    /// `x-forwarded-for` only.
    XForwardedFor,
}

/// A value that names neither header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `forwarded` or `x-forwarded-for`")]
pub struct HeaderUnknown;

impl ForwardedHeader {
    /// Parses a header name; an empty string means either.
    ///
    /// # Errors
    /// [`HeaderUnknown`] for any other name.
    pub fn parse(text: &str) -> Result<Self, HeaderUnknown> {
        // Header names are case-insensitive (RFC 9110 §5.1).
        match text.to_ascii_lowercase().as_str() {
            "" => Ok(Self::Either),
            "forwarded" => Ok(Self::Forwarded),
            "x-forwarded-for" => Ok(Self::XForwardedFor),
            _ => Err(HeaderUnknown),
        }
    }
}

/// A value that is not a list of networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected IP addresses or networks such as `10.0.0.0/8`")]
pub struct NetworksInvalid;

impl TrustedProxies {
    /// Parses addresses and networks in CIDR notation (RFC 4632 §3.1), separated by commas or spaces.
    ///
    /// # Errors
    /// An entry is neither, or has bits set below its prefix, or there are more than [`TRUSTED_PROXIES_MAX`].
    pub fn parse(text: &str) -> Result<Self, NetworksInvalid> {
        let entries = text.split([',', ' ']).filter(|entry| !entry.is_empty());
        let networks: Vec<IpNet> = entries.map(network).collect::<Result<_, _>>()?;
        match networks.len() {
            0..=TRUSTED_PROXIES_MAX => Ok(Self { networks, header: ForwardedHeader::default() }),
            _ => Err(NetworksInvalid),
        }
    }

    /// The same proxies, writing `header`; the other one is ignored.
    #[must_use]
    pub fn writing(self, header: ForwardedHeader) -> Self {
        Self { header, ..self }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// Whether `peer`, an address with a port, is one of them.
    #[must_use]
    pub fn has_sent(&self, peer: &str) -> bool {
        address(peer).is_some_and(|address| self.contain(address))
    }

    fn contain(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }
}

fn network(entry: &str) -> Result<IpNet, NetworksInvalid> {
    if let Ok(address) = entry.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let network: IpNet = entry.parse().map_err(|_| NetworksInvalid)?;
    // `10.0.0.1/8` is ambiguous: the address or the network could be meant. An IPv4-mapped network would never
    // match, because addresses are compared in their IPv4 form.
    let mapped = network.addr().to_canonical() != network.addr();
    match network.trunc() == network && !mapped {
        true => Ok(network),
        false => Err(NetworksInvalid),
    }
}

/// The peer and the forwarding headers of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForwardedFor {
    /// The peer's address and port as the host saw them: the last `spin-client-addr`. A client can send that header
    /// too, but the host appends its own.
    pub peer: String,
    /// Every value of `forwarded` (RFC 7239), in order.
    pub forwarded: Vec<String>,
    /// Every value of `x-forwarded-for`, in order.
    pub x_forwarded_for: Vec<String>,
}

/// Why the client's address cannot be determined although `trusted_proxies` is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undetermined {
    #[error("`forwarded` and `x-forwarded-for` are both present")]
    BothHeaders,
    #[error("a trusted proxy sent no forwarding header")]
    HeaderMissing,
    #[error("invalid hop in the forwarding header")]
    HopUnreadable,
    #[error("more than {HOPS_MAX} hops are trusted proxies")]
    HopsTooMany,
    #[error("the host did not provide the peer's address")]
    PeerUnreadable,
}

impl ForwardedFor {
    /// The client's address: the nearest hop that is not a trusted proxy, or the outermost hop if all are; `None` if no
    /// proxy is trusted.
    ///
    /// # Errors
    /// The peer is a trusted proxy whose headers do not identify the client, or the peer itself is unknown.
    pub fn client(&self, trusted: &TrustedProxies) -> Result<Option<IpAddr>, Undetermined> {
        if trusted.is_empty() {
            return Ok(None);
        }
        let peer = self.peer.parse::<SocketAddr>();
        let peer = peer.map(|peer| peer.ip().to_canonical());
        let peer = peer.ok().filter(|peer| !peer.is_unspecified());
        let peer = peer.ok_or(Undetermined::PeerUnreadable)?;
        if !trusted.contain(peer) {
            return Ok(Some(peer));
        }
        let (mut walked, mut outermost) = (0_usize, None);
        for hop in self.nodes(trusted.header)?.iter().rev() {
            walked = walked.saturating_add(1);
            if walked > HOPS_MAX {
                return Err(Undetermined::HopsTooMany);
            }
            let address = address(hop).ok_or(Undetermined::HopUnreadable)?;
            if !trusted.contain(address) {
                return Ok(Some(address));
            }
            outermost = Some(address);
        }
        // Every hop is in a trusted network: the client is the outermost one, such as a runner beside its proxy.
        outermost.map(Some).ok_or(Undetermined::HeaderMissing)
    }

    /// The hops as the proxies wrote them, nearest last. A proxy writes one of the two headers and passes the other one
    /// on as the client sent it, so if both are present and neither is configured, either could be the client's.
    fn nodes(&self, header: ForwardedHeader) -> Result<Vec<String>, Undetermined> {
        let (forwarded, x_forwarded_for) = match header {
            ForwardedHeader::Either => (self.forwarded.as_slice(), self.x_forwarded_for.as_slice()),
            ForwardedHeader::Forwarded => (self.forwarded.as_slice(), &[][..]),
            ForwardedHeader::XForwardedFor => (&[][..], self.x_forwarded_for.as_slice()),
        };
        match (forwarded, x_forwarded_for) {
            ([], []) => Err(Undetermined::HeaderMissing),
            ([], values) => {
                let hops = values.iter().flat_map(|value| value.split(','));
                Ok(hops.map(|hop| hop.trim().to_owned()).collect())
            }
            (values, []) => {
                let mut nodes = Vec::new();
                for value in values {
                    nodes.extend(forwarded_nodes(value).ok_or(Undetermined::HopUnreadable)?);
                }
                Ok(nodes)
            }
            (_, _) => Err(Undetermined::BothHeaders),
        }
    }
}

/// The node of each element of a `forwarded` value (RFC 7239 §4); an element without `for` is an unknown hop. `None`
/// if the value is malformed.
fn forwarded_nodes(value: &str) -> Option<Vec<String>> {
    let mut nodes = Vec::new();
    for element in split_unquoted(value, ',')? {
        let mut node = None;
        for pair in split_unquoted(element, ';')? {
            let (name, text) = pair.split_once('=')?;
            if name.trim().eq_ignore_ascii_case("for") && node.replace(unquoted(text)?).is_some() {
                return None;
            }
        }
        nodes.push(node.unwrap_or_default());
    }
    Some(nodes)
}

/// Splits at `separator` outside quoted strings (RFC 9110 §5.6.4). `None` if a quoted string is unterminated, or does
/// not span a whole value: otherwise a client could hide what a proxy appended.
fn split_unquoted(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start) = (Vec::new(), 0_usize);
    let (mut quoted, mut escaped, mut closed) = (false, false, false);
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        if quoted {
            let ends = character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            (quoted, closed) = (!ends, ends);
        } else if character == '"' {
            if before != '=' {
                return None;
            }
            quoted = true;
        } else if matches!(character, ',' | ';') {
            closed = false;
            if character == separator {
                parts.push(text.get(start..at)?);
                start = at.saturating_add(1);
            }
        } else if closed && !matches!(character, ' ' | '\t') {
            return None;
        }
        before = character;
    }
    parts.push(text.get(start..)?);
    (!quoted).then_some(parts)
}

/// The value without its quotes. Escapes are rejected: no address needs one.
fn unquoted(text: &str) -> Option<String> {
    let text = text.trim();
    match text.strip_prefix('"') {
        Some(rest) => {
            let inner = rest.strip_suffix('"')?;
            (!inner.contains(['"', '\\'])).then(|| inner.to_owned())
        }
        None => Some(text.to_owned()),
    }
}

/// The address of a hop, without its port: `192.0.2.1`, `192.0.2.1:5`, `2001:db8::1`, `[2001:db8::1]`,
/// `[2001:db8::1]:5`. An IPv4-mapped IPv6 address becomes IPv4.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).filter(|inner| inner.contains(':'));
    let address = bare
        .unwrap_or(hop)
        .parse::<IpAddr>()
        .ok()
        .or_else(|| hop.parse::<SocketAddr>().ok().map(|hop| hop.ip()))?
        .to_canonical();
    (!address.is_unspecified()).then_some(address)
}

#[cfg(test)]
mod tests;
