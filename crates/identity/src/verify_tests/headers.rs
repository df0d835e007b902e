use super::*;

fn check_header(header: &str, expected: Result<(), TokenError>) {
    let token = mint_raw(&TestKey::issuer("RS256"), header, testkit::claims().to_string());
    check(header, &token, expected);
}

fn allowing(algorithms: &[&str]) -> TrustedIssuer {
    let algorithms = algorithms.iter().map(|name| (*name).to_owned()).collect();
    TrustedIssuer::try_from(IssuerRecord { algorithms, ..testkit::issuer_record() }).unwrap()
}

#[test]
fn rejects_unlisted_algorithms() {
    for algorithm in ["RS256", "ES256", "ES384", "EdDSA"] {
        let header = format!(r#"{{"alg":"{algorithm}","kid":"{algorithm}"}}"#);
        let token = mint_raw(&TestKey::issuer(algorithm), &header, testkit::claims().to_string());
        for allowed in ["RS256", "ES256", "ES384", "EdDSA"] {
            let outcome = verify(&token, &allowing(&[allowed]), &keys(), NOW).map(|_| ());
            let expected = if allowed == algorithm { Ok(()) } else { Err(TokenError::AlgorithmNotAllowed) };
            assert_eq!(outcome, expected, "{algorithm} where {allowed} is allowed");
        }
    }
}

/// CVE-2016-5431: a MAC keyed with the public key. Impossible here, because MACs are not supported.
#[test]
fn rejects_mac_keyed_with_public_key() {
    let TestKey::Rs256(pair) = TestKey::issuer("RS256") else { unreachable!() };
    use ring::signature::KeyPair;
    for secret in [pair.public_key().as_ref().to_vec(), testkit::key_set_document().into_bytes(), Vec::new()] {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
        let header = testkit::base64url(r#"{"alg":"HS256","kid":"RS256"}"#);
        let input = format!("{header}.{}", testkit::base64url(testkit::claims().to_string()));
        let token = format!("{input}.{}", testkit::base64url(ring::hmac::sign(&key, input.as_bytes())));
        check("HS256", &token, Err(TokenError::AlgorithmNotAllowed));
    }
}

#[test]
fn rejects_none_with_and_without_a_signature() {
    let payload = testkit::base64url(testkit::claims().to_string());
    for name in ["none", "None", "NONE", "nOnE"] {
        let header = testkit::base64url(format!(r#"{{"alg":"{name}"}}"#));
        for signature in ["", "AAAA"] {
            check(name, &format!("{header}.{payload}.{signature}"), Err(TokenError::AlgorithmNotAllowed));
        }
    }
}

/// RFC 8725 §3.11: a token made for another protocol is not a subject token.
#[test]
fn rejects_types_of_other_protocols() {
    for typ in ["JWT", "jwt", "JOSE", "jose"] {
        check_header(&format!(r#"{{"alg":"RS256","kid":"RS256","typ":"{typ}"}}"#), Ok(()));
    }
    check_header(r#"{"alg":"RS256","kid":"RS256"}"#, Ok(()));
    for typ in [
        "at+jwt",
        "AT+JWT",
        "application/at+jwt",
        "dpop+jwt",
        "logout+jwt",
        "secevent+jwt",
        "wit+jwt",
        "wit-svid+jwt",
        "token-introspection+jwt",
        "oauth-authz-req+jwt",
        "entity-statement+jwt",
        "statuslist+jwt",
        "txntoken+jwt",
        "oauth-id-jag+jwt",
        "kb+jwt",
        "JOSE+JSON",
        "JWTX",
        "",
        " JWT",
    ] {
        check_header(&format!(r#"{{"alg":"RS256","kid":"RS256","typ":"{typ}"}}"#), Err(TokenError::TypeNotAllowed));
    }
}

#[test]
fn rejects_critical_extensions_despite_valid_signature() {
    for member in
        [r#""crit":["exp"]"#, r#""crit":[]"#, r#""b64":false,"crit":["b64"]"#, r#""b64":false"#, r#""zip":"DEF""#]
    {
        check_header(&format!(r#"{{"alg":"RS256","kid":"RS256",{member}}}"#), Err(TokenError::CriticalHeader));
    }
}

#[test]
fn checks_algorithm_and_type_before_key() {
    let token = |header: &str| mint_raw(&TestKey::stranger("RS256"), header, r#"{"iss":"nobody"}"#);
    check("type first", &token(r#"{"alg":"RS256","kid":"nobody","typ":"at+jwt"}"#), Err(TokenError::TypeNotAllowed));
    check("key next", &token(r#"{"alg":"RS256","kid":"nobody"}"#), Err(TokenError::KeyUnknown));
    check("signature next", &token(r#"{"alg":"RS256","kid":"RS256"}"#), Err(TokenError::SignatureInvalid));
}
