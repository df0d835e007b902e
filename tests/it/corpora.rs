//! Public corpora of hostile JSON as subject tokens, where they are at hand.
//!
//! `VOUCHSAFE_CORPORA`, or `../shared/corpora` beside the repository; without it the suite passes and
//! says that it ran none.

use crate::bench::{Bench, header};
use serde_json::{Value, json};
use std::path::PathBuf;
use vouchsafe_tests::broker::repository;
use vouchsafe_tests::exchange::Form;
use vouchsafe_tests::jwt::{mint, mint_raw};
use vouchsafe_tests::keys::Key;

/// Files over this, in bytes, exceed a subject token by themselves.
const FILE_BYTES_MAX: usize = 11_000;

fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = std::env::var_os("VOUCHSAFE_CORPORA")
        .map_or_else(|| repository().join("../shared/corpora"), PathBuf::from)
        .join(name);
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            Some((
                entry.file_name().into_string().ok()?,
                std::fs::read(entry.path()).ok()?,
            ))
        })
        .filter(|(_, bytes)| bytes.len() <= FILE_BYTES_MAX)
        .collect();
    files.sort();
    files
}

/// Tokens as other platforms make them, rightly signed under this issuer's name: theirs are not the
/// claims that rules here are about.
#[test]
fn other_platforms_claims_are_read_and_get_nothing() {
    let bench = Bench::start();
    let mut failures = Vec::new();
    let mut presented = 0;
    for (name, text) in corpus("claims") {
        let sample: Value = serde_json::from_slice(&text).unwrap_or_default();
        let Some(theirs) = sample["claims"].as_object() else {
            continue;
        };
        presented += 1;
        let mut claims = bench.claims();
        let own =
            ["iss", "aud", "exp", "nbf", "iat"].map(|name| (name.to_owned(), claims[name].take()));
        claims = Value::Object(theirs.clone().into_iter().chain(own).collect());
        let response = bench
            .broker
            .send(&Form::of(&mint("RS256", &claims)).request());
        let slug = bench.broker.line("token")["slug"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let expected = matches!(
            slug.as_str(),
            "token.claim_missing" | "token.claim_invalid" | "policy.denied"
        );
        if response.status != 400 || !expected {
            failures.push(format!("- {name}: {} {slug}", response.status));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    bench.broker.assert_unharmed();
    println!("claims of {presented} platforms");
}

/// JSONTestSuite (RFC 8259): `y_` must be read, `n_` must not, `i_` may be.
#[test]
fn hostile_json_is_refused_and_harms_nobody() {
    let corpus = corpus("jsontestsuite/test_parsing");
    let bench = Bench::start();
    let key = Key::issuer("RS256");
    let present = |header: &[u8], payload: &[u8]| {
        let response = bench
            .broker
            .send(&Form::of(&mint_raw(&key, header, payload)).request());
        let line = bench.broker.line("token");
        (
            response.status,
            line["slug"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let mut failures = Vec::new();
    for (name, json) in &corpus {
        // As the payload: never the claims of anybody, whatever it is.
        let bare = present(header(&json!({})).as_bytes(), json);
        let head = present(json, bench.claims().to_string().as_bytes());
        // As one claim's value among good ones: what is no JSON spoils all of it.
        let claims = bench.claims().to_string();
        let inside = [
            claims.trim_end_matches('}').as_bytes(),
            b",\"x\":",
            json,
            b"}",
        ]
        .concat();
        let (status, slug) = present(header(&json!({})).as_bytes(), &inside);
        let must_fail = name.starts_with("n_") && !closes_itself(json);
        let fine = bare.0 == 400
            && head.0 == 400
            && matches!(status, 200 | 400)
            && !(must_fail && slug == "issued");
        if !fine {
            failures.push(format!("- {name}: {bare:?} {head:?} {status} {slug}"));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} files:\n{}",
        failures.len(),
        corpus.len(),
        failures.join("\n")
    );
    bench.broker.assert_unharmed();
    println!(
        "JSONTestSuite: {} files as payload, header and claim",
        corpus.len()
    );
}

/// Whether a file that is not JSON by itself becomes part of JSON between `"x":` and `}`, such as
/// `1,"y":2`.
fn closes_itself(json: &[u8]) -> bool {
    let text = [b"{\"x\":", json, b"}"].concat();
    serde_json::from_slice::<serde_json::Value>(&text).is_ok()
}
