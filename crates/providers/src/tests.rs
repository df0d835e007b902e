use super::*;
use std::collections::BTreeSet;

#[test]
fn lists_providers_once_in_order() {
    assert!(PROVIDERS.is_sorted_by(|a, b| a.name < b.name));
    for provider in PROVIDERS {
        assert_eq!(Provider::named(provider.name), Some(provider));
    }
    assert_eq!(Provider::named("GitHub"), None);
    assert_eq!(Provider::named(""), None);
}

#[test]
fn lists_claims_once_in_order() {
    for provider in PROVIDERS {
        let sorted = provider.claims.is_sorted_by(|a, b| a.name < b.name);
        assert!(sorted, "{}", provider.name);
        assert_eq!(provider.claims.is_empty(), provider.declares_claims());
    }
}

#[test]
fn defaults_to_allowed_algorithms() {
    for provider in PROVIDERS {
        let all = |list: &[&str], of: &[&str]| list.iter().all(|one| of.contains(one));
        assert!(all(provider.algorithms, ALGORITHMS), "{}", provider.name);
        assert!(all(provider.default_algorithms, provider.algorithms));
        assert!(!provider.default_algorithms.is_empty());
    }
}

/// JWT-SVID §3 does not allow it.
#[test]
fn never_offers_eddsa_to_spiffe() {
    assert!(!spiffe::PROVIDER.algorithms.contains(&"EdDSA"));
}

#[test]
fn gives_each_provider_its_own_type() {
    let types: BTreeSet<String> = PROVIDERS.iter().map(|one| one.entity_type("idp")).collect();
    assert_eq!(types.len(), PROVIDERS.len());
}

/// Claims to pin, and claims that make a name safe, must exist and be strings.
#[test]
fn names_text_claims_in_tenancies_and_lints() {
    for provider in PROVIDERS {
        let is_text = |name: &&str| {
            let text = |claim: &Claim| claim.name == *name && claim.claim_type == ClaimType::Text;
            *name == "sub" || provider.claims.iter().any(text)
        };
        let pinned = provider.tenancy.iter().flat_map(|tenancy| tenancy.claims);
        let linted = provider.names_with_ids.iter().flat_map(|(name, ids)| std::iter::once(name).chain(*ids));
        for name in pinned.chain(linted) {
            assert!(is_text(name), "{} has no text {name}", provider.name);
        }
    }
}

#[test]
fn requires_tenant_for_shared_issuers() {
    let circleci = &circleci::PROVIDER;
    assert_eq!(circleci.unpinned_tenancy("https://oidc.circleci.com"), Some(&["org_id"][..]));
    assert_eq!(circleci.unpinned_tenancy("https://oidc.circleci.com/org/1"), None);
    assert!(buildkite::PROVIDER.unpinned_tenancy("https://agent.buildkite.com").is_some());
    assert!(google::PROVIDER.unpinned_tenancy("https://accounts.google.com").is_some());
    assert!(terraform::PROVIDER.unpinned_tenancy("https://app.terraform.io").is_some());
    assert_eq!(kubernetes::PROVIDER.unpinned_tenancy("https://a.example"), None);
}

fn one(claim: Claim, claims: &str) -> Result<Option<AttributeValue>, ClaimFault> {
    let claims = vouchsafe_json::JsonObject::parse(claims.as_bytes()).unwrap();
    attributes(&[claim], &claims)
        .map(|found| found.into_iter().next().map(|one| one.value))
        .map_err(|error| error.fault)
}

#[test]
fn distinguishes_absent_empty_and_mistyped_claims() {
    let text = || Claim::optional("a", ClaimType::Text);
    let value = |text: &str| Ok(Some(AttributeValue::Text(text.to_owned())));
    let not_text = Err(ClaimFault::Type("a string"));
    assert_eq!(one(text(), "{}"), Ok(None));
    assert_eq!(one(text(), r#"{"a":""}"#), value(""));
    assert_eq!(one(text(), r#"{"a":"b"}"#), value("b"));
    assert_eq!(one(text(), r#"{"a":null}"#), not_text);
    assert_eq!(one(text(), r#"{"a":1}"#), not_text);
    let nullable = || Claim::nullable("a", ClaimType::Text);
    assert_eq!(one(nullable(), r#"{"a":null}"#), Ok(None));
    assert_eq!(one(nullable(), r#"{"a":""}"#), value(""));
    let required = || Claim::required("a", ClaimType::Text);
    assert_eq!(one(required(), "{}"), Err(ClaimFault::Missing));
    assert_eq!(one(required(), r#"{"a":""}"#), Err(ClaimFault::Empty));
    assert_eq!(one(required(), r#"{"a":null}"#), not_text);
}

#[test]
fn maps_distinct_objects_to_distinct_sets() {
    let tags = || Claim::optional("a", ClaimType::TextMap);
    let set = |texts: &[&str]| {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        Ok(Some(AttributeValue::TextSet(texts)))
    };
    let wrong = Err(ClaimFault::Type(ClaimType::TextMap.expected()));
    assert_eq!(one(tags(), r#"{"a":{}}"#), set(&[]));
    assert_eq!(one(tags(), r#"{"a":{"team":"x","env":"a=b"}}"#), set(&["env=a=b", "team=x"]));
    for claims in [
        r#"{"a":{"env=a":"b"}}"#,
        r#"{"a":{"env":1}}"#,
        r#"{"a":{"env":["a"]}}"#,
        r#"{"a":["env=a"]}"#,
        r#"{"a":"env=a"}"#,
    ] {
        assert_eq!(one(tags(), claims), wrong, "{claims}");
    }
}

#[test]
fn accepts_string_for_set_only_if_documented() {
    let set = |claim_type| Claim::optional("a", claim_type);
    let found = one(set(ClaimType::TextOrSet), r#"{"a":"b"}"#);
    assert_eq!(found, one(set(ClaimType::TextSet), r#"{"a":["b"]}"#));
    assert_eq!(one(set(ClaimType::TextSet), r#"{"a":"b"}"#), Err(ClaimFault::Type("an array of strings")));
    for claims in [r#"{"a":[1]}"#, r#"{"a":1}"#, r#"{"a":{}}"#] {
        assert!(one(set(ClaimType::TextOrSet), claims).is_err(), "{claims}");
    }
}

#[test]
fn finds_provider_of_each_shared_issuer() {
    let of = |issuer: &str| Provider::of_shared_issuer(issuer).map(|provider| provider.name);
    for (issuer, expected) in [
        ("https://token.actions.githubusercontent.com", Some("github")),
        ("https://token.actions.githubusercontent.com/octo-enterprise", Some("github")),
        ("https://TOKEN.actions.githubusercontent.com/", Some("github")),
        ("https://token.actions.githubusercontent.com.evil.example", None),
        ("https://token.actions.octo.ghe.com", None),
        ("https://gitlab.com", Some("gitlab")),
        ("https://gitlab.company.example", None),
        ("https://oidc.circleci.com", Some("circleci")),
        ("https://oidc.circleci.com/org/c9035eb6", Some("circleci")),
        ("https://agent.buildkite.com", Some("buildkite")),
        ("https://app.terraform.io", Some("terraform")),
        ("https://app.eu.terraform.io", Some("terraform")),
        ("https://terraform.example", None),
        ("https://accounts.google.com", Some("google")),
        ("https://login.microsoftonline.com/common/v2.0", Some("azure")),
        ("https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", Some("azure")),
        // A tenant's own issuer, whose claims may differ from those of workloads.
        ("https://login.microsoftonline.com/0e3e2e88-8caf-41ca-b4da-e3b33b6c52ec/v2.0", None),
        ("https://idp.example", None),
        ("", None),
    ] {
        assert_eq!(of(issuer), expected, "{issuer}");
    }
}

/// Under another provider, an open issuer would have no tenants.
#[test]
fn lists_every_open_issuer_as_shared() {
    for provider in PROVIDERS {
        for issuer in provider.open_issuers {
            assert_eq!(Provider::of_shared_issuer(issuer), Some(provider), "{issuer}");
        }
        if provider.tenancy.is_some() {
            assert!(!provider.shared_issuers.is_empty(), "{}", provider.name);
        }
    }
}

#[test]
fn identifies_workloads_by_existing_claims() {
    for provider in PROVIDERS {
        let sets = provider.workload_claims.iter().copied().flatten();
        for name in sets.chain(provider.plain_claims) {
            let claim = provider.claims.iter().find(|claim| claim.name == *name);
            let is_text = claim.is_some_and(|claim| claim.claim_type == ClaimType::Text);
            assert!(is_text, "{} {name}", provider.name);
        }
        assert_eq!(provider.workload_claims.is_empty(), provider.declares_claims());
    }
}

#[test]
fn distinguishes_tenants_of_open_issuers() {
    for provider in PROVIDERS {
        let is_open = !provider.open_issuers.is_empty();
        assert_eq!(!provider.tenant_claims.is_empty(), is_open, "{}", provider.name);
        for name in provider.tenant_claims {
            let known = provider.claims.iter().any(|claim| claim.name == *name);
            assert!(known, "{} {name}", provider.name);
        }
    }
}
