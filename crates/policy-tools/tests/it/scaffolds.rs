//! New issuers, audiences and policies.

use crate::support::*;
use vouchsafe_policy::{Bundle, BundleFiles, Environment};
use vouchsafe_policy_tools::run;
use vouchsafe_policy_tools::scaffold::{
    Hours, MadePolicy, Network, NewAudience, NewFiles, NewIssuer, NewKeys, NewPolicy, ScaffoldError, audience, issuer,
    policy,
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
        ..NewPolicy::default()
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
    assert_covered(&with(&files, &made), "main-writes");
}

/// All cases are met, and every condition of the policy is seen true and false.
fn assert_covered(files: &BundleFiles, id: &str) {
    let suite = run(files, &environment()).expect("it runs");
    assert!(suite.passed(), "{:?}", suite.results);
    let covered = vouchsafe_policy_tools::coverage(&suite);
    let of_rule = covered.iter().find(|rule| rule.id == id).expect("it is there");
    assert!(of_rule.conditions.iter().all(|one| one.is_whole()), "{of_rule:?}");
}

#[test]
fn cases_cover_optional_claims_networks_and_hours() {
    let schema = SCHEMA.replace("run?: Long,", "environment?: String,");
    let zones = "name = \"test\"\nversion = \"1\"\n[zones]\nberlin = \"Europe/Berlin\"\n";
    // The default claims of cases have the optional one too.
    let base = format!("{BASE}environment = \"staging\"\n");
    let files = files(&[
        ("schema.cedarschema", Some(&schema)),
        ("bundle.toml", Some(zones)),
        ("tests/github.toml", Some(&base)),
    ]);
    let bundle = Bundle::load(&files, &environment()).unwrap_or_else(|invalid| panic!("{invalid}"));
    let networks: Vec<Network> =
        ["198.51.100.0/24", "2001:db8::/32"].map(|text| Network::parse(text).expect("a network")).into();
    for (hours, number) in [("berlin", 3), ("berlin:0-8", 2), ("berlin:8-24", 2), ("berlin:0-24", 1)] {
        let new = NewPolicy {
            networks: networks.clone(),
            hours: Some(Hours::parse(hours, &bundle).expect("hours")),
            ..new_rule("office", &[("repository_id", "2"), ("environment", "production")], &["write"])
        };
        let made = made(&files, &new).files;
        let names: Vec<&str> = made.keys().filter_map(|path| path.strip_prefix("tests/office/deny/")).collect();
        let of_hours = |name: &&&str| name.contains("weekend") || name.contains("these hours");
        assert_eq!(names.iter().filter(of_hours).count(), number, "{names:?}");
        assert_covered(&with(&files, &made), "office");
    }
    let new = NewPolicy {
        networks,
        hours: Some(Hours::parse("berlin", &bundle).expect("hours")),
        ..new_rule("office", &[("repository_id", "2"), ("environment", "production")], &["write"])
    };
    let made = made(&files, &new).files;
    let text = &made["rules/office.cedar"];
    let conditions = "  context has client_ip &&\n  \
         (context.client_ip.isInRange(ip(\"198.51.100.0/24\")) ||\n   \
         context.client_ip.isInRange(ip(\"2001:db8::/32\"))) &&\n";
    assert!(text.contains(conditions), "{text}");
    assert!(text.ends_with("context.local.berlin.hour >= 9 &&\n  context.local.berlin.hour < 17\n};\n"), "{text}");
    // 2027-01-01 is a Friday; Berlin is an hour ahead of UTC.
    assert_eq!(
        made["tests/office/deny/without environment.toml"],
        "issuer = \"github\"\nrules = []\nat = \"2027-01-01T08:00:00Z\"\nclaims.repository_id = \"2\"\n\
         absent = [\"environment\"]\n\n[request]\naudience = \"https://api.example\"\nscopes = [\"write\"]\n\
         client_ip = \"198.51.100.0\"\n"
    );
    let at = |name: &str| {
        let case = &made[&format!("tests/office/deny/{name}.toml")];
        case.lines().find(|line| line.starts_with("at = ")).map(str::to_owned)
    };
    assert_eq!(at("before these hours").as_deref(), Some("at = \"2027-01-01T07:00:00Z\""));
    assert_eq!(at("after these hours").as_deref(), Some("at = \"2027-01-01T16:00:00Z\""));
    assert_eq!(at("on a weekend").as_deref(), Some("at = \"2027-01-02T08:00:00Z\""));
    let elsewhere = &made["tests/office/deny/from another network.toml"];
    assert!(elsewhere.contains("client_ip = \"203.0.113.1\""), "{elsewhere}");
}

#[test]
fn refuses_wrong_networks_and_hours() {
    for network in ["192.0.2.1", "192.0.2.0/1", "192.0.2.1/32", "::1", "2001:db8::/128"] {
        assert_eq!(Network::parse(network).map(|network| network.text), Ok(network.to_owned()));
    }
    for network in ["", "a", "0.0.0.0/0", "::/0", "192.0.2.0/33", "::/129", "192.0.2.0/", "192.0.2/24", "192.0.2.0/-1"]
    {
        assert_eq!(Network::parse(network), Err(ScaffoldError::NetworkInvalid(network.to_owned())));
    }
    let zones = "name = \"test\"\nversion = \"1\"\n[zones]\nberlin = \"Europe/Berlin\"\n";
    let bundle = Bundle::load(&files(&[("bundle.toml", Some(zones))]), &environment()).expect("it loads");
    let hours = |text: &str| Hours::parse(text, &bundle).map(|hours| (hours.from, hours.to));
    for (text, expected) in [("berlin", (9, 17)), ("berlin:0-24", (0, 24)), ("berlin:23-24", (23, 24))] {
        assert_eq!(hours(text), Ok(expected));
    }
    for text in ["berlin:", "berlin:9", "berlin:9-9", "berlin:17-9", "berlin:0-25", "berlin:a-b", "berlin:9-17-18"] {
        assert_eq!(hours(text), Err(ScaffoldError::HoursInvalid(text.to_owned())));
    }
    let unknown = ScaffoldError::ZoneUnknown { zone: "tokyo".to_owned(), known: "`berlin`".to_owned() };
    assert_eq!(hours("tokyo"), Err(unknown));
}

/// Cases of the same names are replaced; others stay, since they may say what must not change.
#[test]
fn replaces_policy_in_its_own_file_only() {
    let new = NewPolicy { replace: true, ..new_rule("main", &[("repository_id", "2"), ("ref", "a")], &["write"]) };
    let files = files(&[]);
    let first = with(&files, &made(&files, &new).files);
    let wider = NewPolicy { claims: pairs(&[("repository_id", "2")]), ..new.clone() };
    let second = made(&first, &wider).files;
    assert!(!second["rules/main.cedar"].contains("principal.ref"));
    assert!(!second.contains_key("tests/main/deny/another ref.toml"));
    let failed = run(&with(&first, &second), &environment()).expect("it runs");
    let failed: Vec<&str> = failed.failures().map(|it| it.case.path.as_str()).collect();
    assert_eq!(failed, ["tests/main/deny/another ref.toml"]);
    // `rules/api.cedar` also has `never`.
    let api = NewPolicy { id: "api".to_owned(), ..new.clone() };
    let others = policy(&files, &environment(), &api).expect_err("it has others");
    assert_eq!(others, ScaffoldError::OthersInFile("rules/api.cedar".to_owned()));
    let again = policy(&first, &environment(), &NewPolicy { replace: false, ..new }).expect_err("it exists");
    assert_eq!(again, ScaffoldError::AlreadyExists("rules/main.cedar".to_owned()));
}

#[test]
fn new_policies_name_only_what_is_offered() {
    let required = format!("{API}scopes_required = true\n");
    let files = files(&[("audiences/api.toml", Some(&required))]);
    let of = |scopes: &[&str]| policy(&files, &environment(), &new_rule("a", &[("repository_id", "2")], scopes));
    let offered = "`read`, `write`".to_owned();
    let audience = "https://api.example".to_owned();
    let wrong = ScaffoldError::ScopeNotOffered {
        scope: "wirte".to_owned(),
        audience: audience.clone(),
        offered: offered.clone(),
    };
    assert_eq!(of(&["read", "wirte"]), Err(wrong));
    assert_eq!(of(&[]), Err(ScaffoldError::ScopeRequired { audience, offered }));
    assert!(of(&["write"]).is_ok());
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
    assert_eq!(of(&nowhere), err("the bundle has no issuer `gitub`; it has `github`"));
    let for_none = NewPolicy { audience: "https://none.example".to_owned(), ..new_rule("a", &[("ref", "a")], &[]) };
    assert_eq!(of(&for_none), err("the bundle has no audience `https://none.example`; it has `https://api.example`"));
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
        scopes_required: false,
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
