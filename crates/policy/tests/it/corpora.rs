//! What other trust registries test about workflow files, asked of rules that say the same.
//!
//! `VOUCHSAFE_CORPORA`, or `../shared/corpora` beside the repository; without it the test passes and says
//! that it ran none.

use crate::support::*;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use vouchsafe_policy::{Bundle, Effect};

fn corpus(name: &str) -> Option<Value> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::var_os("VOUCHSAFE_CORPORA")
        .map_or_else(|| repository.join("../shared/corpora"), PathBuf::from);
    let text = std::fs::read_to_string(folder.join(name)).ok()?;
    Some(serde_json::from_str(&text).expect("the corpus is JSON"))
}

/// A bundle whose one rule takes this file of the repository `foo/bar` at any ref.
fn bundle_for(file: &str) -> Bundle {
    let schema = SCHEMA.replace("run?: Long,", "workflow_ref: String,");
    let pattern = format!("foo/bar/.github/workflows/{file}@*");
    let rule = PERMIT.replace(
        "when { ",
        &format!("when {{ principal.workflow_ref like \"{pattern}\" && "),
    );
    let changes = [
        ("schema.cedarschema", Some(schema.as_str())),
        ("rules/api.cedar", Some(rule.as_str())),
    ];
    load(&changes).unwrap_or_else(|invalid| panic!("{file}: {invalid}"))
}

/// Whether a job of the workflow at `workflow_ref` gets a token.
fn takes(bundle: &Bundle, workflow_ref: &str) -> bool {
    let mut principal = principal();
    principal
        .attributes
        .push(text("workflow_ref", workflow_ref));
    let decision = bundle.decide(&principal, &request(), NOW).expect("decided");
    decision.effect == Effect::Permit
}

/// Their parsers say which file a ref names, or none; a rule for a file takes the refs that name it, and no
/// others.
fn compare(refs: &[(String, Option<String>)]) {
    let files: BTreeSet<&String> = refs.iter().filter_map(|(_, file)| file.as_ref()).collect();
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let bundle = bundle_for(file);
        for (workflow_ref, expected) in refs {
            let named = expected.as_ref() == Some(file);
            assert_eq!(
                takes(&bundle, workflow_ref),
                named,
                "{file}: {workflow_ref}"
            );
        }
    }
}

#[test]
fn rules_name_workflow_files_as_the_rust_registry_reads_them() {
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
fn rules_name_workflow_files_as_pypi_reads_them() {
    let Some(corpus) = corpus("policy/warehouse/parametrize.json") else {
        println!("no corpus of PyPI is at hand");
        return;
    };
    let table = &corpus["tests"]["test_github.py"]["test_extract_workflow_filename"][0]["rows"];
    let rows = table.as_array().expect("rows").iter();
    let refs: Vec<_> = rows
        .map(|row| {
            (
                row[0].as_str().expect("a ref").to_owned(),
                row[1].as_str().map(str::to_owned),
            )
        })
        .collect();
    compare(&refs);
}
