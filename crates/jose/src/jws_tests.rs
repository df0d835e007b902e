use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

const HEADER: &str = r#"{"alg":"RS256","kid":"k","typ":"JWT"}"#;

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn token_with_header(header: &str) -> String {
    format!("{}.{}.{}", encode(header), encode("{}"), encode("signature"))
}

fn check(token: &str, expected: Result<(), JwsError>) {
    assert_eq!(UnverifiedJws::parse(token).map(|_| ()), expected, "{token}");
}

fn check_header(header: &str, expected: Result<(), JwsError>) {
    assert_eq!(UnverifiedJws::parse(token_with_header(header)).map(|_| ()), expected, "{header}");
}

#[test]
fn reads_header_payload_and_signature() {
    let token = token_with_header(HEADER);
    let jws = UnverifiedJws::parse(&token).unwrap();
    assert_eq!((jws.algorithm(), jws.kid(), jws.typ()), (Algorithm::Rs256, Some("k"), Some("JWT")));
    assert_eq!((jws.payload(), jws.signature()), (&b"{}"[..], &b"signature"[..]));
    assert_eq!(jws.signing_input(), token.rsplit_once('.').unwrap().0);
}

#[test]
fn rejects_anything_but_three_parts() {
    let (header, payload, signature) = (encode(HEADER), encode("{}"), encode("s"));
    let framing = Err(Malformed::Framing.into());
    for token in [
        String::new(),
        "x".to_owned(),
        header.clone(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{signature}.{signature}"),
        format!("{header}.{payload}.{signature}.{signature}.{signature}"),
        format!("{header}.{payload}.{signature}."),
    ] {
        check(&token, framing);
    }
    check(&format!(".{payload}.{signature}"), Err(Malformed::Header(JsonError::Syntax).into()));
    check(&format!("{header}.{payload}."), Err(Malformed::SignatureEmpty.into()));
    // An empty payload is valid base64url; its content is checked elsewhere.
    check(&format!("{header}..{signature}"), Ok(()));
}

#[test]
fn rejects_base64_that_is_not_canonical_base64url() {
    let (header, payload, signature) = (encode(HEADER), encode("{}"), encode("s"));
    let base64 = Err(Malformed::Base64.into());
    // "cw" is "s"; "cx" decodes to it too if trailing bits are dropped.
    assert_eq!(signature, "cw");
    for bad in ["cx", "cw==", "cw=", "c+", "c/", "cw ", " cw", "c\nw", "c", "cw\0", "ćw", "c%77"] {
        check(&format!("{header}.{payload}.{bad}"), base64);
        check(&format!("{header}.{bad}.{signature}"), base64);
        check(&format!("{bad}.{payload}.{signature}"), base64);
    }
    check(&format!("\"{header}.{payload}.{signature}\""), base64);
    check(&format!("Bearer {header}.{payload}.{signature}"), base64);
}

#[test]
fn rejects_tokens_over_the_limit_unread() {
    let frame = format!("{}.{}.", encode(HEADER), encode("{}"));
    // Lengths of 4n + 1 are not valid base64, so the longest token has a longer payload.
    let token_of = |bytes: usize| {
        let rest = bytes - frame.len();
        let signature = if rest % 4 == 1 { rest - 1 } else { rest };
        format!("{frame}{}", "A".repeat(signature))
    };
    let longest = token_of(TOKEN_BYTES_MAX);
    assert!((TOKEN_BYTES_MAX - 1..=TOKEN_BYTES_MAX).contains(&longest.len()));
    check(&longest, Ok(()));
    check(&"x".repeat(TOKEN_BYTES_MAX), Err(Malformed::Framing.into()));
    check(&"x".repeat(TOKEN_BYTES_MAX + 1), Err(JwsError::TooLarge));
}

/// CVE-2015-9235 and its spellings: with and without a signature.
#[test]
fn rejects_algorithms_that_can_not_be_verified() {
    for name in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "none ",
        " none",
        "none\\u0000",
        "n\\u006fne",
        "HS256",
        "hs256",
        "HS512",
        "rs256",
        "Rs256",
        "RS384",
        "RS512",
        "PS256",
        "ES512",
        "ES512",
        "ES256K",
        "EDDSA",
        "Ed25519",
        "Ed448",
        "",
        "RSA-OAEP",
        "dir",
    ] {
        let header = format!(r#"{{"alg":"{name}"}}"#);
        check_header(&header, Err(JwsError::AlgorithmNotAllowed));
        check(&format!("{}.{}.", encode(&header), encode("{}")), Err(JwsError::AlgorithmNotAllowed));
    }
}

#[test]
fn rejects_headers_whose_members_have_another_type() {
    for (header, error) in [
        ("{}", Malformed::Algorithm),
        (r#"{"alg":null}"#, Malformed::Algorithm),
        (r#"{"alg":256}"#, Malformed::Algorithm),
        (r#"{"alg":["RS256"]}"#, Malformed::Algorithm),
        (r#"{"alg":true}"#, Malformed::Algorithm),
        (r#"{"Alg":"RS256"}"#, Malformed::Algorithm),
        (r#"{"alg":"RS256","kid":1}"#, Malformed::Kid),
        (r#"{"alg":"RS256","kid":null}"#, Malformed::Kid),
        (r#"{"alg":"RS256","kid":["k"]}"#, Malformed::Kid),
        (r#"{"alg":"RS256","typ":1}"#, Malformed::Typ),
        (r#"{"alg":"RS256","typ":["JWT"]}"#, Malformed::Typ),
        (r#"{"alg":"none","alg":"RS256"}"#, Malformed::Header(JsonError::DuplicateMember)),
        (r#"{"alg":"RS256","x":{"a":1,"a":2}}"#, Malformed::Header(JsonError::DuplicateMember)),
        (r#"["alg","RS256"]"#, Malformed::Header(JsonError::NotAnObject)),
        (r#"{"alg":"RS256""#, Malformed::Header(JsonError::Syntax)),
    ] {
        check_header(header, Err(error.into()));
    }
}

#[test]
fn bounds_the_key_id() {
    let header_with = |kid: &str| format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#);
    check_header(&header_with(""), Ok(()));
    check_header(&header_with(&"k".repeat(KID_BYTES_MAX)), Ok(()));
    check_header(&header_with(&"k".repeat(KID_BYTES_MAX + 1)), Err(Malformed::Kid.into()));
    // Bytes, not characters.
    check_header(&header_with(&"é".repeat(KID_BYTES_MAX / 2 + 1)), Err(Malformed::Kid.into()));
}

/// RFC 7515 §4.1.11 and RFC 7797 §7: unsupported members must not be ignored.
#[test]
fn rejects_headers_that_change_processing() {
    for member in [
        r#""crit":[]"#,
        r#""crit":["exp"]"#,
        r#""crit":["b64"],"b64":false"#,
        r#""crit":"b64""#,
        r#""crit":null"#,
        r#""b64":false"#,
        r#""b64":true"#,
        r#""zip":"DEF""#,
    ] {
        check_header(&format!(r#"{{"alg":"RS256",{member}}}"#), Err(JwsError::CriticalHeader));
    }
}

/// Some issuers send these. Tests of key selection check that no key comes from them.
#[test]
fn ignores_keys_and_urls_in_the_header() {
    for member in [
        r#""jwk":{"kty":"oct","k":"AA"}"#,
        r#""jku":"https://attacker.example/keys""#,
        r#""x5u":"file:///etc/passwd""#,
        r#""x5c":["AA"]"#,
        r#""x5t":"AA""#,
        r#""cty":"JWT""#,
        r#""unknown":1"#,
    ] {
        check_header(&format!(r#"{{"alg":"RS256",{member}}}"#), Ok(()));
    }
}
