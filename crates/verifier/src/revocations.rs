//! The list of what the broker has revoked (`docs/revocation.md`): a signed document that lives for seconds.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use vouchsafe_jose::Json;

use crate::document::{Document, Kind, POLL_SECONDS, is_fresh};
use crate::error::{Check, VerificationError};
use crate::keys::Keys;
use crate::verify::{Rules, VerifiedToken};

/// The header's `typ` of the document.
pub const REVOCATIONS_TYP: &str = "vouchsafe-revocations+jwt";
/// Longest document, in bytes, inclusive.
pub const REVOCATIONS_BYTES_MAX: usize = 1024 * 1024;
const KIND: Kind = Kind { name: "list of revocations", typ: REVOCATIONS_TYP, bytes_max: REVOCATIONS_BYTES_MAX };
/// The conditions on what a token shows, each of them hashed. Others are of a later version: without them, a rule matches
/// more.
const CONDITIONS: [&str; 4] = ["issuer", "subject", "audience", "kid"];

/// A verified list.
#[derive(Debug)]
pub struct RevocationList {
    /// Since when the broker knows what is revoked, then the number of its latest operation.
    order: (u64, u64),
    expires_at: u64,
    rules: Vec<Rule>,
    tokens: BTreeSet<String>,
}

/// Matches a token if all of it does.
#[derive(Debug)]
struct Rule {
    /// In the order of [`CONDITIONS`].
    hashes: [Option<String>; 4],
    since: Option<u64>,
    until: Option<u64>,
}

impl RevocationList {
    /// Verifies the document of the issuer in `rules`, whose root and leeway count too, at `now` in Unix seconds.
    ///
    /// # Errors
    /// The first check that fails: [`Check::Key`] if other keys may help.
    pub fn verify(document: &str, keys: &Keys, rules: &Rules<'_>, now: u64) -> Result<Self, VerificationError> {
        Self::parse(&KIND.verify(document, keys, rules, now)?)
    }

    fn parse(Document { claims, expires_at, .. }: &Document) -> Result<Self, VerificationError> {
        let items = |name| claims.get(name).and_then(Json::as_array).ok_or_else(|| KIND.invalid(name));
        let tokens = items("tokens")?.iter().map(|jti| jti.as_text().map(str::to_owned));
        Ok(Self {
            order: (KIND.number(claims, "began_at")?, KIND.number(claims, "seq")?),
            expires_at: *expires_at,
            rules: items("rules")?.iter().map(Rule::parse).collect::<Result<_, _>>()?,
            tokens: tokens.collect::<Option<_>>().ok_or_else(|| KIND.invalid("tokens"))?,
        })
    }

    /// Whether the list is older than `other`: its broker knew less.
    pub(crate) fn is_behind(&self, other: &Self) -> bool {
        self.order < other.order
    }

    /// Checks that the token is not revoked.
    ///
    /// # Errors
    /// [`Check::Revoked`].
    pub fn check(&self, token: &VerifiedToken) -> Result<(), VerificationError> {
        match self.revokes(token) {
            true => Err(VerificationError::new(Check::Revoked, "the token is revoked")),
            false => Ok(()),
        }
    }

    /// Whether the token is revoked. One that lacks what a rule could ask for counts as revoked.
    fn revokes(&self, token: &VerifiedToken) -> bool {
        let text = |name| token.claims.get(name).and_then(serde_json::Value::as_str);
        let workload = text("sub").and_then(|sub| sub.split_once(':'));
        let issued_at = token.claims.get("iat").and_then(serde_json::Value::as_u64);
        let (Some((issuer, subject)), Some(audience), Some(jti), Some(issued_at)) =
            (workload, text("aud"), text("jti"), issued_at)
        else {
            return true;
        };
        let (began_at, _) = self.order;
        let hashes = [issuer, subject, audience, token.kid.as_str()].map(hashed);
        issued_at < began_at
            || self.tokens.contains(jti)
            || self.rules.iter().any(|rule| rule.matches(&hashes, issued_at))
    }
}

impl Rule {
    fn parse(rule: &Json) -> Result<Self, VerificationError> {
        let rule = rule.as_object().ok_or_else(|| KIND.invalid("rules"))?;
        let mut hashes = [const { None }; 4];
        for (hash, name) in hashes.iter_mut().zip(CONDITIONS) {
            *hash = match rule.get(name) {
                None => None,
                Some(Json::Text(text)) => Some(text.clone()),
                Some(_) => return Err(KIND.invalid("rules")),
            };
        }
        Ok(Self { hashes, since: KIND.number_if_any(rule, "since")?, until: KIND.number_if_any(rule, "until")? })
    }

    fn matches(&self, token: &[String; 4], issued_at: u64) -> bool {
        let mut conditions = self.hashes.iter().zip(token);
        conditions.all(|(hash, of_token)| hash.as_ref().is_none_or(|hash| hash == of_token))
            && self.since.is_none_or(|since| since <= issued_at)
            && self.until.is_none_or(|until| issued_at <= until)
    }
}

fn hashed(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

/// The latest list of one broker, and when to fetch the next one.
#[derive(Debug, Default)]
pub struct Revocations {
    latest: Option<RevocationList>,
    attempted: Option<u64>,
}

impl Revocations {
    /// Whether to fetch the list now, in seconds of a monotonic clock.
    #[must_use]
    pub fn is_due(&self, now: u64) -> bool {
        self.attempted.is_none_or(|attempted| now.saturating_sub(attempted) >= POLL_SECONDS)
    }

    /// Notes that the list is being fetched, whatever comes of it.
    pub fn attempt(&mut self, now: u64) {
        self.attempted = Some(now);
    }

    /// Takes over a document at `now`, in Unix seconds. The list from before stays if it isn't valid, or if it is older:
    /// then the broker's database was restored, or somebody repeats an old document.
    ///
    /// # Errors
    /// As [`RevocationList::verify`].
    pub fn store(&mut self, document: &str, keys: &Keys, rules: &Rules<'_>, now: u64) -> Result<(), VerificationError> {
        let list = RevocationList::verify(document, keys, rules, now)?;
        if self.latest.as_ref().is_some_and(|latest| list.is_behind(latest)) {
            return Err(VerificationError {
                hint: Some(
                    "the broker's database may be an older copy: see \"Restored databases\" in docs/revocation.md",
                ),
                ..KIND.wrong("its sequence went back")
            });
        }
        self.latest = Some(list);
        Ok(())
    }

    /// Checks that the token is not revoked, at `now` in Unix seconds.
    ///
    /// # Errors
    /// [`Check::Revoked`]; [`Check::Revocations`] without a list that is recent enough to tell.
    pub fn check(&self, token: &VerifiedToken, rules: &Rules<'_>, now: u64) -> Result<(), VerificationError> {
        match self.latest.as_ref().filter(|list| is_fresh(list.expires_at, rules, now)) {
            None => Err(KIND.wrong("there is none that is recent enough")),
            Some(list) => list.check(token),
        }
    }
}

#[cfg(test)]
#[path = "revocations_tests.rs"]
mod tests;
