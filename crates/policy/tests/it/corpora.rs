//! Tests of other trust registries about workflow files, issuers and subjects, run against equivalent bundles.
//!
//! They are in `VOUCHSAFE_CORPORA`, or in `../shared/corpora` beside the repository. Without them the test passes and
//! says that it ran none.

use crate::support::*;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use vouchsafe_policy::{Bundle, Effect};
use vouchsafe_providers::is_unprintable;

fn corpora() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::env::var_os("VOUCHSAFE_CORPORA").map_or_else(|| repository.join("../shared/corpora"), PathBuf::from)
}

fn corpus(name: &str) -> Option<Value> {
    let text = std::fs::read_to_string(corpora().join(name)).ok()?;
    Some(serde_json::from_str(&text).expect("the corpus is JSON"))
}

/// A bundle whose only policy accepts this file of the repository `foo/bar` at any ref.
fn bundle_for(file: &str) -> Bundle {
    let schema = SCHEMA.replace("run?: Long,", "workflow_ref: String,");
    let pattern = format!("foo/bar/.github/workflows/{file}@*");
    let rule = PERMIT.replace("when { ", &format!("when {{ principal.workflow_ref like \"{pattern}\" && "));
    let changes = [("schema.cedarschema", Some(schema.as_str())), ("rules/api.cedar", Some(rule.as_str()))];
    load(&changes).unwrap_or_else(|invalid| panic!("{file}: {invalid}"))
}

/// Whether a job of the workflow at `workflow_ref` gets a token.
fn takes(bundle: &Bundle, workflow_ref: &str) -> bool {
    let mut principal = principal();
    principal.attributes.push(text("workflow_ref", workflow_ref));
    let decision = bundle.decide(&principal, &request(), NOW).expect("decided");
    decision.effect == Effect::Permit
}

/// Their parsers extract the file from a ref. A policy for a file must accept exactly the refs that name it.
fn compare(refs: &[(String, Option<String>)]) {
    let files: BTreeSet<&String> = refs.iter().filter_map(|(_, file)| file.as_ref()).collect();
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let bundle = bundle_for(file);
        for (workflow_ref, expected) in refs {
            let named = expected.as_ref() == Some(file);
            assert_eq!(takes(&bundle, workflow_ref), named, "{file}: {workflow_ref}");
        }
    }
}

#[test]
fn matches_workflow_files_like_crates_io() {
    let Some(corpus) = corpus("policy/crates_io/workflow_ref_parse.json") else {
        println!("no corpus of the Rust registry is at hand");
        return;
    };
    let cases = corpus["cases"].as_array().expect("cases").iter();
    let refs: Vec<_> = cases
        .filter(|case| case["issuer"] == "github")
        .map(|case| {
            let text = |name: &str| case[name].as_str().map(str::to_owned);
            (text("ref").expect("a ref"), text("expected"))
        })
        .collect();
    compare(&refs);
}

#[test]
fn matches_workflow_files_like_pypi() {
    let Some(corpus) = corpus("policy/warehouse/parametrize.json") else {
        println!("no corpus of PyPI is at hand");
        return;
    };
    let table = &corpus["tests"]["test_github.py"]["test_extract_workflow_filename"][0]["rows"];
    let rows = table.as_array().expect("rows").iter();
    let refs: Vec<_> =
        rows.map(|row| (row[0].as_str().expect("a ref").to_owned(), row[1].as_str().map(str::to_owned))).collect();
    compare(&refs);
}

/// The strings of a test of octo-sts, each with whether octo-sts accepts it.
fn octo_sts(test: &str) -> Option<Vec<(String, bool)>> {
    let corpus = corpus("policy/octo_sts/oidcvalidate.json")?;
    let cases = corpus["tests"][test].as_array().expect("cases").iter();
    let read = |case: &Value| {
        let text = case["input"].as_str().expect("a text").to_owned();
        (text, case["valid"] == true)
    };
    Some(cases.map(read).collect())
}

/// A TOML string.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Tildes are allowed: issuers are compared byte for byte, and are never the name of a file.
#[test]
fn agrees_with_octo_sts_on_issuers() {
    let Some(cases) = octo_sts("IsValidIssuer") else {
        println!("no corpus of octo-sts is at hand");
        return;
    };
    for (issuer, valid) in cases {
        let loopback = ["://localhost", "://127.", "://[::1]"].iter().any(|host| issuer.contains(host));
        let file = format!("issuer = {}\nprovider = \"github\"\ndevelopment = {loopback}\n", quoted(&issuer));
        // octo-sts limits a segment to 150 characters, we limit a URL to 1 KiB.
        let long = issuer.len() > 150 && issuer.len() <= 1024;
        let expected = valid || issuer.contains('~') || long;
        let loaded = load(&[("issuers/github.toml", Some(&file))]);
        assert_eq!(loaded.is_ok(), expected, "{issuer}: {loaded:?}");
    }
}

/// A policy for a subject accepts exactly that subject, whatever its characters.
#[test]
fn compares_subjects_of_octo_sts_exactly() {
    let Some(cases) = octo_sts("IsValidSubject") else {
        println!("no corpus of octo-sts is at hand");
        return;
    };
    for (subject, _) in &cases {
        let escaped: String = subject.chars().map(|it| it.escape_unicode().to_string()).collect();
        let rule =
            PERMIT.replace("is GitHub::Workflow in Issuer::\"github\"", &format!("== GitHub::Workflow::\"{escaped}\""));
        let bundle = with_rules(&rule);
        for (id, _) in &cases {
            let mut principal = principal();
            principal.id.clone_from(id);
            let decision = bundle.decide(&principal, &request(), NOW).expect("decided");
            assert_eq!(decision.effect == Effect::Permit, id == subject, "{subject:?}: {id:?}");
        }
    }
}

/// octo-sts accepts names of repositories. Here an audience is any string without control or format characters, because
/// only the bundle defines it.
#[test]
fn accepts_audiences_of_octo_sts() {
    let Some(cases) = octo_sts("IsValidAudience") else {
        println!("no corpus of octo-sts is at hand");
        return;
    };
    for (audience, valid) in cases {
        let file = format!("id = {}\nscopes = [\"read\"]\n", quoted(&audience));
        let rule = PERMIT.replace("\"https://api.example\"", &quoted(&audience));
        let changes = [("audiences/api.toml", Some(file.as_str())), ("rules/api.cedar", Some(rule.as_str()))];
        let expected = valid || (!audience.is_empty() && !audience.contains(is_unprintable));
        assert_eq!(load(&changes).is_ok(), expected, "{audience:?}");
    }
}

/// Each of their trust policies as a Cedar policy: only its subject gets the token.
#[test]
fn expresses_policies_of_octo_sts() {
    let folder = corpora().join("policy/octo_sts/pkg/octosts/testdata");
    let Ok(organizations) = std::fs::read_dir(folder) else {
        println!("no corpus of octo-sts is at hand");
        return;
    };
    let mut policies = 0;
    for organization in organizations.flatten() {
        let repositories = std::fs::read_dir(organization.path()).expect("a folder");
        for repository in repositories.flatten() {
            let path = repository.path().join("foo.sts.yaml");
            let Ok(text) = std::fs::read_to_string(&path) else {
                continue;
            };
            let value = |key: &str| {
                let mut lines = text.lines();
                let line = lines.find_map(|line| line.strip_prefix(key));
                line.unwrap_or_default().trim_start_matches(':').trim().to_owned()
            };
            let issuer = format!("issuer = \"{}\"\nprovider = \"github\"\n", value("issuer"));
            let rule = PERMIT.replace(
                "is GitHub::Workflow in Issuer::\"github\"",
                &format!("== GitHub::Workflow::\"{}\"", value("subject")),
            );
            let changes = [("issuers/github.toml", Some(issuer.as_str())), ("rules/api.cedar", Some(rule.as_str()))];
            let bundle = load(&changes).unwrap_or_else(|invalid| panic!("{invalid}"));
            for (subject, permitted) in [("foo", true), ("foo2", false), ("", false), ("Foo", false)] {
                let mut principal = principal();
                principal.id = subject.to_owned();
                let decision = bundle.decide(&principal, &request(), NOW).expect("decided");
                assert_eq!(decision.effect == Effect::Permit, permitted, "{path:?}: {subject}");
            }
            policies += 1;
        }
    }
    assert!(policies > 3, "{policies}");
}
