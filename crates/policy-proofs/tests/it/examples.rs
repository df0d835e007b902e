//! The guardrails of `examples/policies`: each holds, and each is violated by a small change.

use crate::support::*;
use vouchsafe_policy::BundleFiles;
use vouchsafe_policy::authoring::proof;
use vouchsafe_policy_proofs::prove::Outcome;

/// The guardrails that a bundle violates, and whether everything is decided.
fn violated(files: &BundleFiles) -> Vec<String> {
    let mut violated = Vec::new();
    for proof in proofs(files).proofs {
        match proof.outcome {
            Outcome::Proven => {}
            Outcome::Violated(_) => violated.push(proof.guardrail),
            Outcome::Errs | Outcome::Unknown(_) => panic!("{proof:?}"),
        }
    }
    violated.dedup();
    violated
}

/// The example with another policy.
fn with_rule(principal: &str, resource: &str, when: &str) -> BundleFiles {
    let rule =
        format!("@id(\"new\") permit ({principal}, action, resource == Audience::\"{resource}\") when {{ {when} }};");
    with(&repository("examples/policies"), &[("rules/new.cedar", &rule)])
}

const GITHUB: &str = "principal is GitHub::Workflow in Issuer::\"github\"";
const CLUSTER: &str = "principal is Kubernetes::ServiceAccount in Issuer::\"cluster\"";
const DEPLOY: &str = "https://deploy.example";

#[test]
fn example_keeps_every_guardrail() {
    let proofs = proofs(&repository("examples/policies"));
    assert!(proofs.hold(), "{proofs:?}");
    assert_eq!(proofs.idle, Vec::<String>::new());
    assert!(proofs.proofs.iter().any(|proof| proof.profile.as_deref() == Some("staging")));
}

#[test]
fn recorded_proof_is_current() {
    let files = repository("examples/policies");
    if std::env::var_os("BLESS").is_some() {
        let proofs = proofs(&files);
        assert!(proofs.hold(), "{proofs:?}");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/policies/guardrails/proof.toml");
        std::fs::write(path, proof::record(&files, &proofs.solver)).expect("it is written");
        return;
    }
    proof::require(&files).expect("prove it again with BLESS=1");
}

#[test]
fn deployments_are_written_from_main_only() {
    let main = "principal.repository_id == \"123456\" && principal.ref == \"refs/heads/main\" && principal.event_name == \"push\"";
    assert_eq!(violated(&with_rule(GITHUB, DEPLOY, main)), Vec::<String>::new());
    let topic = "principal.repository_id == \"123456\" && principal.event_name == \"push\"";
    assert_eq!(violated(&with_rule(GITHUB, DEPLOY, topic)), ["deploy-writes-from-main"]);
    let reading = format!("{topic} && [\"deploy:read\"].containsAll(context.scopes)");
    assert_eq!(violated(&with_rule(GITHUB, DEPLOY, &reading)), Vec::<String>::new());
}

#[test]
fn pull_requests_write_nothing() {
    let known = "principal.repository_id == \"700001\" && principal.event_name == \"pull_request\"";
    let ledger = "https://ledger.example";
    assert_eq!(violated(&with_rule(GITHUB, ledger, known)), ["no-write-from-pull-requests"]);
    let reading = format!("{known} && !context.scopes.contains(\"ledger:write\")");
    assert_eq!(violated(&with_rule(GITHUB, ledger, &reading)), Vec::<String>::new());
}

#[test]
fn cluster_gets_no_public_audience() {
    let public = |group: &str| {
        let files = with_rule(CLUSTER, "https://public.example", "principal.namespace == \"a\"");
        with(
            &files,
            &[("audiences/public.toml", "id = \"https://public.example\"\n"), ("entities/internal.toml", group)],
        )
    };
    let three = "\"https://deploy.example\", \"https://invoices.example\", \"https://ledger.example\"";
    assert_eq!(violated(&public(&format!("audiences = [{three}]"))), ["cluster-stays-internal"]);
    assert_eq!(violated(&public(&format!("audiences = [{three}, \"https://public.example\"]"))), Vec::<String>::new());
}

#[test]
fn payments_apis_serve_known_workloads() {
    let invoices = "https://invoices.example";
    let worker = "principal.namespace == \"payments\" && principal.service_account_name == \"worker\"";
    assert_eq!(violated(&with_rule(CLUSTER, invoices, worker)), Vec::<String>::new());
    let any = "principal.namespace == \"payments\"";
    assert_eq!(violated(&with_rule(CLUSTER, invoices, any)), ["payments-for-known-workloads"]);
}
