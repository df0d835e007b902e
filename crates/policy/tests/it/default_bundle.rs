//! The bundle in `policies/`: it loads, its cases come out as they say, and its schema is that of
//! the identity crate's claims.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use vouchsafe_identity::providers::{self, DeclaredClaim, github, gitlab, kubernetes};
use vouchsafe_policy::{Bundle, BundleFiles, ClaimType, Environment, ReplayMode, cases, folder};

fn default_files() -> BundleFiles {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    folder::read(&root).unwrap_or_else(|finding| panic!("{finding}"))
}

fn default_bundle(development: bool) -> Bundle {
    let environment = Environment {
        issuer: "http://127.0.0.1:3000".to_owned(),
        development,
        epoch_seconds: 3600,
    };
    Bundle::load(&default_files(), &environment).unwrap_or_else(|invalid| panic!("{invalid}"))
}

#[test]
fn decides_every_case_as_it_says() {
    let bundle = default_bundle(true);
    let cases = cases::read(&default_files(), &bundle).expect("every case reads");
    for case in &cases {
        let decision = case
            .decide(&bundle)
            .unwrap_or_else(|error| panic!("{}: {error}", case.path));
        assert!(case.is_met_by(&decision), "{}: {decision:?}", case.path);
    }
    let determining: BTreeSet<&str> = cases
        .iter()
        .flat_map(|case| &case.rules)
        .map(String::as_str)
        .collect();
    let rules: BTreeSet<&str> = bundle.rules().iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(
        determining, rules,
        "every rule is the reason of some case, and no other is named"
    );
}

#[test]
fn has_an_allow_and_a_deny_case_for_every_rule() {
    let bundle = default_bundle(true);
    let cases = cases::read(&default_files(), &bundle).expect("every case reads");
    for rule in bundle.rules() {
        for effect in [
            vouchsafe_policy::Effect::Permit,
            vouchsafe_policy::Effect::Deny,
        ] {
            let found = cases
                .iter()
                .any(|case| case.rule == rule.id && case.effect == effect);
            assert!(found, "{} has no case of {effect:?}", rule.id);
        }
    }
    for case in &cases {
        assert!(
            bundle.rules().iter().any(|rule| rule.id == case.rule),
            "{}",
            case.path
        );
    }
}

#[test]
fn declares_exactly_the_claims_that_identity_gives() {
    let bundle = default_bundle(false);
    for (entity_type, claims) in [
        (github::ENTITY_TYPE, github::CLAIMS),
        (gitlab::ENTITY_TYPE, gitlab::CLAIMS),
        (kubernetes::ENTITY_TYPE, kubernetes::CLAIMS),
    ] {
        compare_claims(&bundle, entity_type, claims);
    }
}

fn compare_claims(bundle: &Bundle, entity_type: &str, claims: &[DeclaredClaim]) {
    let of_schema: BTreeMap<String, (ClaimType, bool)> = bundle
        .attributes_of(entity_type)
        .expect("the schema has the type")
        .iter()
        .map(|(name, attribute)| {
            let claim_type = attribute
                .claim_type
                .expect("only types that a claim can have");
            (name.clone(), (claim_type, attribute.required))
        })
        .collect();
    let of_identity: BTreeMap<String, (ClaimType, bool)> = claims
        .iter()
        .map(|declared| {
            let claim_type = match declared.claim_type {
                providers::ClaimType::Boolean => ClaimType::Boolean,
                providers::ClaimType::Integer => ClaimType::Integer,
                providers::ClaimType::Text => ClaimType::Text,
                providers::ClaimType::TextSet => ClaimType::TextSet,
            };
            (declared.name.to_string(), (claim_type, declared.required))
        })
        .collect();
    assert_eq!(of_schema, of_identity);
}

#[test]
fn trusts_the_development_issuer_in_development_only() {
    let dev = "http://127.0.0.1:7000";
    assert!(default_bundle(false).issuer(dev).is_none());
    let bundle = default_bundle(true);
    assert_eq!(
        bundle.issuer(dev).map(|issuer| issuer.replay),
        Some(ReplayMode::Allow)
    );
    let github = bundle.issuer("https://token.actions.githubusercontent.com");
    assert_eq!(
        github.map(|issuer| issuer.replay),
        Some(ReplayMode::SingleUse)
    );
}

#[test]
fn has_a_single_use_and_a_reusable_audience() {
    let bundle = default_bundle(false);
    let replay = |id| bundle.audience(id).map(|audience| audience.replay);
    assert_eq!(
        replay("https://deploy.example"),
        Some(ReplayMode::SingleUse)
    );
    assert_eq!(replay("https://api.example"), Some(ReplayMode::Allow));
}

/// What loads must be usable: a template that identity refuses, or more claims than the signer takes,
/// would fail every exchange.
#[test]
fn allows_no_more_than_identity_and_signer_take() {
    use vouchsafe_policy::limits;
    assert_eq!(
        limits::SUBJECT_TEMPLATE_BYTES_MAX,
        vouchsafe_identity::TEMPLATE_BYTES_MAX
    );
    assert_eq!(
        limits::CLAIMS_PER_AUDIENCE_MAX,
        vouchsafe_signer::EXTRA_CLAIMS_MAX
    );
}

/// Two guards, each with its own list: the signer trusts no bundle. They must not drift apart, or a
/// bundle loads whose tokens can't be signed.
#[test]
fn reserves_exactly_the_claims_that_the_signer_refuses() {
    assert_eq!(
        vouchsafe_policy::RESERVED_CLAIMS,
        vouchsafe_signer::REGISTERED_CLAIMS
    );
}

/// `policy explain` reads the claims of a token where identity does.
#[test]
fn finds_the_claims_of_kubernetes_where_identity_does() {
    let mut files = default_files();
    let issuer = "issuer = \"https://kubernetes.example\"\nprovider = \"kubernetes\"\n";
    files
        .add("issuers/cluster.toml", issuer.into())
        .expect("within the limits");
    let environment = Environment {
        issuer: "http://127.0.0.1:3000".to_owned(),
        development: false,
        epoch_seconds: 3600,
    };
    let bundle = Bundle::load(&files, &environment).unwrap_or_else(|invalid| panic!("{invalid}"));
    let issuer = bundle
        .issuer("https://kubernetes.example")
        .expect("it is there");
    assert_eq!(
        (issuer.max_token_age_seconds, issuer.replay),
        (3600, ReplayMode::Allow)
    );
    let mut claims = serde_json::json!({ "sub": "system:serviceaccount:a:b", "kubernetes.io": {} });
    for claim in kubernetes::CLAIMS {
        let way = format!("/{}", claim.path.join("/"));
        let (way, last) = way.rsplit_once('/').expect("a path");
        let mut object = &mut claims;
        for name in way.split('/').skip(1) {
            object = &mut object[name];
            if object.is_null() {
                *object = serde_json::json!({});
            }
        }
        object[last] = claim.name.as_ref().into();
    }
    let claims = claims.as_object().expect("an object").clone();
    let principal = bundle
        .principal_of_claims(issuer, &claims)
        .expect("it fits");
    assert_eq!(principal.entity_type, kubernetes::ENTITY_TYPE);
    let expected: Vec<_> = kubernetes::CLAIMS
        .iter()
        .map(|claim| vouchsafe_policy::Attribute {
            name: claim.name.to_string(),
            value: vouchsafe_policy::AttributeValue::Text(claim.name.to_string()),
        })
        .collect();
    assert_eq!(principal.attributes, expected);
    let mut wrong = claims;
    wrong.insert("kubernetes.io".to_owned(), "a".into());
    let error = bundle
        .principal_of_claims(issuer, &wrong)
        .map(|_| ())
        .expect_err("no object");
    assert_eq!(error.to_string(), "claim `kubernetes.io` is not an object");
}

/// The first issuer file and the first rule of a provider's page, put into the default bundle.
#[test]
fn loads_the_issuer_and_the_rule_of_every_providers_page() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/providers");
    let mut seen = BTreeSet::new();
    for page in std::fs::read_dir(pages).expect("the pages") {
        let page = page.expect("a page").path();
        let text = std::fs::read_to_string(&page).expect("text");
        let block = |language: &str| {
            let start = text.split_once(&format!("```{language}\n"));
            let block = start.and_then(|(_, rest)| rest.split_once("```"));
            block
                .unwrap_or_else(|| panic!("{} has no {language}", page.display()))
                .0
        };
        let (_, rest) = block("cedar")
            .split_once("in Issuer::\"")
            .expect("an issuer");
        let (name, _) = rest.split_once('"').expect("its name");
        assert!(text.contains(&format!("`policies/issuers/{name}.toml`")));
        let mut files = default_files();
        for (path, content) in [
            (format!("issuers/{name}.toml"), block("toml")),
            (format!("rules/{name}-page.cedar"), block("cedar")),
        ] {
            files.add(&path, content.into()).expect("within the limits");
        }
        let environment = Environment {
            issuer: "https://broker.example".to_owned(),
            development: false,
            epoch_seconds: 3600,
        };
        let report = vouchsafe_policy::lint::check(&files, &environment);
        assert!(report.errors.is_empty(), "{}: {report}", page.display());
        // A rule without a case is all that may be wrong with what a page shows.
        let warnings: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings.len(), 1, "{}: {report}", page.display());
        assert!(warnings[0].contains("determines no test case"), "{report}");
        seen.insert(name.to_owned());
    }
    assert_eq!(
        seen,
        BTreeSet::from(["cluster".to_owned(), "gitlab".to_owned()])
    );
}
