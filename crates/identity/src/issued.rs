//! Verification of the broker's own tokens, where it is the resource server (RFC 9068 §4).
//!
//! Not for exchanges: a subject token that the broker issued is refused there.

use vouchsafe_jose::{Json, JsonObject, KeyUse};
use vouchsafe_types::{IssuedToken, TokenType, UnixSeconds, View};

use crate::actors;
use crate::claims;
use crate::error::{ClaimName, TokenError};
use crate::trusted_keys::TrustedKeys;
use crate::verify::UnverifiedToken;

/// How far ahead the clock of the host that issued the token may be, in seconds, inclusive. Expiry has no tolerance.
pub const ISSUED_AHEAD_SECONDS_MAX: u64 = 30;

const AUD: ClaimName = ClaimName::registered("aud");
const CLIENT_ID: ClaimName = ClaimName::registered("client_id");
const EXP: ClaimName = ClaimName::registered("exp");
const IAT: ClaimName = ClaimName::registered("iat");
const JTI: ClaimName = ClaimName::registered("jti");
const NBF: ClaimName = ClaimName::registered("nbf");
const SCOPE: ClaimName = ClaimName::registered("scope");

impl UnverifiedToken {
    /// The token's `aud`, if it is a string. Unverified: only for refusing a token before its signature is checked.
    #[must_use]
    pub fn stated_audience(&self) -> Option<&str> {
        self.claims().get("aud").and_then(Json::as_text)
    }

    /// Verifies that the broker `issuer` issued the token, itself or as a view, by its own `keys`, and that it is valid at `now`. The caller
    /// checks audience, type and scope, and whether the token is revoked.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn verify_issued(&self, issuer: &str, keys: &TrustedKeys, now: UnixSeconds) -> Result<IssuedToken, TokenError> {
        let (jws, claims) = (self.jws(), self.claims());
        // ORDER: type and key before signature, signature before any claim.
        let token_type = match jws.typ() {
            Some("at+jwt") => TokenType::AccessToken,
            Some("JWT") => TokenType::Jwt,
            Some(_) | None => return Err(TokenError::TypeNotAllowed),
        };
        let set = keys.at(now).filter(|set| set.key_use() == KeyUse::Signature).ok_or(TokenError::KeyUnusable)?;
        let kid = jws.kid().ok_or(TokenError::KeyUnknown)?;
        let key = set.find(Some(kid), jws.algorithm())?;
        key.verify(jws.signing_input().as_bytes(), jws.signature())?;
        let iss = claims::stated_issuer_of(claims)?;
        let iss = iss.filter(|iss| View::is_own_issuer(issuer, iss)).ok_or(TokenError::IssuerUntrusted)?;
        let key_thumbprint = claims::key_thumbprint(claims)?;
        let (issued_at, expires_at) = lifetime(claims, now)?;
        Ok(IssuedToken {
            issuer: iss.to_owned(),
            token_type,
            subject: claims::subject_of(claims)?.to_owned(),
            audience: claims::required_text(claims, AUD)?.to_owned(),
            client_id: claims::required_text(claims, CLIENT_ID)?.to_owned(),
            scopes: scopes(claims)?,
            jti: claims::token_id_of(claims)?.ok_or(TokenError::ClaimMissing(JTI))?.to_owned(),
            issued_at,
            expires_at,
            key_thumbprint,
            actors: actors::actors_of(claims, issuer)?,
        })
    }
}

/// `iat` and `exp`: the token is valid strictly before `exp` (RFC 7519 §4.1.4).
fn lifetime(claims: &JsonObject, now: UnixSeconds) -> Result<(u64, u64), TokenError> {
    let exp = claims::numeric_date(claims, &EXP)?.ok_or(TokenError::ClaimMissing(EXP))?;
    let iat = claims::numeric_date(claims, &IAT)?.ok_or(TokenError::ClaimMissing(IAT))?;
    let nbf = claims::numeric_date(claims, &NBF)?;
    if now >= exp {
        return Err(TokenError::Expired);
    }
    if nbf.unwrap_or(iat).max(iat) > now.plus(ISSUED_AHEAD_SECONDS_MAX) {
        return Err(TokenError::NotYetValid);
    }
    Ok((iat.0, exp.0))
}

fn scopes(claims: &JsonObject) -> Result<Vec<String>, TokenError> {
    match claims.get("scope") {
        None => Ok(Vec::new()),
        Some(Json::Text(text)) => Ok(text.split(' ').map(str::to_owned).collect()),
        Some(_) => Err(TokenError::ClaimInvalid(SCOPE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{BROKER, NOW, TestKey, keys, mint_raw};
    use serde_json::{Value, json};

    const HEADER: &str = r#"{"alg":"ES256","kid":"ES256","typ":"at+jwt"}"#;

    fn claims() -> Value {
        json!({
            "iss": BROKER, "sub": "github:a", "aud": "https://broker.example/admin", "client_id": "github:a",
            "scope": "revoke revoke:lift", "iat": NOW, "nbf": NOW - 5, "exp": NOW + 300, "jti": "j1",
        })
    }

    fn verify(header: &str, key: &TestKey, claims: &Value) -> Result<IssuedToken, TokenError> {
        let token = mint_raw(key, header, claims.to_string());
        UnverifiedToken::parse(token)?.verify_issued(BROKER, &keys(), UnixSeconds(NOW))
    }

    fn check_claim(name: &str, value: Value, expected: Result<(), TokenError>) {
        let mut claims = claims();
        claims[name] = value;
        if claims[name].is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
        let outcome = verify(HEADER, &TestKey::issuer("ES256"), &claims).map(drop);
        assert_eq!(outcome, expected, "{name}: {claims}");
    }

    fn missing(name: &'static str) -> TokenError {
        TokenError::ClaimMissing(ClaimName::registered(name))
    }

    fn invalid(name: &'static str) -> TokenError {
        TokenError::ClaimInvalid(ClaimName::registered(name))
    }

    #[test]
    fn returns_what_the_token_says() {
        let token = verify(HEADER, &TestKey::issuer("ES256"), &claims()).unwrap();
        let expected = IssuedToken {
            issuer: BROKER.into(),
            token_type: TokenType::AccessToken,
            subject: "github:a".into(),
            audience: "https://broker.example/admin".into(),
            client_id: "github:a".into(),
            scopes: vec!["revoke".into(), "revoke:lift".into()],
            jti: "j1".into(),
            issued_at: NOW,
            expires_at: NOW + 300,
            key_thumbprint: None,
            actors: Vec::new(),
        };
        assert_eq!(token, expected);
    }

    #[test]
    fn names_the_key_that_a_token_is_bound_to() {
        let jkt = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        let mut claims = claims();
        claims["cnf"] = json!({ "jkt": jkt });
        let token = verify(HEADER, &TestKey::issuer("ES256"), &claims).unwrap();
        assert_eq!(token.key_thumbprint.as_deref(), Some(jkt));
    }

    #[test]
    fn names_the_actors() {
        let mut claims = claims();
        claims["act"] =
            json!({ "iss": "https://cluster.example", "sub": "agent", "act": { "iss": "i", "sub": "first" } });
        let token = verify(HEADER, &TestKey::issuer("ES256"), &claims).unwrap();
        let actor = |iss: &str, sub: &str| vouchsafe_types::Actor { iss: iss.into(), sub: sub.into() };
        assert_eq!(token.actors, [actor("https://cluster.example", "agent"), actor("i", "first")]);
        claims["act"] = json!({ "sub": 1 });
        assert_eq!(verify(HEADER, &TestKey::issuer("ES256"), &claims), Err(invalid("act")));
    }

    #[test]
    fn tells_types_apart_and_rejects_others() {
        let header = |typ: &str| format!(r#"{{"alg":"ES256","kid":"ES256"{typ}}}"#);
        for (typ, expected) in [
            (r#","typ":"at+jwt""#, Ok(TokenType::AccessToken)),
            (r#","typ":"JWT""#, Ok(TokenType::Jwt)),
            (r#","typ":"AT+JWT""#, Err(TokenError::TypeNotAllowed)),
            (r#","typ":"application/at+jwt""#, Err(TokenError::TypeNotAllowed)),
            (r#","typ":"vouchsafe-revocations+jwt""#, Err(TokenError::TypeNotAllowed)),
            ("", Err(TokenError::TypeNotAllowed)),
        ] {
            let outcome = verify(&header(typ), &TestKey::issuer("ES256"), &claims()).map(|token| token.token_type);
            assert_eq!(outcome, expected, "{typ}");
        }
    }

    #[test]
    fn only_the_brokers_published_keys_count() {
        for (header, key, expected) in [
            (HEADER, TestKey::stranger("ES256"), TokenError::SignatureInvalid),
            (r#"{"alg":"ES256","kid":"x","typ":"at+jwt"}"#, TestKey::issuer("ES256"), TokenError::KeyUnknown),
            (r#"{"alg":"ES256","typ":"at+jwt"}"#, TestKey::issuer("ES256"), TokenError::KeyUnknown),
            (r#"{"alg":"ES256","kid":"EdDSA","typ":"at+jwt"}"#, TestKey::issuer("ES256"), TokenError::KeyUnusable),
        ] {
            assert_eq!(verify(header, &key, &claims()), Err(expected), "{header}");
        }
    }

    #[test]
    fn checks_each_claim() {
        check_claim("iss", json!("https://issuer.example"), Err(TokenError::IssuerUntrusted));
        check_claim("iss", json!(format!("{BROKER}/")), Err(TokenError::IssuerUntrusted));
        check_claim("iss", json!(format!("{BROKER}/v/aws")), Ok(()));
        check_claim("iss", json!(format!("{BROKER}/v/other")), Err(TokenError::IssuerUntrusted));
        check_claim("cnf", json!({"jkt": "x"}), Err(invalid("cnf")));
        check_claim("scope", json!(null), Ok(()));
        check_claim("scope", json!(["revoke"]), Err(invalid("scope")));
        check_claim("aud", json!(["https://broker.example/admin"]), Err(invalid("aud")));
        for name in ["sub", "aud", "client_id", "jti", "exp", "iat"] {
            check_claim(name, json!(null), Err(missing(name)));
            check_claim(name, json!({}), Err(invalid(name)));
        }
    }

    #[test]
    fn expires_without_tolerance() {
        check_claim("exp", json!(NOW + 1), Ok(()));
        check_claim("exp", json!(NOW), Err(TokenError::Expired));
        for name in ["iat", "nbf"] {
            check_claim(name, json!(NOW + ISSUED_AHEAD_SECONDS_MAX), Ok(()));
            check_claim(name, json!(NOW + ISSUED_AHEAD_SECONDS_MAX + 1), Err(TokenError::NotYetValid));
        }
    }

    #[test]
    fn names_the_audience_before_verification() {
        let token = |claims: Value| {
            let token = mint_raw(&TestKey::stranger("ES256"), HEADER, claims.to_string());
            UnverifiedToken::parse(token).unwrap().stated_audience().map(str::to_owned)
        };
        assert_eq!(token(json!({"iss": BROKER, "aud": "a"})), Some("a".to_owned()));
        assert_eq!(token(json!({"iss": BROKER, "aud": ["a"]})), None);
    }
}
