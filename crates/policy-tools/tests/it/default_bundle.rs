//! The bundle in `policies/` loads, meets its cases, and its schema matches the providers' claims.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use vouchsafe_policy::{Bundle, BundleFiles, ClaimType, Environment, ReplayMode, folder};
use vouchsafe_policy_tools::{cases, lint};
use vouchsafe_providers::PROVIDERS;

fn default_files() -> BundleFiles {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    folder::read(&root).unwrap_or_else(|diagnostic| panic!("{diagnostic}"))
}

fn default_bundle(development: bool) -> Bundle {
    let environment = Environment { issuer: "http://127.0.0.1:3000".to_owned(), development, epoch_seconds: 3600 };
    Bundle::load(&default_files(), &environment).unwrap_or_else(|invalid| panic!("{invalid}"))
}

#[test]
fn meets_every_case() {
    let bundle = default_bundle(true);
    let cases = cases::read(&default_files(), &bundle).expect("every case reads");
    for case in &cases {
        let decision = case.decide(&bundle).unwrap_or_else(|error| panic!("{}: {error}", case.path));
        assert!(case.is_met_by(&decision), "{}: {decision:?}", case.path);
    }
    let determining: BTreeSet<&str> = cases.iter().flat_map(|case| &case.policies).map(String::as_str).collect();
    let rules: BTreeSet<&str> = bundle.policies().iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(determining, rules, "every rule is the reason of some case, and no other is named");
}

#[test]
fn has_allow_and_deny_cases_per_policy() {
    let bundle = default_bundle(true);
    let cases = cases::read(&default_files(), &bundle).expect("every case reads");
    for rule in bundle.policies() {
        for effect in [vouchsafe_policy::Effect::Permit, vouchsafe_policy::Effect::Deny] {
            let found = cases.iter().any(|case| case.policy == rule.id && case.effect == effect);
            assert!(found, "{} has no case of {effect:?}", rule.id);
        }
    }
    for case in &cases {
        assert!(bundle.policies().iter().any(|rule| rule.id == case.policy), "{}", case.path);
    }
}

/// The default bundle has no warnings, also in production.
#[test]
fn has_no_warnings() {
    for development in [false, true] {
        let environment = Environment { issuer: "https://broker.example".to_owned(), development, epoch_seconds: 3600 };
        let report = lint::check(&default_files(), &environment);
        assert_eq!(report.to_string(), "");
    }
}

/// Runs that can build untrusted code under the repository's identity get nothing.
#[test]
fn denies_runs_of_proposed_code() {
    let bundle = default_bundle(true);
    let files = default_files();
    let cases = cases::read(&files, &bundle).expect("every case reads");
    let permitted: Vec<_> = cases.into_iter().filter(|case| case.effect == vouchsafe_policy::Effect::Permit).collect();
    assert!(permitted.len() > 5, "{}", permitted.len());
    for case in permitted {
        for event in ["issue_comment", "pull_request_target", "workflow_run"] {
            let mut case = case.clone();
            let mut claims = case.principal.attributes.iter_mut();
            let claim = claims.find(|claim| claim.name == "event_name");
            claim.expect("every run has an event").value = vouchsafe_policy::AttributeValue::Text(event.to_owned());
            let decision = case.decide(&bundle).expect("it is decided");
            let by = ["no-code-of-strangers".to_owned()];
            assert_eq!(decision.effect, vouchsafe_policy::Effect::Deny, "{}", case.path);
            assert_eq!(decision.determining_rules, by, "{} {event}", case.path);
        }
    }
}

/// All sets of texts have the same type in Cedar.
fn cedar_type(claim_type: ClaimType) -> &'static str {
    claim_type.cedar_type()
}

#[test]
fn declares_claims_of_every_provider() {
    let bundle = default_bundle(false);
    for provider in PROVIDERS.into_iter().filter(|one| !one.declares_claims()) {
        let entity_type = provider.entity_type("");
        let of_schema: BTreeMap<String, (&str, bool)> = bundle
            .attributes_of(&entity_type)
            .unwrap_or_else(|| panic!("the schema has no {entity_type}"))
            .iter()
            .map(|(name, attribute)| {
                let claim_type = attribute.claim_type.expect("a type that a claim can have");
                (name.clone(), (cedar_type(claim_type), attribute.required))
            })
            .collect();
        let of_provider: BTreeMap<String, (&str, bool)> = provider
            .claims
            .iter()
            .map(|claim| {
                let typed = (cedar_type(claim.claim_type), claim.required);
                (claim.name.to_string(), typed)
            })
            .collect();
        assert_eq!(of_schema, of_provider, "{entity_type}");
    }
}

#[test]
fn trusts_dev_issuer_only_in_development() {
    let dev = "http://127.0.0.1:7000";
    assert!(default_bundle(false).issuer(dev).is_none());
    let bundle = default_bundle(true);
    assert_eq!(bundle.issuer(dev).map(|issuer| issuer.replay), Some(ReplayMode::Allow));
    let github = bundle.issuer("https://token.actions.githubusercontent.com");
    assert_eq!(github.map(|issuer| issuer.replay), Some(ReplayMode::SingleUse));
}

#[test]
fn has_single_use_and_reusable_audiences() {
    let bundle = default_bundle(false);
    let replay = |id| bundle.audience(id).map(|audience| audience.replay);
    assert_eq!(replay("https://deploy.example"), Some(ReplayMode::SingleUse));
    assert_eq!(replay("https://api.example"), Some(ReplayMode::Allow));
}

/// A bundle that loads must be usable: identity and signer would refuse templates or claims beyond their limits in
/// every exchange.
#[test]
fn shares_limits_with_identity_and_signer() {
    use vouchsafe_policy::limits;
    assert_eq!(limits::SUBJECT_TEMPLATE_BYTES_MAX, vouchsafe_identity::TEMPLATE_BYTES_MAX);
    assert_eq!(limits::CLAIMS_PER_AUDIENCE_MAX, vouchsafe_signer::EXTRA_CLAIMS_MAX);
}

/// Adds the first issuer file and the first policy of a provider's page to the default bundle.
#[test]
fn loads_examples_of_every_provider_page() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/providers");
    let mut seen = BTreeSet::new();
    for page in std::fs::read_dir(pages).expect("the pages") {
        let page = page.expect("a page").path();
        let text = std::fs::read_to_string(&page).expect("text");
        let block = |language: &str| {
            let start = text.split_once(&format!("```{language}\n"));
            let block = start.and_then(|(_, rest)| rest.split_once("```"));
            block.unwrap_or_else(|| panic!("{} has no {language}", page.display())).0
        };
        let (_, rest) = block("cedar").split_once("in Issuer::\"").expect("an issuer");
        let (name, _) = rest.split_once('"').expect("its name");
        assert!(text.contains(&format!("`policies/issuers/{name}.toml`")));
        let path = format!("issuers/{name}.toml");
        let mut files = BundleFiles::default();
        // GitHub's page shows the file that the default bundle has.
        for (known, content) in default_files().iter().filter(|(known, _)| *known != path) {
            files.add(known, content.to_vec()).expect("within the limits");
        }
        for (path, content) in [(path, block("toml")), (format!("rules/{name}-page.cedar"), block("cedar"))] {
            files.add(&path, content.into()).expect("within the limits");
        }
        let environment =
            Environment { issuer: "https://broker.example".to_owned(), development: false, epoch_seconds: 3600 };
        let report = lint::check(&files, &environment);
        assert!(report.errors.is_empty(), "{}: {report}", page.display());
        // The only warning can be that the policy has no case.
        let warnings: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings.len(), 1, "{}: {report}", page.display());
        assert!(warnings[0].contains("determines no test case"), "{report}");
        let stem = page.file_stem().and_then(|stem| stem.to_str());
        seen.insert(stem.unwrap_or_default().to_owned());
    }
    let providers: BTreeSet<String> = PROVIDERS.iter().map(|one| one.name.to_owned()).collect();
    assert_eq!(seen, providers, "every provider has a page of its name");
}
