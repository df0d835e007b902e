//! Project Wycheproof's JSON Web Signature and Key files and the RFCs' examples, if they are available: in
//! `VOUCHSAFE_CORPORA` or in `../shared/corpora` next to the repository. Without them this reports that it ran none.
//!
//! Results must match the files, except for unsupported algorithms, which are rejected.

use serde_json::Value;
use std::path::PathBuf;
use vouchsafe_jose::{Algorithm, KeySet, KeyUse, UnverifiedJws};

const SECRET_MEMBERS: [&str; 7] = ["d", "dp", "dq", "oth", "p", "q", "qi"];

fn corpora() -> PathBuf {
    std::env::var_os("VOUCHSAFE_CORPORA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora"), PathBuf::from)
}

/// The JSON documents of a folder, by name.
fn documents(folder: &str) -> Vec<(String, Value)> {
    let Ok(entries) = std::fs::read_dir(corpora().join(folder)) else {
        println!("{folder} is not at hand: nothing was compared");
        return Vec::new();
    };
    let read = |entry: std::fs::DirEntry| {
        let document = serde_json::from_slice(&std::fs::read(entry.path()).ok()?).ok()?;
        Some((entry.file_name().into_string().ok()?, document))
    };
    entries.flatten().filter_map(read).collect()
}

fn groups(file: &str) -> Vec<Value> {
    let Ok(text) = std::fs::read(corpora().join("wycheproof").join(file)) else {
        println!("{file} is not at hand: nothing was compared");
        return Vec::new();
    };
    let mut document: Value = serde_json::from_slice(&text).unwrap();
    let groups = document["testGroups"].take();
    groups.as_array().unwrap().clone()
}

/// The JWK Set of a group: its public keys, or the public halves of its private keys. Symmetric keys stay, so a set with
/// one is rejected.
fn key_set(group: &Value) -> String {
    let source = if group["public"].is_null() { &group["private"] } else { &group["public"] };
    let keys = match source["keys"].as_array() {
        Some(keys) => keys.clone(),
        None => vec![source.clone()],
    };
    let public: Vec<Value> = keys
        .into_iter()
        .map(|mut key| {
            let members = key.as_object_mut().unwrap();
            members.retain(|name, _| !SECRET_MEMBERS.contains(&name.as_str()));
            key
        })
        .collect();
    serde_json::json!({ "keys": public }).to_string()
}

fn accepts(keys: &str, token: &str) -> bool {
    let Ok(jws) = UnverifiedJws::parse(token) else {
        return false;
    };
    let Ok(set) = KeySet::parse(keys.as_bytes(), KeyUse::Signature, &vouchsafe_crypto::Software) else {
        return false;
    };
    set.find(jws.kid(), jws.algorithm())
        .is_ok_and(|key| key.verify(jws.signing_input().as_bytes(), jws.signature()).is_ok())
}

/// Whether the header names a supported algorithm.
fn is_offered(token: &str) -> bool {
    use base64::Engine;
    let header = token.split('.').next().unwrap_or_default();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header);
    let header: Value = serde_json::from_slice(&header.unwrap_or_default()).unwrap_or_default();
    header["alg"].as_str().and_then(Algorithm::from_name).is_some()
}

/// Runs every test of a file, and returns how many were accepted, rejected and unsupported.
fn compare(file: &str) -> (usize, usize, usize) {
    let (mut accepted, mut refused, mut not_offered) = (0, 0, 0);
    for group in groups(file) {
        let keys = key_set(&group);
        for test in group["tests"].as_array().unwrap() {
            let (number, token) = (test["tcId"].as_u64().unwrap(), test["jws"].as_str().unwrap_or_default());
            let valid = test["result"] == "valid";
            let expected = valid && is_offered(token);
            assert_eq!(accepts(&keys, token), expected, "{file} {number}: {}", test["comment"]);
            match (expected, valid) {
                (true, _) => accepted += 1,
                (false, true) => not_offered += 1,
                (false, false) => refused += 1,
            }
        }
    }
    println!("{file}: {accepted} accepted, {refused} refused, {not_offered} of what is not offered");
    (accepted, refused, not_offered)
}

#[test]
fn agrees_with_wycheproofs_json_web_signatures() {
    let (accepted, refused, _) = compare("json_web_signature_test.json");
    assert!(accepted + refused == 0 || (accepted > 5 && refused > 300), "{accepted} {refused}");
}

#[test]
fn agrees_with_wycheproofs_json_web_keys() {
    compare("json_web_key_test.json");
}

/// RFC 7520 and RFC 8037: exactly the compact examples with a supported algorithm verify. JSON serializations are not
/// compact.
#[test]
fn agrees_with_the_rfcs_examples() {
    let mut accepted = Vec::new();
    for folder in ["rfc_cookbook/jws", "rfc_cookbook/curve25519", "rfc_cookbook/rfc7797"] {
        for (name, example) in documents(folder) {
            let keys = match &example["input"]["key"] {
                Value::Array(keys) => keys.clone(),
                key => vec![key.clone()],
            };
            let output = &example["output"];
            for key in keys {
                let set = key_set(&serde_json::json!({ "public": key }));
                if let Some(token) = output["compact"].as_str() {
                    let attached = token.split('.').all(|part| !part.is_empty());
                    let expected = is_offered(token) && attached;
                    assert_eq!(accepts(&set, token), expected, "{folder}/{name}");
                    accepted.extend(expected.then(|| name.clone()));
                }
                for serialized in [&output["json"], &output["json_flat"]] {
                    assert!(!accepts(&set, &serialized.to_string()), "{folder}/{name}");
                }
            }
        }
    }
    accepted.sort();
    let offered = ["4_1.rsa_v15_signature.json", "jws.json"];
    assert!(accepted.is_empty() || accepted == offered, "{accepted:?}");
}
