use super::*;

fn keys() -> Keys {
    let (first, second) = (PublicJwk::p256(&[1; 32], &[2; 32]), PublicJwk::rsa(&[4; 384], &[1, 0, 1]));
    Keys {
        now: 1_800_000_000,
        generation: 3,
        seconds_left: 3_600,
        groups: vec![GroupKeys {
            name: "default".into(),
            issuer: "https://broker.example".into(),
            epoch_seconds: 3600,
            epoch_keys: vec![PublicEpochKey {
                generation: 3,
                epoch_start: 1_800_000_000,
                algorithm: "ES256".into(),
                kid: first.kid().into(),
                jwk: first.to_json(),
            }],
            token_keys: vec![PublicTokenKey {
                name: "deploy".into(),
                version: 2,
                signs: true,
                algorithm: "RS256".into(),
                audiences: vec!["https://\"quoted\".example".into()],
                kid: second.kid().into(),
                jwk: second.to_json(),
            }],
        }],
    }
}

#[test]
fn reads_what_it_writes() {
    assert_eq!(Keys::parse(keys().to_json().as_bytes()), Ok(keys()));
    let seed = SeedRequest {
        group: "default".into(),
        generation: u64::MAX,
        algorithm: "ES256".into(),
        epoch_start: 1_800_000_000,
    };
    assert_eq!(SeedRequest::parse(seed.to_json().as_bytes()), Ok(seed));
    for workload in [None, Workload::new("https://issuer.example", "a \"b\"")] {
        let sign = SignRequest { key: "deploy".into(), signing_input: "a.b".into(), workload };
        assert!(SignRequest::parse(sign.to_json().as_bytes()) == Ok(sign));
    }
    let answer = seed_answer(&Seed::from_bytes([7; 32]));
    assert_eq!(parse_seed(answer.as_bytes()).map(|it| *it.expose()), Ok([7; 32]));
    let signature = Signature { kid: "a".into(), version: 2, signature: vec![7; 64] };
    assert_eq!(Signature::parse(signature.to_json().as_bytes()), Ok(signature));
}

#[test]
fn rejects_missing_unknown_and_extra_members() {
    for body in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"group":"a","generation":1,"algorithm":"ES256"}"#,
        r#"{"group":"a","generation":1,"algorithm":"ES256","epoch_start":1,"more":1}"#,
        r#"{"group":"a","generation":1,"algorithm":"ES256","epoch_start":1,"epoch_start":2}"#,
        r#"{"group":"a","generation":-1,"algorithm":"ES256","epoch_start":1}"#,
        r#"{"group":"a","generation":1,"algorithm":"ES256","epoch_start":1.0}"#,
        r#"{"group":"a","generation":"1","algorithm":"ES256","epoch_start":1}"#,
        r#"{"group":["a"],"generation":1,"algorithm":"ES256","epoch_start":1}"#,
        r#"{"group":"a","generation":1,"algorithm":"ES256","epoch_start":1}x"#,
    ] {
        assert_eq!(SeedRequest::parse(body.as_bytes()), Err(Malformed), "{body}");
    }
    for body in [r#"{"seed":"AAAA"}"#, r#"{"seed":1}"#, r#"{"seed":""}"#] {
        assert!(parse_seed(body.as_bytes()).is_err(), "{body}");
    }
    let json = keys().to_json();
    for (from, to) in [
        (r#""kty":"EC""#, r#""kty":"oct""#),
        (r#""version":2"#, r#""version":2,"d":"AA""#),
        (r#""now":"#, r#""then":"#),
        (r#""groups":["#, r#""groups":[[],"#),
    ] {
        let changed = json.replacen(from, to, 1);
        assert_ne!(changed, json);
        assert_eq!(Keys::parse(changed.as_bytes()), Err(Malformed), "{to}");
    }
}

/// I6: a signing input is almost a token.
#[test]
fn debug_shows_no_signing_input() {
    let sign = SignRequest { key: "deploy".into(), signing_input: "secret".into(), workload: None };
    assert!(!format!("{sign:?}").contains("secret"));
}
