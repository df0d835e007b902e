//! The decider of the policy component, with and without a seal, agrees with a whole bundle.

use crate::support::*;
use vouchsafe_policy::{BundleFiles, Decider, Effect, Environment, PolicyCount, folder};

const RULES_PER_AUDIENCE: usize = 10;

/// A bundle with this many policies per audience, and one for any request.
fn files_with(audiences: usize) -> BundleFiles {
    let mut files = files(&[]);
    let mut add = |path: String, text: String| files.add(&path, text.into()).expect("within limits");
    for audience in 0..audiences {
        let id = id_of(audience);
        let scopes = "scopes = [\"read\"]";
        add(format!("audiences/a{audience}.toml"), format!("id = \"{id}\"\n{scopes}\n"));
        let rule = |at: usize| {
            PERMIT.replace("https://api.example", &id).replace("@id(\"api\")", &format!("@id(\"a{audience}-{at}\")"))
        };
        let rules = (0..RULES_PER_AUDIENCE).map(rule).collect();
        add(format!("rules/a{audience}.cedar"), rules);
    }
    let forbid = "@id(\"forbid\") forbid (principal, action, resource) when { context.scopes.isEmpty() };";
    add("rules/all.cedar".to_owned(), forbid.to_owned());
    files
}

fn id_of(audience: usize) -> String {
    format!("https://api-{audience}.example")
}

/// The decider of `files` without a seal, and the one with the seal that the first returns.
fn both(files: &BundleFiles, environment: &Environment) -> [Decider; 2] {
    let first = Decider::load(files, environment, None).expect("it loads");
    let second = Decider::load(files, environment, first.seals()).expect("it loads");
    [first, second]
}

fn decides(decider: &Decider, audience: &str, effect: Effect) {
    let mut request = request();
    request.audience = audience.to_owned();
    let decision = decider.decide(&principal(), &request, NOW);
    assert_eq!(decision.expect("it is decided").effect, effect);
}

#[test]
fn decision_parses_only_matching_policies() {
    for audiences in [1, 10, 100] {
        // The policy of `support` and the `forbid`.
        let rules = audiences * RULES_PER_AUDIENCE + 2;
        let [first, decider] = both(&files_with(audiences), &environment());
        assert_eq!(first.policy_count(), PolicyCount { total: rules, parsed: rules });
        assert_eq!(decider.policy_count(), PolicyCount { total: rules, parsed: 0 });
        assert_eq!(decider.seals(), None, "nothing new is to be kept");
        // The policies of the audience and the `forbid`.
        for _ in 0..2 {
            decides(&decider, &id_of(audiences - 1), Effect::Permit);
            let parsed = RULES_PER_AUDIENCE + 1;
            assert_eq!(decider.policy_count(), PolicyCount { total: rules, parsed });
        }
        decides(&decider, "https://api.example", Effect::Permit);
        let parsed = RULES_PER_AUDIENCE + 2;
        assert_eq!(decider.policy_count(), PolicyCount { total: rules, parsed });
    }
}

#[test]
fn skips_policies_of_other_issuers() {
    let other = GITHUB.replace("idp", "other");
    let of_other = PERMIT.replace("\"github\"", "\"other\"").replace("@id(\"api\")", "@id(\"other\")");
    let files = files(&[("issuers/other.toml", Some(&other)), ("rules/other.cedar", Some(&of_other))]);
    let [_, decider] = both(&files, &environment());
    decides(&decider, "https://api.example", Effect::Permit);
    assert_eq!(decider.policy_count(), PolicyCount { total: 2, parsed: 1 });
}

#[test]
fn seal_is_bound_to_bundle_and_environment() {
    let [first, _] = both(&files_with(1), &environment());
    let seals = first.seals();
    assert!(seals.is_some());
    let parsed = |files: &BundleFiles, environment: &Environment, seals| {
        let decider = Decider::load(files, environment, seals).expect("it loads");
        decider.policy_count().parsed
    };
    assert_eq!(parsed(&files_with(1), &environment(), seals), 0);
    assert_eq!(parsed(&files_with(2), &environment(), seals), 22);
    let mut other = environment();
    other.epoch_seconds += 1;
    assert_eq!(parsed(&files_with(1), &other, seals), 12);
    for forged in [
        None,
        Some(""),
        Some("\n\n"),
        Some("0000000000000000000000000000000000000000000000000000000000000000"),
        Some("no seal"),
    ] {
        assert_eq!(parsed(&files_with(1), &environment(), forged), 12, "{forged:?}");
    }
    // Several seals are kept.
    let both = Decider::load(&files_with(2), &environment(), seals).expect("it loads");
    assert_eq!(parsed(&files_with(1), &environment(), both.seals()), 0);
    assert_eq!(parsed(&files_with(2), &environment(), both.seals()), 0);
}

#[test]
fn reports_same_errors_as_bundle_load() {
    let [good, _] = both(&files(&[]), &environment());
    let rule = PERMIT.replace("repository_id", "repositry_id") + "permit (principal, action, resource);";
    let broken = files(&[("rules/api.cedar", Some(&rule.replace("[\"read\"]", "principal.nothing && [\"read\"]")))]);
    let of_tools = vouchsafe_policy::Bundle::load(&broken, &environment()).expect_err("it does not load");
    for seals in [None, good.seals()] {
        let invalid = Decider::load(&broken, &environment(), seals).expect_err("it does not load");
        assert_eq!(invalid, of_tools);
    }
}

#[test]
fn loads_templates_eagerly() {
    let template = PERMIT.replace("Issuer::\"github\"", "?principal").replace("@id(\"api\")", "@id(\"template\")");
    let link = "[[link]]\nid = \"api\"\ntemplate = \"template\"\nprincipal = 'Issuer::\"github\"'\n";
    let files = files(&[("rules/api.cedar", Some(&template)), ("rules/api.toml", Some(link))]);
    for decider in both(&files, &environment()) {
        assert_eq!(decider.seals(), None);
        assert_eq!(decider.policy_count(), PolicyCount { total: 1, parsed: 1 });
        decides(&decider, "https://api.example", Effect::Permit);
    }
}

#[test]
fn ignores_policies_of_other_profiles() {
    let head = "name = \"test\"\nversion = \"1\"\n[profiles]\nhere = \"https://broker.example\"\n\
                there = \"https://elsewhere.example\"\n";
    for (profile, effect) in [("here", Effect::Permit), ("there", Effect::Deny)] {
        let rule = format!("@profile(\"{profile}\") {PERMIT}");
        let files = files(&[("bundle.toml", Some(head)), ("rules/api.cedar", Some(&rule))]);
        for decider in both(&files, &environment()) {
            decides(&decider, "https://api.example", effect);
        }
    }
}

#[test]
fn loads_shipped_bundles_lazily() {
    for folder in ["policies", "examples/policies"] {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let files = folder::read(&root.join(folder)).expect("it is read");
        let [first, decider] = both(&files, &environment());
        assert_eq!(first.policy_count().parsed, first.policy_count().total);
        let parsed = match folder {
            "policies" => 0,
            // It has templates.
            _ => first.policy_count().total,
        };
        assert_eq!(decider.policy_count(), PolicyCount { parsed, ..first.policy_count() });
    }
}
