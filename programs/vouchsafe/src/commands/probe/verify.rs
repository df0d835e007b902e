//! Whether an issued token is what an API owner would accept.

use crate::client::exchange::Issued;
use crate::client::jwt::{decode_unverified, verify_signature};
use crate::client::{Broker, Http};
use serde_json::Value;
use vouchsafe_cli::{Failure, clock};

/// The header's `typ` of an access token (RFC 9068 §2.1) and of any other JWT.
const TYPS: [&str; 2] = ["at+jwt", "JWT"];

/// What the token is in a few words, or what is wrong with it.
pub fn verify(
    http: &Http,
    broker: &Broker,
    issued: &Issued,
    audience: &str,
) -> Result<Result<String, String>, Failure> {
    let reply = http.get(&broker.jwks_uri, None)?;
    let jwks: Value = reply
        .json()
        .ok_or_else(|| Failure::unreachable(format!("{} is not a key set", broker.jwks_uri)))?;
    let now = clock::unix_seconds()?;
    Ok(check(
        &issued.access_token,
        &jwks,
        &broker.issuer,
        audience,
        now,
    ))
}

fn check(
    token: &str,
    jwks: &Value,
    issuer: &str,
    audience: &str,
    now_seconds: u64,
) -> Result<String, String> {
    let token = decode_unverified(token).ok_or("the issued token is not a JWT")?;
    verify_signature(&token, jwks)?;
    let (header, claims) = (&token.header, &token.claims);
    let require = |met: bool, wrong: &str| {
        if met {
            Ok(())
        } else {
            Err(format!("the issued token's {wrong}"))
        }
    };
    require(
        TYPS.iter().any(|typ| header["typ"] == *typ),
        "`typ` is neither at+jwt nor JWT",
    )?;
    require(claims["iss"] == issuer, "`iss` is not the broker")?;
    require(
        claims["aud"] == audience,
        "`aud` is not the audience asked for",
    )?;
    require(
        claims["sub"].as_str().is_some_and(|sub| !sub.is_empty()),
        "`sub` is missing",
    )?;
    let expires = claims["exp"].as_u64().filter(|exp| *exp > now_seconds);
    let seconds = expires.ok_or("the issued token's `exp` has passed")? - now_seconds;
    Ok(format!(
        "{} by kid {}, good for {seconds} s",
        header["alg"], header["kid"]
    )
    .replace('"', ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::encode;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use serde_json::json;

    const ISSUER: &str = "https://broker.example";

    /// A token over `claims` from a new key, and the key set that it verifies against.
    fn signed(claims: &Value) -> (String, Value) {
        let random = SystemRandom::new();
        let scheme = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(scheme, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(scheme, document.as_ref(), &random).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let key =
            json!({ "alg": "ES256", "kty": "EC", "kid": "k", "x": encode(x), "y": encode(y) });
        let header = json!({ "alg": "ES256", "kid": "k", "typ": "at+jwt" }).to_string();
        let input = format!(
            "{}.{}",
            encode(header.as_bytes()),
            encode(claims.to_string().as_bytes())
        );
        let signature = pair.sign(&random, input.as_bytes()).unwrap();
        (
            format!("{input}.{}", encode(signature.as_ref())),
            json!({ "keys": [key] }),
        )
    }

    fn outcome(claims: &Value) -> Result<String, String> {
        let (token, jwks) = signed(claims);
        check(&token, &jwks, ISSUER, "a", 100)
    }

    #[test]
    fn accepts_a_token_of_the_brokers_until_its_expiry() {
        let claims = |exp: u64| json!({ "iss": ISSUER, "aud": "a", "sub": "s", "exp": exp });
        assert_eq!(
            outcome(&claims(101)).unwrap(),
            "ES256 by kid k, good for 1 s"
        );
        assert_eq!(
            outcome(&claims(100)).unwrap_err(),
            "the issued token's `exp` has passed"
        );
    }

    #[test]
    fn names_the_claim_that_is_wrong() {
        let table = [
            (
                json!({ "iss": "x", "aud": "a", "sub": "s", "exp": 200 }),
                "the issued token's `iss` is not the broker",
            ),
            (
                json!({ "iss": ISSUER, "aud": ["a"], "sub": "s", "exp": 200 }),
                "the issued token's `aud` is not the audience asked for",
            ),
            (
                json!({ "iss": ISSUER, "aud": "a", "exp": 200 }),
                "the issued token's `sub` is missing",
            ),
        ];
        for (claims, wrong) in table {
            assert_eq!(outcome(&claims).unwrap_err(), wrong);
        }
    }

    #[test]
    fn refuses_a_spoilt_signature_and_another_key() {
        let claims = json!({ "iss": ISSUER, "aud": "a", "sub": "s", "exp": 200 });
        let (token, jwks) = signed(&claims);
        let spoilt = crate::client::jwt::with_spoilt_signature(&token).unwrap();
        assert_eq!(
            check(&spoilt, &jwks, ISSUER, "a", 100).unwrap_err(),
            "the signature is wrong"
        );
        let (_, others) = signed(&claims);
        assert_eq!(
            check(&token, &others, ISSUER, "a", 100).unwrap_err(),
            "the signature is wrong"
        );
        assert_eq!(
            check(&token, &json!({ "keys": [] }), ISSUER, "a", 100).unwrap_err(),
            "no published key has its `kid`"
        );
    }
}
