//! Guardrails and the record of their proof.

use crate::support::*;
use vouchsafe_policy::authoring::proof;
use vouchsafe_policy::limits::DESCRIPTION_BYTES_MAX;
use vouchsafe_policy::{Bundle, BundleError, BundleFiles, Decider, Environment, PROOF_FILE};

const PATH: &str = "guardrails/api.cedar";
const GUARDRAIL: &str = "@id(\"main\") @description(\"Only main.\") forbid (principal, action, resource) \
    unless { principal is GitHub::Workflow && principal.ref == \"refs/heads/main\" };\n";

/// The errors of a bundle with this guardrail file, for tools and for the policy component.
fn found(text: &str) -> Vec<String> {
    let files = files(&[(PATH, Some(text))]);
    let shown = |error: vouchsafe_policy::LoadError| -> Vec<String> {
        error.diagnostics.iter().map(ToString::to_string).collect()
    };
    let of_tools = Bundle::load(&files, &environment()).map_err(shown);
    let of_component = Decider::load(&files, &development(), None).map_err(shown);
    assert_eq!(of_tools.as_ref().err(), of_component.as_ref().err(), "both loaders agree");
    of_tools.err().unwrap_or_default()
}

fn development() -> Environment {
    Environment { development: true, ..environment() }
}

#[test]
fn loads_guardrails_with_descriptions() {
    let bundle = Bundle::load(&files(&[(PATH, Some(GUARDRAIL))]), &environment()).expect("it loads");
    let guardrails: Vec<(&str, &str)> =
        bundle.guardrails().iter().map(|it| (it.policy.id.as_str(), it.description.as_str())).collect();
    assert_eq!(guardrails, [("main", "Only main.")]);
    assert_eq!(bundle.policies().len(), 1, "a guardrail decides nothing");
}

#[test]
fn refuses_what_is_no_guardrail() {
    let permit = GUARDRAIL.replace("forbid", "permit");
    let at = "guardrails/api.cedar:1:1";
    assert_eq!(
        found(&permit),
        [format!("{at}: guardrail `main` is a `permit`: a guardrail forbids what no policy may permit")]
    );
    let silent = GUARDRAIL.replace("@description(\"Only main.\") ", "");
    assert_eq!(found(&silent), [format!("{at}: guardrail `main` has no `@description`")]);
    let template = GUARDRAIL.replace("(principal,", "(principal in ?principal,");
    assert_eq!(found(&template), [format!("{at}: a guardrail cannot be a template")]);
    let twice = GUARDRAIL.repeat(2);
    assert_eq!(found(&twice), ["guardrails/api.cedar:2:1: policy `main` is already defined in `guardrails/api.cedar`"]);
    let unknown = GUARDRAIL.replace("resource)", "resource == Audience::\"https://gone.example\")");
    assert_eq!(found(&unknown).len(), 1, "{:?}", found(&unknown));
    let mistyped = GUARDRAIL.replace("principal.ref ", "principal.reff ");
    assert_eq!(found(&mistyped).len(), 1, "{:?}", found(&mistyped));
}

#[test]
fn bounds_length_of_description() {
    let described = |length: usize| GUARDRAIL.replace("Only main.", &"x".repeat(length));
    assert_eq!(found(&described(DESCRIPTION_BYTES_MAX)), Vec::<String>::new());
    assert_eq!(found(&described(DESCRIPTION_BYTES_MAX + 1)).len(), 1);
}

/// What a broker says about these files.
fn of_broker(files: &BundleFiles, environment: &Environment) -> Option<BundleError> {
    let error = Decider::load(files, environment, None).err()?;
    error.diagnostics.into_iter().next().map(|diagnostic| diagnostic.kind)
}

#[test]
fn broker_requires_proof_of_this_bundle() {
    let unproven = files(&[(PATH, Some(GUARDRAIL))]);
    assert_eq!(of_broker(&unproven, &environment()), Some(BundleError::ProofMissing));
    assert_eq!(of_broker(&unproven, &development()), None, "not in development");
    let record = proof::record(&unproven, "cvc5 1.4.2");
    let proven = files(&[(PATH, Some(GUARDRAIL)), (PROOF_FILE, Some(&record))]);
    assert_eq!(of_broker(&proven, &environment()), None);
    let permit = PERMIT.replace("\"read\"", "\"write\"");
    let changed = files(&[(PATH, Some(GUARDRAIL)), (PROOF_FILE, Some(&record)), ("rules/api.cedar", Some(&permit))]);
    assert_eq!(of_broker(&changed, &environment()), Some(BundleError::ProofStale));
    assert_eq!(of_broker(&files(&[]), &environment()), None, "nothing is to be proven");
    let missing = "the bundle has guardrails, and no proof of them is recorded";
    assert_eq!(BundleError::ProofMissing.to_string(), missing);
    let stale = "the recorded proof of the guardrails is that of another bundle";
    assert_eq!(BundleError::ProofStale.to_string(), stale);
}

#[test]
fn proof_ignores_test_cases_and_notes() {
    let unproven = files(&[(PATH, Some(GUARDRAIL))]);
    let record = proof::record(&unproven, "cvc5 1.4.2");
    for (path, text, matters) in [
        ("README.md", "notes", false),
        ("CODEOWNERS", "* @us", false),
        ("tests/github.toml", "id = \"a\"", false),
        ("audiences/b.toml", "id = \"https://b.example\"", true),
        ("entities/g.toml", "audiences = [\"https://api.example\"]", true),
        ("guardrails/b.cedar", &GUARDRAIL.replace("main\")", "other\")"), true),
    ] {
        let files = files(&[(PATH, Some(GUARDRAIL)), (PROOF_FILE, Some(&record)), (path, Some(text))]);
        let expected = matters.then_some(BundleError::ProofStale);
        assert_eq!(of_broker(&files, &environment()), expected, "{path}");
    }
}

#[test]
fn sealed_instance_needs_no_second_check() {
    let unproven = files(&[(PATH, Some(GUARDRAIL))]);
    let record = proof::record(&unproven, "cvc5 1.4.2");
    let proven = files(&[(PATH, Some(GUARDRAIL)), (PROOF_FILE, Some(&record))]);
    let first = Decider::load(&proven, &environment(), None).expect("it loads");
    let second = Decider::load(&proven, &environment(), first.seals()).expect("it loads");
    assert_eq!(first.digest(), second.digest());
}
