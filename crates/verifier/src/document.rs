//! Documents that the broker signs for verifiers: JWTs of types of their own, which live for seconds.

use vouchsafe_jose::{Algorithm, Json, JsonObject, UnverifiedJws};

use crate::error::{Check, VerificationError};
use crate::keys::Keys;
use crate::verify::{Rules, verify_jws};

/// Those of the broker's epoch keys, whatever the algorithm of its tokens.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::Es256, Algorithm::EdDsa];
/// Longest life of a document, in seconds, inclusive.
const LIFETIME_SECONDS_MAX: u64 = 60;
/// How often a document is fetched, in seconds.
pub(crate) const POLL_SECONDS: u64 = 2;

/// A kind of document.
pub(crate) struct Kind {
    /// What errors begin with.
    pub name: &'static str,
    /// The header's `typ`.
    pub typ: &'static str,
    /// Longest document, inclusive.
    pub bytes_max: usize,
}

/// A document whose signature, issuer and times are valid.
pub(crate) struct Document {
    pub claims: JsonObject,
    pub issued_at: u64,
    pub expires_at: u64,
}

impl Kind {
    /// Verifies a document of the issuer in `rules`, whose root and leeway count too, at `now` in Unix seconds.
    ///
    /// # Errors
    /// The first check that fails: [`Check::Key`] if other keys may help.
    //
    // ORDER: the header before the key, the signature before any claim has an effect.
    pub fn verify(
        &self,
        document: &str,
        keys: &Keys,
        rules: &Rules<'_>,
        now: u64,
    ) -> Result<Document, VerificationError> {
        let jws = UnverifiedJws::parse_within(document, self.bytes_max).map_err(|error| self.wrong(error))?;
        if jws.typ() != Some(self.typ) {
            return Err(self.wrong(format!("`typ` is not {}", self.typ)));
        }
        if !ALGORITHMS.contains(&jws.algorithm()) {
            return Err(self.wrong(format!("`alg` {} is not allowed", jws.algorithm())));
        }
        verify_jws(&jws, keys, |kid| match rules.root {
            Some(root) => keys.certified(kid, root, rules.issuer, now).map(drop),
            None => Ok(()),
        })?;
        let claims = JsonObject::parse(jws.payload()).map_err(|_| self.wrong("claims are not strict JSON"))?;
        self.require(&claims, "iss", rules.issuer)?;
        let (issued_at, expires_at) = (self.number(&claims, "iat")?, self.number(&claims, "exp")?);
        if issued_at > now.saturating_add(rules.leeway_seconds) {
            return Err(self.wrong("`iat` is in the future"));
        }
        if expires_at.saturating_sub(issued_at) > LIFETIME_SECONDS_MAX {
            return Err(self.wrong(format!("it is valid for more than {LIFETIME_SECONDS_MAX} s")));
        }
        if !is_fresh(expires_at, rules, now) {
            return Err(self.wrong("expired"));
        }
        Ok(Document { claims, issued_at, expires_at })
    }

    /// Fails unless the claim `name` is exactly `expected`.
    pub fn require(&self, claims: &JsonObject, name: &str, expected: &str) -> Result<(), VerificationError> {
        match claims.get(name).and_then(Json::as_text) == Some(expected) {
            true => Ok(()),
            false => Err(self.wrong(format!("`{name}` is not `{expected}`"))),
        }
    }

    pub fn number(&self, object: &JsonObject, name: &str) -> Result<u64, VerificationError> {
        self.number_if_any(object, name)?.ok_or_else(|| self.invalid(name))
    }

    pub fn number_if_any(&self, object: &JsonObject, name: &str) -> Result<Option<u64>, VerificationError> {
        match object.get(name) {
            None => Ok(None),
            Some(Json::Integer(number)) => u64::try_from(*number).map(Some).map_err(|_| self.invalid(name)),
            Some(_) => Err(self.invalid(name)),
        }
    }

    pub fn invalid(&self, name: &str) -> VerificationError {
        self.wrong(format!("`{name}` is missing or invalid"))
    }

    pub fn wrong(&self, reason: impl ToString) -> VerificationError {
        VerificationError::new(Check::Revocations, format!("{}: {}", self.name, reason.to_string()))
    }
}

/// Whether a document that expires then counts at `now`.
pub(crate) fn is_fresh(expires_at: u64, rules: &Rules<'_>, now: u64) -> bool {
    now < expires_at.saturating_add(rules.leeway_seconds)
}
