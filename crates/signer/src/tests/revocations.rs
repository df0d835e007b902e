//! The document of what is revoked.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::*;

fn list() -> RevocationList {
    let rule = RevocationRule {
        issuer_name: Some("github".into()),
        subject: Some("repo:acme/app".into()),
        audience: Some(AUDIENCE.into()),
        kid: Some("k1".into()),
        since: Some(NOW.0 - 60),
        until: Some(NOW.0),
    };
    RevocationList {
        began_at: EPOCH_START,
        sequence: 7,
        rules: vec![rule, RevocationRule::default()],
        tokens: vec!["AAECAwQFBgcICQoLDA0ODw".into()],
    }
}

fn hashed(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

fn sign(signer: &mut Signer, list: &RevocationList, issued_at: u64) -> Result<String, Error> {
    signer.sign_revocations(list, issued_at, 0, NOW, &entropy())
}

#[test]
fn document_has_its_own_type_and_no_names() {
    for (algorithms, algorithm) in [("ES256 EdDSA", "ES256"), ("EdDSA", "EdDSA")] {
        let mut signer = signer_with(|variables| variables.signer_algorithms = algorithms.into());
        let jwt = sign(&mut signer, &list(), NOW.0).unwrap();
        let (header, payload) = verified(&jwt, &signer.public_keys(0, NOW).unwrap()).unwrap();
        assert_eq!((&header["typ"], &header["alg"]), (&json!("vouchsafe-revocations+jwt"), &json!(algorithm)));
        let rule = json!({
            "issuer": hashed("github"), "subject": hashed("repo:acme/app"), "audience": hashed(AUDIENCE),
            "kid": hashed("k1"), "since": NOW.0 - 60, "until": NOW.0,
        });
        let expected = json!({
            "iss": ISSUER, "iat": NOW.0, "exp": NOW.0 + 15, "began_at": EPOCH_START, "seq": 7, "rules": [rule, {}],
            "tokens": ["AAECAwQFBgcICQoLDA0ODw"],
        });
        assert_eq!(payload, expected);
    }
}

/// No request for a token makes one, whatever its claims.
#[test]
fn tokens_never_have_the_type_of_the_document() {
    let mut signer = signer();
    for token_type in [TokenType::AccessToken, TokenType::Jwt] {
        let token = signer.sign(&SigningRequest { token_type, ..request("ES256", NOW) }, NOW, &entropy()).unwrap();
        let (header, _) = verified(&token.jwt, &signer.public_keys(0, NOW).unwrap()).unwrap();
        assert_ne!(header["typ"], REVOCATIONS_TYP);
    }
}

#[test]
fn iat_is_near_the_signers_clock() {
    let mut signer = signer();
    let skew = ISSUED_AT_SKEW_SECONDS_MAX;
    for (issued_at, allowed) in
        [(NOW.0 - skew - 1, false), (NOW.0 - skew, true), (NOW.0 + skew, true), (NOW.0 + skew + 1, false)]
    {
        let expected = if allowed { Ok(()) } else { Err(Error::Refused(Ceiling::IssuedAt)) };
        assert_eq!(sign(&mut signer, &list(), issued_at).map(drop), expected, "{issued_at}");
    }
}

/// The key of the epoch that `iat` is in, which verifiers know already.
#[test]
fn document_of_the_next_epoch_has_its_key() {
    let mut signer = signer();
    let (now, issued_at) = (UnixSeconds(EPOCH_START + EPOCH_SECONDS - 5), EPOCH_START + EPOCH_SECONDS);
    let jwt = signer.sign_revocations(&list(), issued_at, 0, now, &entropy()).unwrap();
    let later = UnixSeconds(EPOCH_START + 2 * EPOCH_SECONDS);
    assert!(verified(&jwt, &signer.public_keys(0, now).unwrap()).is_some());
    assert!(verified(&jwt, &signer.public_keys(0, later).unwrap()).is_some());
}

#[test]
fn superseded_generation_signs_no_document() {
    let mut signer = signer_with(|variables| variables.signer_generation = "3".into());
    for (generation_min, signed) in [(0, true), (3, true), (4, false)] {
        let superseded = Error::Superseded(Superseded { generation: 3, latest: 4 });
        let expected = if signed { Ok(()) } else { Err(superseded) };
        let outcome = signer.sign_revocations(&list(), NOW.0, generation_min, NOW, &entropy());
        assert_eq!(outcome.map(drop), expected, "{generation_min}");
    }
}

#[test]
fn document_is_whole_or_not_at_all() {
    let mut signer = signer();
    let of_tokens = |count: usize, last: usize| {
        let mut tokens = vec!["x".repeat(97); count];
        tokens.push("y".repeat(last));
        RevocationList { tokens, ..RevocationList::default() }
    };
    let claims = |list: &RevocationList, signer: &mut Signer| -> Result<usize, Error> {
        let jwt = sign(signer, list, NOW.0)?;
        assert!(jwt.len() < 1024 * 1024);
        Ok(URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).unwrap()).unwrap().len())
    };
    let rest = REVOCATIONS_BYTES_MAX - claims(&of_tokens(7_678, 1), &mut signer).unwrap();
    assert!(rest < JTI_BYTES_MAX, "{rest}");
    assert_eq!(claims(&of_tokens(7_678, rest + 1), &mut signer), Ok(REVOCATIONS_BYTES_MAX));
    let over = claims(&of_tokens(7_678, rest + 2), &mut signer);
    assert_eq!(over, Err(Error::Refused(Ceiling::RevocationsTooLong)));
}

#[test]
fn bounds_each_token_id() {
    let mut signer = signer();
    for (length, allowed) in [(0, false), (1, true), (JTI_BYTES_MAX, true), (JTI_BYTES_MAX + 1, false)] {
        let list = RevocationList { tokens: vec!["a".repeat(length)], ..RevocationList::default() };
        let expected = if allowed { Ok(()) } else { Err(Error::Refused(Ceiling::Jti)) };
        assert_eq!(sign(&mut signer, &list, NOW.0).map(drop), expected, "{length}");
    }
}
