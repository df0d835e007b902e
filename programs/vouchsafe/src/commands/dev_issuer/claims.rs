//! Requests for tokens, and the claims of the tokens.

use super::keys::Algorithm;
use super::shapes::Shape;
use serde::Deserialize;
use serde_json::{Map, Value};

pub const EXPIRES_IN_SECONDS_DEFAULT: i64 = 300;
/// Keeps the sums below from overflowing; it reaches the year 5138.
const EXPIRES_IN_SECONDS_MAX: i64 = 100_000_000_000;

/// The default audience of GitHub's tokens: the owner's URL.
pub const GITHUB_AUDIENCE_DEFAULT: &str = "https://github.com/octo-org";

/// The body of `POST /mint`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MintRequest {
    pub aud: Value,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    expires_in: Option<i64>,
    #[serde(default)]
    shape: Shape,
    /// Added to the shape's claims, or replacing them; `null` removes one.
    #[serde(default)]
    claims: Map<String, Value>,
}

impl MintRequest {
    /// Requests an unmodified token of the GitHub shape.
    pub fn github(audience: &str) -> Self {
        let aud = audience.into();
        Self { aud, alg: None, expires_in: None, shape: Shape::Github, claims: Map::new() }
    }

    pub fn from_json(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|error| format!("invalid mint request: {error}"))
    }

    /// Parses a form; every field that is not a setting is a text claim.
    pub fn from_form(body: &[u8]) -> Result<Self, String> {
        let mut members = Map::new();
        let mut claims = Map::new();
        for (name, value) in form_urlencoded::parse(body) {
            let text = Value::from(value.as_ref());
            let repeated = match name.as_ref() {
                "aud" | "alg" | "shape" => members.insert(name.into_owned(), text),
                "expires_in" => {
                    let seconds: i64 = value.parse().map_err(|_| "`expires_in` is not a number".to_owned())?;
                    members.insert(name.into_owned(), seconds.into())
                }
                _ => claims.insert(name.into_owned(), text),
            };
            if repeated.is_some() {
                return Err("repeated field".to_owned());
            }
        }
        members.insert("claims".to_owned(), claims.into());
        Self::deserialize(Value::from(members)).map_err(|error| format!("invalid mint request: {error}"))
    }

    pub fn algorithm(&self) -> Result<Algorithm, String> {
        let name = self.alg.as_deref().unwrap_or(Algorithm::Rs256.name());
        Algorithm::from_name(name).ok_or_else(|| "`alg` must be RS256, ES256 or EdDSA".to_owned())
    }

    /// Builds the token's claims at `now_seconds`; `unique` becomes its `jti`.
    pub fn claims(self, issuer: &str, now_seconds: i64, unique: String) -> Result<Map<String, Value>, String> {
        let expires_in = self.expires_in.unwrap_or(EXPIRES_IN_SECONDS_DEFAULT);
        if !(-now_seconds..=EXPIRES_IN_SECONDS_MAX).contains(&expires_in) {
            return Err("`expires_in` is out of range".to_owned());
        }
        let expires_at = now_seconds + expires_in;
        // An expired token was issued a normal lifetime before it expired.
        let issued_at = if expires_in > 0 { now_seconds } else { expires_at - EXPIRES_IN_SECONDS_DEFAULT };
        let mut claims = self.shape.claims();
        let times = [("iat", issued_at), ("nbf", issued_at), ("exp", expires_at)];
        claims.extend(times.map(|(name, seconds)| (name.to_owned(), seconds.into())));
        claims.insert("iss".to_owned(), issuer.into());
        claims.insert("aud".to_owned(), self.aud);
        claims.insert("jti".to_owned(), unique.into());
        claims.extend(self.claims);
        claims.retain(|_, value| !value.is_null());
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn mint(body: &str) -> Map<String, Value> {
        MintRequest::from_json(body.as_bytes()).unwrap().claims("http://issuer", NOW, "one".to_owned()).unwrap()
    }

    #[test]
    fn github_ids_are_text_and_times_are_numbers() {
        let claims = mint(r#"{"aud":"a"}"#);
        assert_eq!(claims["repository_id"], "123456");
        assert_eq!(claims["exp"], NOW + EXPIRES_IN_SECONDS_DEFAULT);
        assert_eq!(claims["iat"], NOW);
        assert_eq!(claims["iss"], "http://issuer");
    }

    #[test]
    fn overrides_replace_claims_and_null_removes_them() {
        let claims = mint(r#"{"aud":"a","claims":{"ref":"refs/heads/x","exp":null}}"#);
        assert_eq!(claims["ref"], "refs/heads/x");
        assert!(!claims.contains_key("exp"));
    }

    #[test]
    fn expired_tokens_were_issued_before_they_expired() {
        for (expires_in, issued_at) in [(1, NOW), (0, NOW - 300), (-60, NOW - 360)] {
            let claims = mint(&format!(r#"{{"aud":"a","expires_in":{expires_in},"shape":"free"}}"#));
            assert_eq!((&claims["iat"], &claims["exp"]), (&issued_at.into(), &(NOW + expires_in).into()));
        }
    }

    #[test]
    fn parses_settings_and_claims_of_forms() {
        let request = MintRequest::from_form(b"aud=https%3A%2F%2Fa&alg=ES256&expires_in=60&ref=x").unwrap();
        assert_eq!(request.algorithm(), Ok(Algorithm::Es256));
        let claims = request.claims("i", NOW, "one".to_owned()).unwrap();
        assert_eq!((&claims["aud"], &claims["ref"]), (&"https://a".into(), &"x".into()));
        assert_eq!(claims["exp"], NOW + 60);
    }

    #[test]
    fn rejects_unknown_members() {
        let bad = [r#"{}"#, r#"{"aud":"a","audience":"b"}"#, r#"{"aud":"a","shape":"jenkins"}"#];
        for body in bad {
            assert!(MintRequest::from_json(body.as_bytes()).unwrap_err().starts_with("invalid mint request"), "{body}");
        }
        assert_eq!(MintRequest::from_form(b"aud=a&aud=b").unwrap_err(), "repeated field");
        let none = MintRequest::from_json(br#"{"aud":"a","alg":"none"}"#).unwrap();
        assert_eq!(none.algorithm().unwrap_err(), "`alg` must be RS256, ES256 or EdDSA");
    }
}
