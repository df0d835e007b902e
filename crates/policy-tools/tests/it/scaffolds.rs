//! New issuers, audiences and policies.

use crate::support::*;
use vouchsafe_policy::{BundleFiles, Environment};
use vouchsafe_policy_tools::run;
use vouchsafe_policy_tools::scaffold::{
    MadePolicy, NewAudience, NewFiles, NewIssuer, NewKeys, NewPolicy, ScaffoldError, audience, issuer, policy,
};

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn made(files: &BundleFiles, new: &NewPolicy) -> MadePolicy {
    policy(files, &environment(), new).unwrap_or_else(|error| panic!("{error}"))
}

fn with(files: &BundleFiles, made: &NewFiles) -> BundleFiles {
    let mut all = files.clone();
    for (path, content) in made {
        all.add(path, content.clone().into_bytes()).expect("within the limits");
    }
    all
}

fn new_rule(id: &str, claims: &[(&str, &str)], scopes: &[&str]) -> NewPolicy {
    NewPolicy {
        id: id.to_owned(),
        issuer: "github".to_owned(),
        audience: "https://api.example".to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        claims: pairs(claims),
        intent: None,
    }
}

#[test]
fn new_policy_has_covering_cases() {
    let new = NewPolicy {
        intent: Some("Only main writes.".to_owned()),
        ..new_rule("main-writes", &[("repository_id", "2"), ("ref", "refs/heads/main")], &["write"])
    };
    let files = files(&[]);
    let made = made(&files, &new).files;
    let paths: Vec<&str> = made.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "rules/main-writes.cedar",
            "tests/main-writes/allow/what the rule is for.toml",
            "tests/main-writes/deny/a scope beyond.toml",
            "tests/main-writes/deny/another ref.toml",
            "tests/main-writes/deny/another repository_id.toml",
        ]
    );
    assert_eq!(
        made["rules/main-writes.cedar"],
        "// Only main writes.\n\n\
         @id(\"main-writes\")\npermit (\n  principal is GitHub::Workflow in Issuer::\"github\",\n  \
         action == Action::\"issue\",\n  resource == Audience::\"https://api.example\"\n)\nwhen\n{\n  \
         principal.repository_id == \"2\" &&\n  principal.ref == \"refs/heads/main\" &&\n  \
         [\"write\"].containsAll(context.scopes)\n};\n"
    );
    assert_eq!(
        made["tests/main-writes/deny/another ref.toml"],
        "issuer = \"github\"\nrules = []\nclaims.repository_id = \"2\"\nclaims.ref = \"refs/heads/main-other\"\n\n\
         [request]\naudience = \"https://api.example\"\nscopes = [\"write\"]\n"
    );
    let suite = run(&with(&files, &made), &environment()).expect("it runs");
    assert!(suite.passed());
    let covered = vouchsafe_policy_tools::coverage(&suite);
    let of_rule = covered.iter().find(|rule| rule.id == "main-writes").expect("it is there");
    assert!(of_rule.conditions.iter().all(|one| one.is_whole()), "{of_rule:?}");
}

#[test]
fn policy_handles_claim_types_and_names() {
    let schema = SCHEMA.replace("run?: Long,", "environment?: String,");
    let files = files(&[("schema.cedarschema", Some(&schema))]);
    let new = new_rule("quoted", &[("environment", "pro\"d\\")], &[]);
    let made = made(&files, &new).files;
    let text = &made["rules/quoted.cedar"];
    assert!(
        text.contains(
            "principal has environment &&\n  principal.environment == \"pro\\\"d\\\\\" &&\n  context.scopes.isEmpty()"
        ),
        "{text}"
    );
    assert!(run(&with(&files, &made), &environment()).expect("it runs").passed());
}

#[test]
fn drops_denials_that_others_permit() {
    // `api` permits `read` to repository 1 on every branch.
    let new = new_rule("main-reads", &[("repository_id", "1"), ("ref", "refs/heads/main")], &["read"]);
    let files = files(&[]);
    let made = made(&files, &new).files;
    let wider = self::made(&files, &new).wider;
    assert_eq!(wider, [("another ref".to_owned(), vec!["api".to_owned()])]);
    assert!(!made.contains_key("tests/main-reads/deny/another ref.toml"));
    let allow = &made["tests/main-reads/allow/what the rule is for.toml"];
    assert!(allow.contains("rules = [\"api\", \"main-reads\"]\n"), "{allow}");
    // Both policies determine an existing case now, so it must be changed.
    let suite = run(&with(&files, &made), &environment()).expect("it runs");
    let failed: Vec<&str> = suite.failures().map(|it| it.case.path.as_str()).collect();
    assert_eq!(failed, ["tests/api/allow/main reads.toml"]);
}

#[test]
fn refuses_invalid_new_policies() {
    let files = files(&[]);
    let of = |new: &NewPolicy| {
        let made = policy(&files, &environment(), new);
        made.map(|made| made.files).map_err(|error| error.to_string())
    };
    let err = |text: &str| Err(text.to_owned());
    let unknown = of(&new_rule("a", &[("repositry_id", "1")], &[]));
    assert!(
        unknown
            .as_ref()
            .is_err_and(|text| text.starts_with("GitHub::Workflow has no claim `repositry_id`; it has `actor`, ")),
        "{unknown:?}"
    );
    let nowhere = NewPolicy { issuer: "gitub".to_owned(), ..new_rule("a", &[("ref", "a")], &[]) };
    assert_eq!(of(&nowhere), err("the bundle has no issuer `gitub`"));
    let forbidden = new_rule("a", &[("ref", "refs/heads/closed")], &[]);
    assert_eq!(of(&forbidden), err("the policy would not permit its own case: another policy denies it: `never`"));
    let there = new_rule("api", &[("ref", "a")], &[]);
    assert_eq!(of(&there), err("`rules/api.cedar` already exists"));
    let twice = new_rule("never", &[("ref", "a")], &[]);
    assert!(of(&twice).is_err_and(|text| text.contains("policy `never` is already defined")));
}

#[test]
fn new_issuer_has_default_claims() {
    let files = files(&[]);
    let new = NewIssuer {
        name: "my-idp".to_owned(),
        url: "https://two.example".to_owned(),
        provider: "oidc".to_owned(),
        claims: vec!["email".to_owned()],
        require: pairs(&[("email", "a@b.example")]),
        keys: NewKeys::Discovery,
    };
    let made = issuer(&files, &environment(), &new).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        made["issuers/my-idp.toml"],
        "issuer = \"https://two.example\"\nprovider = \"oidc\"\nrequire = { \"email\" = \"a@b.example\" }\n\n\
         [claims]\n\"email\" = { type = \"text\" }\n"
    );
    assert_eq!(
        made["tests/my-idp.toml"],
        "# What the cases of issuer `my-idp` start from.\nid = \"workload\"\n\n[claims]\nemail = \"example\"\n"
    );
    let unknown = NewIssuer { provider: "jenkins".to_owned(), ..new.clone() };
    assert!(matches!(issuer(&files, &environment(), &unknown), Err(ScaffoldError::ProviderUnknown { .. })));
    let plain = NewIssuer { url: "http://two.example".to_owned(), ..new };
    assert!(matches!(issuer(&files, &environment(), &plain), Err(ScaffoldError::Invalid(_))));
}

#[test]
fn new_audience_is_checked() {
    let files = files(&[]);
    let new = NewAudience {
        name: "deploy".to_owned(),
        id: "https://deploy.example".to_owned(),
        scopes: vec!["deploy:write".to_owned()],
        max_lifetime: Some("10m".to_owned()),
        single_use: true,
    };
    let made = audience(&files, &environment(), &new).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        made["audiences/deploy.toml"],
        "id = \"https://deploy.example\"\nmax_lifetime = \"10m\"\nscopes = [\"deploy:write\"]\n\
         replay = \"single-use\"\n"
    );
    let over = NewAudience { max_lifetime: Some("60m".to_owned()), ..new.clone() };
    assert!(audience(&files, &environment(), &over).is_err());
    let longer = Environment { epoch_seconds: 3660, ..environment() };
    assert!(audience(&files, &longer, &over).is_ok());
    let twice = NewAudience { name: "api".to_owned(), ..new };
    assert_eq!(
        audience(&files, &environment(), &twice),
        Err(ScaffoldError::AlreadyExists("audiences/api.toml".to_owned()))
    );
}
