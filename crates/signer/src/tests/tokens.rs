//! What issued tokens and key sets look like.

use serde_json::json;
use vouchsafe_types::{ACTORS_BYTES_MAX, ACTORS_MAX, Actor, TXN_BYTES_MAX, View};

use super::*;

#[test]
fn builds_header_and_claims_of_an_access_token() {
    let mut signer = signer();
    for algorithm in ["ES256", "EdDSA"] {
        let mut request = request(algorithm, NOW);
        request.extra_claims = vec![claim("repository", r#""acme/app""#), claim("run", " [1, {\"a\": null}] ")];
        let token = signer.sign(&request, NOW, &entropy()).unwrap();
        let (header, payload) = verified(&token.jwt, &signer.public_keys(0, NOW).unwrap()).unwrap();
        assert_eq!(header, json!({ "alg": algorithm, "kid": token.kid, "typ": "at+jwt" }));
        assert_eq!(
            payload,
            json!({
                "iss": ISSUER, "sub": request.subject, "aud": AUDIENCE, "exp": NOW.0 + 300, "iat": NOW.0,
                "nbf": NOW.0 - 5, "jti": request.jti, "client_id": request.subject,
                "scope": "deploy:read deploy:write", "repository": "acme/app", "run": [1, { "a": null }],
            })
        );
        assert_eq!(token.expires_at, NOW.0 + 300);
        assert_eq!(token.key_version, EPOCH_START.to_string());
    }
}

#[test]
fn omits_empty_scope_and_types_plain_jwts() {
    let mut signer = signer();
    let mut request = request("EdDSA", NOW);
    request.scopes.clear();
    request.token_type = TokenType::Jwt;
    let token = signer.sign(&request, NOW, &entropy()).unwrap();
    let (header, payload) = verified(&token.jwt, &signer.public_keys(0, NOW).unwrap()).unwrap();
    assert_eq!(header["typ"], "JWT");
    assert_eq!(payload.get("scope"), None);
}

#[test]
fn view_has_an_issuer_of_its_own() {
    let mut signer = signer();
    for (view, iss) in [(None, ISSUER.to_owned()), (Some(View::Aws), format!("{ISSUER}/v/aws"))] {
        let token = signer.sign(&SigningRequest { view, ..request("ES256", NOW) }, NOW, &entropy()).unwrap();
        let (_, payload) = verified(&token.jwt, &signer.public_keys(0, NOW).unwrap()).unwrap();
        assert_eq!(payload["iss"], iss);
    }
    // A view's URL is not the signer's own.
    let elsewhere = SigningRequest { issuer: format!("{ISSUER}/v/aws"), ..request("ES256", NOW) };
    assert_eq!(signer.sign(&elsewhere, NOW, &entropy()).map(drop), Err(Error::Refused(Ceiling::Issuer)));
}

/// RFC 9449 §6.1.
#[test]
fn binds_a_token_to_a_key() {
    let mut signer = signer();
    let jkt = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
    for token_type in [TokenType::AccessToken, TokenType::Jwt] {
        let bound = SigningRequest { token_type, key_thumbprint: Some(jkt.into()), ..request("ES256", NOW) };
        let token = signer.sign(&bound, NOW, &entropy()).unwrap();
        let (_, payload) = verified(&token.jwt, &signer.public_keys(0, NOW).unwrap()).unwrap();
        assert_eq!(payload["cnf"], json!({ "jkt": jkt }));
    }
    for thumbprint in ["", "x", &jkt[1..], &format!("{jkt}A"), &jkt.replace('_', "\"")] {
        let bound = SigningRequest { key_thumbprint: Some(thumbprint.into()), ..request("ES256", NOW) };
        let outcome = signer.sign(&bound, NOW, &entropy()).map(drop);
        assert_eq!(outcome, Err(Error::Refused(Ceiling::KeyThumbprint)), "{thumbprint}");
    }
}

/// RFC 8693 §4.1.
#[test]
fn nests_the_actors() {
    let mut signer = signer();
    let actor = |iss: &str, sub: &str| Actor { iss: iss.into(), sub: sub.into() };
    let actors =
        vec![actor("https://a.example", "current\""), actor("https://b.example", "before"), actor("c", "first")];
    let token = signer.sign(&SigningRequest { actors, ..request("ES256", NOW) }, NOW, &entropy()).unwrap();
    let (_, payload) = verified(&token.jwt, &signer.public_keys(0, NOW).unwrap()).unwrap();
    let first = json!({ "iss": "c", "sub": "first" });
    let before = json!({ "iss": "https://b.example", "sub": "before", "act": first });
    assert_eq!(payload["act"], json!({ "iss": "https://a.example", "sub": "current\"", "act": before }));
    let token = signer.sign(&request("ES256", NOW), NOW, &entropy()).unwrap();
    let (_, payload) = verified(&token.jwt, &signer.public_keys(0, NOW).unwrap()).unwrap();
    assert_eq!(payload.get("act"), None);
}

#[test]
fn carries_a_transaction_id() {
    let mut signer = signer();
    let longest = "t".repeat(TXN_BYTES_MAX);
    for (txn, expected) in [
        (None, Ok(())),
        (Some(longest.clone()), Ok(())),
        (Some(format!("{longest}t")), Err(Error::Refused(Ceiling::Txn))),
        (Some(String::new()), Err(Error::Refused(Ceiling::Txn))),
        (Some("a\n".to_owned()), Err(Error::Refused(Ceiling::Txn))),
    ] {
        let signed = signer.sign(&SigningRequest { txn: txn.clone(), ..request("ES256", NOW) }, NOW, &entropy());
        if let Ok(token) = &signed {
            let (_, payload) = verified(&token.jwt, &signer.public_keys(0, NOW).unwrap()).unwrap();
            assert_eq!(payload.get("txn").cloned(), txn.map(serde_json::Value::from));
        }
        assert_eq!(signed.map(drop), expected);
    }
}

#[test]
fn bounds_the_actors() {
    let mut signer = signer();
    let actor = |iss: &str, sub: &str| Actor { iss: iss.into(), sub: sub.into() };
    let refused = Err(Error::Refused(Ceiling::Actors));
    for (actors, expected) in [
        (vec![actor("i", "s"); ACTORS_MAX], Ok(())),
        (vec![actor("i", "s"); ACTORS_MAX + 1], refused),
        (vec![actor("i", &"s".repeat(ACTORS_BYTES_MAX - 1))], Ok(())),
        (vec![actor("i", &"s".repeat(ACTORS_BYTES_MAX))], refused),
        (vec![actor("", "s")], refused),
        (vec![actor("i", "")], refused),
        (vec![actor("i", "a\nb")], refused),
        (vec![actor("i", "s"), actor("\u{202e}", "s")], refused),
    ] {
        let outcome = signer.sign(&SigningRequest { actors, ..request("ES256", NOW) }, NOW, &entropy());
        assert_eq!(outcome.map(drop), expected);
    }
}

#[test]
fn escapes_what_json_needs_escaped() {
    let mut signer = signer();
    let mut request = request("EdDSA", NOW);
    request.subject = r#"a","iss":"evil\"#.into();
    request.extra_claims = vec![claim("x':1,'iss", r#""\",\"iss\":\"evil é😀""#)];
    let token = signer.sign(&request, NOW, &entropy()).unwrap();
    let (_, payload) = verified(&token.jwt, &signer.public_keys(0, NOW).unwrap()).unwrap();
    assert_eq!(payload["iss"], ISSUER);
    assert_eq!(payload["sub"], request.subject);
    assert_eq!(payload["x':1,'iss"], r#"","iss":"evil é😀"#);
}

#[test]
fn a_changed_token_does_not_verify() {
    let mut signer = signer();
    let keys = signer.public_keys(0, NOW).unwrap();
    for algorithm in ["ES256", "EdDSA"] {
        let token = signer.sign(&request(algorithm, NOW), NOW, &entropy()).unwrap().jwt;
        let (header, rest) = token.split_once('.').unwrap();
        let (_, signature) = rest.split_once('.').unwrap();
        let other = URL_SAFE_NO_PAD.encode(r#"{"sub":"other"}"#);
        assert!(verified(&token, &keys).is_some());
        assert!(verified(&format!("{header}.{other}.{signature}"), &keys).is_none());
    }
}

#[test]
fn serves_keys_oldest_first_then_by_algorithm() {
    let set = signer().public_keys(0, NOW).unwrap();
    assert_eq!(set.max_age_seconds, 300);
    let keys = keys_of(&set);
    assert_eq!(keys.len(), 8);
    for (index, key) in keys.iter().enumerate() {
        let mut members: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        let (alg, crv, expected) = match index % 2 {
            0 => ("ES256", "P-256", &["alg", "crv", "kid", "kty", "use", "x", "y"][..]),
            _ => ("EdDSA", "Ed25519", &["alg", "crv", "kid", "kty", "use", "x"][..]),
        };
        assert_eq!(
            (key["alg"].as_str(), key["crv"].as_str(), key["use"].as_str()),
            (Some(alg), Some(crv), Some("sig"))
        );
        assert_eq!(members, expected);
    }
}

#[test]
fn serves_only_configured_algorithms() {
    let mut signer = signer_with(|variables| variables.signer_algorithms = "EdDSA".into());
    let keys = keys_of(&signer.public_keys(0, NOW).unwrap());
    assert_eq!(keys.len(), 4);
    assert!(keys.iter().all(|key| key["alg"] == "EdDSA"));
    assert_eq!(signer.settings().algorithms, ["EdDSA"]);
}

#[test]
fn settings_contain_what_the_broker_needs() {
    let settings = signer().settings();
    assert_eq!(
        settings,
        SignerSettings {
            issuer: ISSUER.into(),
            development: false,
            epoch_seconds: 3600,
            algorithms: vec!["ES256".to_owned(), "EdDSA".to_owned()],
            backend_urls: vec![],
            warnings: vec![
                "`signer_audiences` is `*`: the signer signs for every audience that the bundle may ever contain; list the audiences".to_owned()
            ],
            trusted_proxies: "10.0.0.0/8".into(),
            forwarded_header: "forwarded".into(),
            group: "default".into(),
            root_fingerprint: Some("Xq5yytIs8zq8nqffU30_dw".into()),
        }
    );
}

#[test]
fn fingerprint_depends_on_root_alone() {
    let fingerprint = |change: fn(&mut Variables)| signer_with(change).settings().root_fingerprint.unwrap();
    let first = fingerprint(|_| {});
    assert_eq!(first.len(), 22, "128 bits in base64url");
    assert_eq!(first, fingerprint(|variables| variables.signer_generation = "2".into()));
    assert_eq!(first, fingerprint(|variables| variables.signer_epoch = "7200".into()));
    let other = |variables: &mut Variables| *variables.signer_root = URL_SAFE_NO_PAD.encode([7; 32]);
    assert_ne!(first, fingerprint(other));
}

/// An audience of the bundle, and what the signer refuses of its tokens.
#[track_caller]
fn check_conflict(change: impl FnOnce(&mut Audience), expected: Option<&str>) {
    let signer = signer_with(|variables| {
        variables.signer_audiences = format!("{AUDIENCE} https://api.example");
        variables.signer_algorithms = "ES256".into();
        variables.signer_lifetime_max = "900".into();
    });
    let mut audience = Audience {
        id: AUDIENCE.into(),
        view: None,
        tier: Tier::Delegated,
        algorithm: "ES256".into(),
        default_lifetime_seconds: 300,
        max_lifetime_seconds: 900,
        scopes: vec![],
        scopes_required: false,
        claims: vec![],
        replay: vouchsafe_types::ReplayMode::Allow,
        outlive_subject: false,
        proof_required: false,
        allow_act: false,
        authorization_server: false,
        status_list: false,
    };
    change(&mut audience);
    assert_eq!(signer.conflicts(&[audience]), Vec::from_iter(expected));
}

#[test]
fn names_audiences_that_it_refuses() {
    check_conflict(|_| {}, None);
    let beyond = "audience `https://other.example` is beyond `signer_audiences`";
    check_conflict(|audience| audience.id = "https://other.example".into(), Some(beyond));
    let tier = "audience `https://deploy.example` has tier `hsm`, and the signer has no HSM";
    check_conflict(|audience| audience.tier = Tier::Hsm, Some(tier));
    let algorithm = "algorithm `EdDSA` of audience `https://deploy.example` is not in `signer_algorithms`";
    check_conflict(|audience| audience.algorithm = "EdDSA".into(), Some(algorithm));
    let lifetime = "`max_lifetime` of audience `https://deploy.example`, 901 s, is over `signer_lifetime_max`, 900 s";
    check_conflict(|audience| audience.max_lifetime_seconds = 901, Some(lifetime));
}

#[test]
fn warns_of_an_open_audience_ceiling() {
    for (audiences, issuer, development, expected) in [
        ("*", ISSUER, "false", 1),
        ("https://a https://b", ISSUER, "false", 0),
        ("*", "http://127.0.0.1:3000", "true", 0),
    ] {
        let signer = signer_with(|variables| {
            variables.signer_audiences = audiences.into();
            variables.issuer = issuer.into();
            variables.development = development.into();
        });
        assert_eq!(signer.settings().warnings.len(), expected, "{audiences}");
    }
}

#[test]
fn signing_derives_one_key_only() {
    let mut signer = signer();
    signer.sign(&request("ES256", NOW), NOW, &entropy()).unwrap();
    assert_eq!(signer.keys_held(), 1);
}

/// I6.
#[test]
fn debug_shows_no_secret() {
    let mut signer = signer();
    signer.public_keys(0, NOW).unwrap();
    let secrets = [root().to_string(), "79f76813".to_owned(), "f3375a03".to_owned(), "[0, 1, 2".to_owned()];
    let config = Config::parse(&variables()).unwrap();
    for text in [
        format!("{:?}", variables()),
        format!("{config:?}"),
        format!("{:?}", Root::parse(&variables()).unwrap()),
        format!("{signer:#?}"),
    ] {
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
    }
}
