//! Client files, and decisions about clients.

use crate::support::*;
use vouchsafe_policy::limits::{CLIENT_SECRETS_MAX, CLIENTS_MAX};
use vouchsafe_policy::{Bundle, ClientCredential, Effect, KeySource, Principal, ReplayMode, TokenRequest};

const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const OTHER_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const JWKS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
const SECRET_KEY: &str =
    "`jwks` has a private or a symmetric key: remove it from the bundle and from its history, and make another";
const RULE: &str = r#"@id("clients")
permit (
  principal == Vouchsafe::Client::"apache",
  action == Action::"issue",
  resource == Audience::"https://api.example"
) when { ["read"].containsAll(context.scopes) };
"#;

fn secrets(hashes: &[&str]) -> String {
    let entries: Vec<String> = hashes.iter().map(|hash| format!("\"sha256:{hash}\"")).collect();
    format!("secrets = [{}]\n", entries.join(", "))
}

fn found(content: &str) -> Vec<String> {
    match load(&[("clients/apache.toml", Some(content))]) {
        Ok(_) => Vec::new(),
        Err(invalid) => invalid.diagnostics.iter().map(ToString::to_string).collect(),
    }
}

fn with_client() -> Bundle {
    let content = secrets(&[HASH]);
    load(&[("clients/apache.toml", Some(&content)), ("rules/clients.cedar", Some(RULE))]).expect("it loads")
}

#[test]
fn reads_secrets_and_keys() {
    let keys = format!("jwks = '{JWKS}'\nalgorithms = [\"EdDSA\"]\n");
    let hashes = secrets(&[HASH, OTHER_HASH]);
    let bundle =
        load(&[("clients/apache.toml", Some(&hashes)), ("clients/gateway.toml", Some(&keys))]).expect("it loads");
    let of = |id: &str| bundle.client(id).expect("a client").clone();
    let principal = |id: &str| Principal {
        entity_type: "Vouchsafe::Client".to_owned(),
        id: id.to_owned(),
        issuer_name: "clients".to_owned(),
        attributes: Vec::new(),
    };
    assert_eq!(of("apache").principal, principal("apache"));
    assert_eq!(of("apache").credential, ClientCredential::Secret(vec![HASH.to_owned(), OTHER_HASH.to_owned()]));
    assert_eq!(of("gateway").principal, principal("gateway"));
    let ClientCredential::Key(record) = of("gateway").credential else { panic!("it has a key") };
    assert_eq!((record.issuer.as_str(), record.name.as_str()), ("gateway", "clients"));
    assert_eq!(
        (record.audiences, record.algorithms),
        (vec!["https://broker.example".to_owned()], vec!["EdDSA".to_owned()])
    );
    assert_eq!((record.replay, record.max_token_age_seconds), (ReplayMode::SingleUse, 300));
    assert_eq!(
        (record.require[0].name.as_str(), record.require[0].values.as_slice()),
        ("sub", ["gateway".to_owned()].as_slice())
    );
    assert!(matches!(record.keys, KeySource::Pinned(pinned) if pinned.document == JWKS && pinned.expires == u64::MAX));
    assert!(bundle.client("Apache").is_none() && bundle.client("").is_none());
}

#[test]
fn needs_exactly_one_credential() {
    let ambiguous = "a client has either `secrets` or `jwks`; `algorithms` requires `jwks`";
    for content in [
        String::new(),
        format!("{}jwks = '{JWKS}'\n", secrets(&[HASH])),
        format!("{}algorithms = [\"ES256\"]\n", secrets(&[HASH])),
    ] {
        let errors = found(&content);
        assert!(errors.len() == 1 && errors[0].ends_with(ambiguous), "{content}: {errors:?}");
    }
}

/// A plain secret in a bundle would be in its history for ever.
#[test]
fn takes_hashes_of_secrets_only() {
    let wrong = "an entry of `secrets` is not the lowercase hexadecimal SHA-256 of a secret";
    let upper = HASH.to_uppercase();
    for entry in ["secret", HASH, &format!("sha256:{upper}"), &format!("sha256:{}", &HASH[1..]), "sha512:00", ""] {
        let errors = found(&format!("secrets = [\"{entry}\"]\n"));
        assert!(errors.len() == 1 && errors[0].contains(wrong), "{entry}: {errors:?}");
        assert!(entry.is_empty() || !errors[0].contains(&format!("`{entry}`")), "{errors:?}");
    }
    assert!(found("secrets = []\n")[0].ends_with("`secrets` is empty"));
}

#[test]
fn bounds_secrets_and_clients() {
    let hashes: Vec<String> = (0..=CLIENT_SECRETS_MAX).map(|number| format!("{number:064x}")).collect();
    let hashes: Vec<&str> = hashes.iter().map(String::as_str).collect();
    assert_eq!(found(&secrets(&hashes[1..])), [""; 0]);
    assert!(found(&secrets(&hashes))[0].ends_with("`secrets` has more than 2 entries"));
    let content = secrets(&[HASH]);
    for (count, expected) in
        [(CLIENTS_MAX, None), (CLIENTS_MAX + 1, Some("clients: `clients` has more than 256 entries"))]
    {
        let paths: Vec<String> = (0..count).map(|number| format!("clients/c{number}.toml")).collect();
        let changes: Vec<(&str, Option<&str>)> =
            paths.iter().map(|path| (path.as_str(), Some(content.as_str()))).collect();
        assert_eq!(load(&changes).err().map(|invalid| invalid.to_string()).as_deref(), expected, "{count}");
    }
}

#[test]
fn refuses_keys_that_are_no_public_ones() {
    for (document, expected) in [
        ("{}", "the pinned keys are not a JSON Web Key Set"),
        (r#"{"keys":[]}"#, "the pinned keys are not a JSON Web Key Set"),
        ("nothing", "the pinned keys are not a JSON Web Key Set"),
        (r#"{"keys":[{"kty":"OKP","d":"AA"}]}"#, SECRET_KEY),
        (r#"{"keys":[{"kty":"oct","k":"AA"}]}"#, SECRET_KEY),
    ] {
        let errors = found(&format!("jwks = '{document}'\n"));
        assert!(errors.len() == 1 && errors[0].contains(expected), "{document}: {errors:?}");
    }
    let algorithm = found(&format!("jwks = '{JWKS}'\nalgorithms = [\"none\"]\n"));
    assert!(algorithm[0].contains("`none` is not one of `RS256`"), "{algorithm:?}");
}

#[test]
fn name_of_their_issuer_is_taken() {
    let content = secrets(&[HASH]);
    let issuer = "issuer = \"https://other.example\"\nprovider = \"github\"\n";
    let both = load(&[("clients/apache.toml", Some(&content)), ("issuers/clients.toml", Some(issuer))]);
    let error = both.expect_err("it is taken").to_string();
    assert_eq!(error, "issuers/clients.toml: `clients` is the issuer of the clients in `clients/`: rename the file");
    assert!(load(&[("issuers/clients.toml", Some(issuer))]).is_ok(), "without clients, the name is free");
}

/// A client is found by its id only: nothing in a token leads to it.
#[test]
fn clients_are_no_issuers_of_subject_tokens() {
    let bundle = with_client();
    for iss in ["clients", "apache", "Vouchsafe::Client"] {
        assert!(bundle.issuer(iss).is_none(), "{iss}");
    }
    load(&[("rules/clients.cedar", Some(RULE))]).expect_err("without clients, there is no such type");
}

#[test]
fn decides_about_clients_as_about_workloads() {
    let bundle = with_client();
    let decide = |id: &str, scope: &str| {
        let principal = Principal { id: id.to_owned(), ..bundle.client("apache").expect("a client").principal.clone() };
        let request = TokenRequest {
            audience: "https://api.example".to_owned(),
            scopes: vec![scope.to_owned()],
            requested_lifetime_seconds: 300,
            client_ip: None,
            proof_of_possession: false,
        };
        bundle.decide(&principal, &request, NOW).expect("a decision").effect
    };
    assert_eq!(decide("apache", "read"), Effect::Permit);
    assert_eq!(decide("apache", "write"), Effect::Deny);
    assert_eq!(decide("nginx", "read"), Effect::Deny);
}
