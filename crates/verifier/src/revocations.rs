//! The list of what the broker has revoked (`docs/revocation.md`): a signed document that lives for seconds.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use vouchsafe_jose::{Algorithm, Json, JsonObject, UnverifiedJws};

use crate::error::{Check, VerificationError};
use crate::keys::Keys;
use crate::verify::{Rules, VerifiedToken, verify_jws};

/// The header's `typ` of the document.
pub const REVOCATIONS_TYP: &str = "vouchsafe-revocations+jwt";
/// Longest document, in bytes, inclusive.
pub const REVOCATIONS_BYTES_MAX: usize = 1024 * 1024;
/// Those of the broker's epoch keys, whatever the algorithm of its tokens.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::Es256, Algorithm::EdDsa];
/// Longest life of a document, in seconds, inclusive.
const LIFETIME_SECONDS_MAX: u64 = 60;
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
    //
    // ORDER: the header before the key, the signature before any claim has an effect.
    pub fn verify(document: &str, keys: &Keys, rules: &Rules<'_>, now: u64) -> Result<Self, VerificationError> {
        let jws = UnverifiedJws::parse_within(document, REVOCATIONS_BYTES_MAX).map_err(wrong)?;
        if jws.typ() != Some(REVOCATIONS_TYP) {
            return Err(wrong(format!("`typ` is not {REVOCATIONS_TYP}")));
        }
        if !ALGORITHMS.contains(&jws.algorithm()) {
            return Err(wrong(format!("`alg` {} is not allowed", jws.algorithm())));
        }
        verify_jws(&jws, keys, |kid| match rules.root {
            Some(root) => keys.certified(kid, root, rules.issuer, now).map(drop),
            None => Ok(()),
        })?;
        let claims = JsonObject::parse(jws.payload()).map_err(|_| wrong("claims are not strict JSON"))?;
        if claims.get("iss").and_then(Json::as_text) != Some(rules.issuer) {
            return Err(wrong(format!("`iss` is not `{}`", rules.issuer)));
        }
        let issued_at = number(&claims, "iat")?.ok_or_else(|| invalid("iat"))?;
        let list = Self::parse(&claims)?;
        if issued_at > now.saturating_add(rules.leeway_seconds) {
            return Err(wrong("`iat` is in the future"));
        }
        if list.expires_at.saturating_sub(issued_at) > LIFETIME_SECONDS_MAX {
            return Err(wrong(format!("it is valid for more than {LIFETIME_SECONDS_MAX} s")));
        }
        if !list.is_fresh(rules, now) {
            return Err(wrong("expired"));
        }
        Ok(list)
    }

    fn parse(claims: &JsonObject) -> Result<Self, VerificationError> {
        let required = |name| number(claims, name)?.ok_or_else(|| invalid(name));
        let items = |name| claims.get(name).and_then(Json::as_array).ok_or_else(|| invalid(name));
        let tokens = items("tokens")?.iter().map(|jti| jti.as_text().map(str::to_owned));
        Ok(Self {
            order: (required("began_at")?, required("seq")?),
            expires_at: required("exp")?,
            rules: items("rules")?.iter().map(Rule::parse).collect::<Result<_, _>>()?,
            tokens: tokens.collect::<Option<_>>().ok_or_else(|| invalid("tokens"))?,
        })
    }

    /// Whether the list may still be used.
    pub(crate) fn is_fresh(&self, rules: &Rules<'_>, now: u64) -> bool {
        now < self.expires_at.saturating_add(rules.leeway_seconds)
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
        let rule = rule.as_object().ok_or_else(|| invalid("rules"))?;
        let mut hashes = [const { None }; 4];
        for (hash, name) in hashes.iter_mut().zip(CONDITIONS) {
            *hash = match rule.get(name) {
                None => None,
                Some(Json::Text(text)) => Some(text.clone()),
                Some(_) => return Err(invalid("rules")),
            };
        }
        Ok(Self { hashes, since: number(rule, "since")?, until: number(rule, "until")? })
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

fn number(object: &JsonObject, name: &'static str) -> Result<Option<u64>, VerificationError> {
    match object.get(name) {
        None => Ok(None),
        Some(Json::Integer(number)) => u64::try_from(*number).map(Some).map_err(|_| invalid(name)),
        Some(_) => Err(invalid(name)),
    }
}

fn invalid(name: &str) -> VerificationError {
    wrong(format!("`{name}` is missing or has another type"))
}

fn wrong(reason: impl ToString) -> VerificationError {
    VerificationError::new(Check::Revocations, format!("list of revocations: {}", reason.to_string()))
}

/// The latest list of one broker, and when to fetch the next one.
#[derive(Debug, Default)]
pub struct Revocations {
    latest: Option<RevocationList>,
    attempted: Option<u64>,
}

/// How often the list is fetched, in seconds.
const POLL_SECONDS: u64 = 2;

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
                ..wrong("its sequence went back")
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
        match self.latest.as_ref().filter(|list| list.is_fresh(rules, now)) {
            None => Err(wrong("there is none that is recent enough")),
            Some(list) => list.check(token),
        }
    }
}

#[cfg(test)]
#[path = "revocations_tests.rs"]
mod tests;
