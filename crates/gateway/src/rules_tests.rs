use super::*;
use crate::credential::{CertificateDigest, CredentialDigest};
use crate::refusal::Refusal;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::Digest as _;

pub(crate) const ISSUER: &str = "https://broker.example";
pub(crate) const AUDIENCE: &str = "https://deploy.example";

/// What `broker-1` sends.
pub(crate) fn credential() -> String {
    URL_SAFE_NO_PAD.encode([1; 32])
}

pub(crate) fn other_credential() -> String {
    URL_SAFE_NO_PAD.encode([2; 32])
}

fn digest(credential: &str) -> String {
    CredentialDigest::of(credential).unwrap().to_string()
}

fn file() -> Value {
    json!({
        "groups": [
            { "name": "default", "issuer": ISSUER, "algorithms": ["ES256", "EdDSA"], "epoch_seconds": 3600 },
            { "name": "other", "issuer": "https://other.example", "algorithms": ["ES256"], "epoch_seconds": 900 },
        ],
        "keys": [
            { "name": "deploy", "group": "default", "algorithm": "ES256", "audiences": [AUDIENCE, "https://two.example"],
              "lifetime_max": 900, "claims": ["ref", "repository"], "requests_per_second": 100, "requests_per_day": 1000 },
            { "name": "theirs", "group": "other", "algorithm": "RS256", "audiences": [AUDIENCE],
              "lifetime_max": 60, "requests_per_second": 1, "requests_per_day": 1 },
        ],
        "credentials": [
            { "name": "broker-1", "sha256": digest(&credential()), "groups": ["default"] },
            { "name": "broker-2", "sha256": digest(&other_credential()), "groups": ["other"] },
        ],
    })
}

fn parse(file: &Value) -> Result<Rules, RuleError> {
    let list = |name: &str| file[name].clone();
    Rules::new(
        serde_json::from_value(list("groups")).unwrap(),
        serde_json::from_value(list("keys")).unwrap(),
        serde_json::from_value(list("credentials")).unwrap(),
    )
}

/// The rules of these tests; `rates` are lines `name = number` for the key `deploy`.
pub(crate) fn rules(rates: &str) -> Rules {
    let mut file = file();
    for line in rates.lines() {
        let (name, number) = line.split_once(" = ").unwrap();
        file["keys"][0][name] = number.parse::<u64>().unwrap().into();
    }
    parse(&file).unwrap()
}

/// Like [`rules`], with lines `name = number` for the first credential.
pub(crate) fn rules_of_callers(members: &str) -> Rules {
    let mut file = file();
    for line in members.lines() {
        let (name, number) = line.split_once(" = ").unwrap();
        file["credentials"][0][name] = number.parse::<u64>().unwrap().into();
    }
    parse(&file).unwrap()
}

#[track_caller]
fn check(change: impl FnOnce(&mut Value), entry: &'static str, field: &'static str) {
    let mut file = file();
    change(&mut file);
    match parse(&file).map(drop) {
        Err(RuleError::Field { entry: found_entry, field: found_field, .. }) => {
            assert_eq!((found_entry, found_field), (entry, field))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_the_field_that_is_wrong() {
    let long = "x".repeat(65);
    for name in ["", "Default", "a b", "a:b", "ä", long.as_str(), "other"] {
        check(|file| file["groups"][0]["name"] = name.into(), "group", "name");
    }
    for issuer in [
        "",
        "broker.example",
        "ftp://broker.example",
        "https://bröker.example",
        "https://broker.example/a b",
        "https://broker.example/\n",
    ] {
        check(|file| file["groups"][0]["issuer"] = issuer.into(), "group", "issuer");
    }
    for algorithms in [json!([]), json!(["RS256"]), json!(["none"]), json!(["ES256", "ES256"])] {
        check(|file| file["groups"][0]["algorithms"] = algorithms, "group", "algorithms");
    }
    for seconds in [0, 299, 604_801] {
        check(|file| file["groups"][0]["epoch_seconds"] = seconds.into(), "group", "epoch_seconds");
    }
    check(|file| file["keys"][0]["group"] = "nobody".into(), "key", "group");
    check(|file| file["keys"][0]["algorithm"] = "HS256".into(), "key", "algorithm");
    check(|file| file["keys"][0]["age_days_max"] = 0.into(), "key", "age_days_max");
    check(|file| file["keys"][1]["name"] = "deploy".into(), "key", "name");
    for audiences in [json!([]), json!([""]), json!(["a", "a"]), json!(["a\n"]), json!(["a\u{200b}"])] {
        check(|file| file["keys"][0]["audiences"] = audiences, "key", "audiences");
    }
    // Otherwise chance would decide which of two keys signs. `theirs` is in another group.
    let twin = |file: &mut Value, name: &str, value: &str| {
        let mut twin = file["keys"][0].clone();
        (twin["name"], twin["audiences"]) = ("twin".into(), json!(["https://two.example"]));
        twin[name] = value.into();
        file["keys"].as_array_mut().unwrap().push(twin);
    };
    check(|file| twin(file, "name", "twin"), "key", "audiences");
    for (name, value) in [("algorithm", "EdDSA"), ("group", "other")] {
        let mut other = file();
        twin(&mut other, name, value);
        parse(&other).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for seconds in [0, 86_401] {
        check(|file| file["keys"][0]["lifetime_max"] = seconds.into(), "key", "lifetime_max");
    }
    for claims in [
        json!(["sub"]),
        json!(["SUB"]),
        json!(["cnf"]),
        json!(["Cnf"]),
        json!(["ref", "ref"]),
        json!(["ref", "Ref"]),
        json!(["ſub"]),
        json!(["to\u{212a}en"]),
        json!([""]),
        json!(["a b"]),
    ] {
        check(|file| file["keys"][0]["claims"] = claims, "key", "claims");
    }
    for field in ["requests_per_second", "requests_per_day"] {
        check(|file| file["keys"][0][field] = 0.into(), "key", field);
    }
    for sha256 in ["", "00", &digest(&credential()).to_uppercase(), &digest(&other_credential())] {
        check(|file| file["credentials"][0]["sha256"] = sha256.into(), "credential", "sha256");
    }
    for groups in [json!([]), json!(["nobody"]), json!(["default", "default"])] {
        check(|file| file["credentials"][0]["groups"] = groups, "credential", "groups");
    }
}

#[test]
fn accepts_both_ends_of_every_range() {
    for (list, field, ends) in [("groups", "epoch_seconds", [300, 604_800]), ("keys", "lifetime_max", [1, 86_400])] {
        for end in ends {
            let mut file = file();
            file[list][0][field] = end.into();
            assert!(parse(&file).is_ok(), "{field} {end}");
        }
    }
}

#[test]
fn bounds_numbers_of_groups_and_credentials() {
    for (list, entry) in [("groups", "group"), ("credentials", "credential")] {
        let mut empty = file();
        for name in ["groups", "keys", "credentials"] {
            if name == list || list == "groups" {
                empty[name] = json!([]);
            }
        }
        if list == "groups" {
            empty["credentials"] = file()["credentials"].clone();
        }
        assert_eq!(parse(&empty).map(drop), Err(RuleError::None(entry)));
    }
    let mut crowded = file();
    crowded["keys"] = Value::from(vec![file()["keys"][0].clone(); 65]);
    assert_eq!(parse(&crowded).map(drop), Err(RuleError::TooMany("key")));
}

/// Otherwise signers could not read the answer, or verifiers the JWK Set.
#[test]
fn answers_fit_their_readers() {
    for (keys, audience_bytes, expected) in
        [(16, 8, None), (17, 8, Some(("group", "name"))), (16, 300, None), (16, 1_000, Some(("credential", "groups")))]
    {
        let mut file = file();
        let audience = "a".repeat(audience_bytes);
        let key = |number: usize| {
            let mut key = file["keys"][0].clone();
            key["name"] = format!("key-{number}").into();
            key["audiences"] = json!([format!("a{number}{audience}"), format!("b{number}{audience}")]);
            key
        };
        file["keys"] = (0..keys).map(key).collect();
        let found = match parse(&file).map(drop) {
            Err(RuleError::Field { entry, field, .. }) => Some((entry, field)),
            other => other.map(|()| None).unwrap(),
        };
        assert_eq!(found, expected, "{keys} {audience_bytes}");
    }
}

#[test]
fn bounds_rates_of_a_credential() {
    for name in ["seeds_per_minute", "keys_per_minute"] {
        for rate in [1, 1_000_000] {
            rules_of_callers(&format!("{name} = {rate}"));
        }
        for rate in [0_u64, 1_000_001] {
            let set = |file: &mut Value| file["credentials"][0][name] = rate.into();
            check(set, "credential", name);
        }
    }
}

#[test]
fn limits_credential_to_its_own_groups() {
    let rules = rules("");
    let (sent, other) = (credential(), other_credential());
    let caller = rules.caller(&sent, None).unwrap();
    assert_eq!(caller.name(), "broker-1");
    assert_eq!(caller.group("default").map(|it| it.name.as_str()), Ok("default"));
    assert_eq!(caller.group("other"), Err(Refusal::Group));
    assert_eq!(caller.group("nobody"), Err(Refusal::Group));
    assert_eq!(caller.key("deploy").map(|it| it.name.as_str()), Ok("deploy"));
    assert_eq!(caller.key("theirs"), Err(Refusal::Key));
    assert_eq!(caller.key("nobody"), Err(Refusal::Key));
    let caller = rules.caller(&other, None).unwrap();
    assert_eq!(caller.name(), "broker-2");
    assert_eq!(caller.groups().count(), 1);
    assert_eq!(caller.group("default"), Err(Refusal::Group));
}

#[test]
fn rejects_unknown_credential() {
    let rules = rules("");
    let near = URL_SAFE_NO_PAD.encode([[1; 31].as_slice(), &[0]].concat());
    for presented in ["", "x", near.as_str(), &digest(&credential()), &format!("{} ", credential())] {
        assert_eq!(rules.caller(presented, None).map(|caller| caller.name()), Err(Refusal::Credential), "{presented}");
    }
}

#[test]
fn rejects_bound_credential_with_another_certificate() {
    let hex = |text: &str| {
        let digest = sha2::Sha256::digest(text);
        digest.iter().map(|it| format!("{it:02x}")).collect::<String>()
    };
    let certificate = |text: &str| CertificateDigest::of(text.as_bytes());
    let (ours, renewed, theirs) = (certificate("a"), certificate("b"), certificate("c"));
    let bound = json!([hex("a"), hex("b")]);
    let mut file = file();
    file["credentials"][0]["certificate_sha256"] = bound.clone();
    let rules = parse(&file).unwrap();
    let admin = URL_SAFE_NO_PAD.encode([3; 32]);
    let admins = json!([{ "name": "ops", "sha256": digest(&admin), "certificate_sha256": bound }]);
    let admins = self::admins(admins).unwrap();
    assert!(rules.has_bindings() && admins.have_bindings());
    for (shown, expected) in [
        (Some(&ours), Ok(())),
        (Some(&renewed), Ok(())),
        (Some(&theirs), Err(Refusal::Certificate)),
        (None, Err(Refusal::Certificate)),
    ] {
        let caller = rules.caller(&credential(), shown).map(drop);
        assert_eq!(caller, expected, "{shown:?}");
        let caller = admins.caller(&admin, shown).map(drop);
        assert_eq!(caller, expected, "{shown:?}");
        let unbound = rules.caller(&other_credential(), shown).map(drop);
        assert_eq!(unbound, Ok(()), "{shown:?}");
        let unknown = rules.caller(&admin, shown).map(drop);
        assert_eq!(unknown, Err(Refusal::Credential), "{shown:?}");
    }
    assert!(!self::rules("").has_bindings());
}

#[test]
fn bounds_the_certificates_of_a_credential() {
    let with = |entries: Value| move |file: &mut Value| file["credentials"][0]["certificate_sha256"] = entries;
    let many = |count: usize| json!(vec!["0".repeat(64); count]);
    for wrong in [json!([""]), json!(["0".repeat(63)]), json!(["A".repeat(64)]), many(65)] {
        check(with(wrong), "credential", "certificate_sha256");
    }
    let mut most = file();
    with(many(64))(&mut most);
    parse(&most).unwrap();
}

#[test]
fn an_error_repeats_no_hash() {
    let mut file = file();
    let hash = digest(&other_credential());
    file["credentials"][0]["sha256"] = hash.as_str().into();
    let shown = parse(&file).map(drop).unwrap_err().to_string();
    assert!(!shown.contains(&hash), "{shown}");
}

fn admins(files: Value) -> Result<Admins, RuleError> {
    Admins::new(serde_json::from_value(files).unwrap(), &rules(""))
}

#[test]
fn brokers_and_admins_are_disjoint() {
    let admin = URL_SAFE_NO_PAD.encode([3; 32]);
    let file = json!([{ "name": "ops", "sha256": digest(&admin) }]);
    let found = admins(file).unwrap();
    assert_eq!(found.caller(&admin, None), Ok("ops"));
    for stranger in [credential(), other_credential(), String::new()] {
        assert_eq!(found.caller(&stranger, None), Err(Refusal::Credential));
    }
    assert!(rules("").caller(&admin, None).is_err());
    assert!(admins(json!([])).unwrap().is_empty());
}

#[test]
fn names_what_is_wrong_with_an_admin() {
    let sha256 = digest(&URL_SAFE_NO_PAD.encode([3; 32]));
    let another = digest(&URL_SAFE_NO_PAD.encode([4; 32]));
    for (file, field) in [
        (json!([{ "name": "Ops", "sha256": sha256 }]), "name"),
        (json!([{ "name": "ops", "sha256": "00" }]), "sha256"),
        (json!([{ "name": "ops", "sha256": digest(&credential()) }]), "sha256"),
        (json!([{ "name": "a", "sha256": sha256 }, { "name": "b", "sha256": sha256 }]), "sha256"),
        (json!([{ "name": "a", "sha256": sha256 }, { "name": "a", "sha256": another }]), "name"),
    ] {
        match admins(file).map(drop) {
            Err(RuleError::Field { entry, field: found, .. }) => {
                assert_eq!((entry, found), ("admin", field));
            }
            other => panic!("{other:?}"),
        }
    }
}
