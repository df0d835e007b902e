//! Verifiers that ignore the case of member names, as Go's `encoding/json` does: no token that the signer signs, even
//! for a hostile broker, means something else to them.

use crate::keys::hostile_broker::{ask, honest, start};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use vouchsafe_harness::jwt::{Issued, from_base64url};

/// The fields into which a verifier decodes claims.
const FIELDS: [&str; 9] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope"];

/// The members of a JSON object, in order, including duplicates.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Simple case folding of the runes that fold to ASCII (Go's `unicode.SimpleFold`).
fn folded(name: &str) -> String {
    let fold = |rune: char| match rune {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        rune => rune.to_ascii_lowercase(),
    };
    name.chars().map(fold).collect()
}

/// Decodes like Go's `json.Unmarshal` into a struct with [`FIELDS`]: each member goes into the field whose name it
/// matches ignoring case, and a later member overwrites an earlier one.
fn decoded(payload: &str) -> BTreeMap<&'static str, Value> {
    let Members(members) = serde_json::from_str(payload).expect("a claims set");
    let mut fields = BTreeMap::new();
    for (name, value) in members {
        if let Some(field) = FIELDS.iter().find(|field| folded(&name) == **field) {
            fields.insert(*field, value);
        }
    }
    fields
}

fn payload_of(jwt: &str) -> String {
    let payload = jwt.split('.').nth(1).and_then(from_base64url);
    String::from_utf8(payload.expect("base64url")).expect("UTF-8")
}

/// Spellings of registered names that a folding decoder accepts.
fn spellings(name: &str) -> Vec<String> {
    let upper = name.to_ascii_uppercase();
    let title = format!("{}{}", &upper[..1], &name[1..]);
    let odd = name.replace('s', "\u{17f}").replace('k', "\u{212a}");
    let mut spellings = vec![upper, title, odd];
    spellings.retain(|spelling| spelling != name);
    spellings
}

#[test]
fn shows_that_folding_decoder_can_be_fooled() {
    let broker = start();
    let answer = ask(&broker, &honest());
    let payload = payload_of(answer["jwt"].as_str().expect("a token"));
    let honest_fields = decoded(&payload);
    let appended = [
        ("ISS", json!("https://evil.example")),
        ("\u{17f}ub", json!("admin")),
        ("AUD", json!("https://prod.example")),
        ("Exp", json!(9_999_999_999_u64)),
        ("\u{17f}cope", json!("everything")),
    ];
    let mut by_hand = payload.trim_end_matches('}').to_owned();
    for (name, value) in &appended {
        by_hand.push_str(&format!(",{}:{value}", json!(name)));
    }
    by_hand.push('}');
    let exact: Value = serde_json::from_str(&by_hand).expect("JSON without duplicates");
    let fooled = decoded(&by_hand);
    for (name, value) in appended {
        let field = FIELDS.into_iter().find(|field| folded(name) == *field);
        let field = field.expect("a field");
        assert_eq!(exact[field], honest_fields[field], "{field}, exactly");
        assert_eq!(fooled[field], value, "{field}, folded");
    }
}

#[test]
fn signs_tokens_unambiguous_for_folding_decoders() {
    let broker = start();
    let mut names: Vec<String> = FIELDS.into_iter().flat_map(spellings).collect();
    names.extend(["act", "may_act", "cnf", "roles", "groups"].map(str::to_uppercase));
    let mut requests: Vec<Value> = names.iter().map(|name| json!([[name, "\"x\""]])).collect();
    requests.push(json!([["x", "1"], ["X", "2"]]));
    for extra_claims in requests {
        let mut asked = honest();
        asked["extra_claims"] = extra_claims.clone();
        let answer = ask(&broker, &asked);
        let refused = answer["refused"].as_str();
        let known = [
            "an extra claim has a registered name, ignoring case",
            "the name of an extra claim is not 1 to 256 visible ASCII characters",
            "duplicate extra claim, ignoring case",
        ];
        assert!(refused.is_some_and(|text| known.contains(&text)), "{extra_claims}: {answer}");
    }
    // Signed names that contain registered ones read the same either way.
    let mut asked = honest();
    asked["extra_claims"] =
        json!([["https://claims.example/sub", "1"], ["subject", "2"], ["x-aud", "3"], ["Repository", "4"]]);
    let answer = ask(&broker, &asked);
    let token = Issued::parse(answer["jwt"].as_str().expect("a token"));
    let fields = decoded(&payload_of(&token.jwt));
    assert_eq!(fields.len(), FIELDS.len());
    for (field, value) in fields {
        assert_eq!(value, token.claims[field], "{field}");
    }
    broker.assert_healthy();
}
