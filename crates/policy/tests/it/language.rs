//! Time windows, groups and templates.

use crate::support::*;
use vouchsafe_policy::{Bundle, BundleError, Effect};

const BUNDLE: &str = "name = \"test\"\nversion = \"1\"\n";

fn found(changes: &[(&str, Option<&str>)]) -> Vec<String> {
    match load(changes) {
        Ok(_) => Vec::new(),
        Err(invalid) => invalid.diagnostics.iter().map(ToString::to_string).collect(),
    }
}

fn of(changes: &[(&str, Option<&str>)]) -> Bundle {
    load(changes).unwrap_or_else(|invalid| panic!("{invalid}"))
}

/// The policies that permit the standard request at `at`.
fn permitted_at(bundle: &Bundle, at: &str) -> Vec<String> {
    let now = vouchsafe_policy::parse_unix_seconds(at).expect("a time");
    let decision = bundle.decide(&principal(), &request(), now).expect("it is decided");
    match decision.effect {
        Effect::Deny => Vec::new(),
        Effect::Permit => decision.determining_rules,
    }
}

#[test]
fn policy_can_limit_local_hours() {
    let zones = format!("{BUNDLE}[zones]\noffice = \"Europe/Berlin\"\n");
    let rule = PERMIT.replace(
        "when { ",
        "when { [\"monday\", \"tuesday\", \"wednesday\", \"thursday\", \"friday\"].contains(context.local.office.weekday) \
         && context.local.office.hour >= 9 && context.local.office.hour < 17 && ",
    );
    let bundle = of(&[("bundle.toml", Some(&zones)), ("rules/api.cedar", Some(&rule))]);
    // The Friday before and the Monday after the change to daylight saving time: 9:00 is 08:00 UTC, then 07:00 UTC.
    for (at, permitted) in [
        ("2027-03-26T07:59:59Z", false),
        ("2027-03-26T08:00:00Z", true),
        ("2027-03-26T15:59:59Z", true),
        ("2027-03-26T16:00:00Z", false),
        ("2027-03-27T10:00:00Z", false),
        ("2027-03-29T06:59:59Z", false),
        ("2027-03-29T07:00:00Z", true),
        ("2027-03-29T14:59:59Z", true),
        ("2027-03-29T15:00:00Z", false),
    ] {
        assert_eq!(!permitted_at(&bundle, at).is_empty(), permitted, "{at}");
    }
    // The record contains it too, so that the decision can be reproduced.
    let decision = bundle.decide(&principal(), &request(), NOW).expect("decided");
    let recorded: serde_json::Value = serde_json::from_str(&decision.cedar_request).expect("JSON");
    assert_eq!(
        recorded["context"]["local"],
        serde_json::json!({ "office": { "weekday": "friday", "hour": 1, "minute": 0 } })
    );
}

#[test]
fn context_has_only_named_zones() {
    let rule = PERMIT.replace("when { ", "when { context.local.office.hour >= 9 && ");
    let changes = [("rules/api.cedar", Some(rule.as_str()))];
    assert_eq!(
        found(&changes),
        ["rules/api.cedar:6:10: for policy `api`, attribute `local` in context for Action::\"issue\" not found"]
    );
    let zones = format!("{BUNDLE}[zones]\nhome = \"Europe/Berlin\"\n");
    let misnamed = [changes[0], ("bundle.toml", Some(zones.as_str()))];
    assert_eq!(found(&misnamed).len(), 1);
    let bundle = of(&[]);
    let decision = bundle.decide(&principal(), &request(), NOW).expect("decided");
    assert!(!decision.cedar_request.contains("\"local\""));
}

#[test]
fn refuses_invalid_zones() {
    let zones = |lines: &str| {
        let text = format!("{BUNDLE}[zones]\n{lines}\n");
        found(&[("bundle.toml", Some(&text))])
    };
    assert_eq!(zones("a = \"UTC\""), [""; 0]);
    assert_eq!(
        zones("office = \"Europe/Berlim\""),
        ["bundle.toml:4:10: unknown time zone `Europe/Berlim`: use an IANA name such as `Europe/Berlin`"]
    );
    assert_eq!(
        zones("Office-1 = \"Europe/Berlin\""),
        ["bundle.toml:4:12: the name of a zone must be `a-z`, `0-9` and `_`, starting with a letter, not `Office-1`"]
    );
    let many = |count: usize| {
        let lines: Vec<String> = (0..count).map(|at| format!("z{at} = \"UTC\"")).collect();
        zones(&lines.join("\n"))
    };
    assert_eq!(many(16), [""; 0]);
    assert_eq!(many(17), ["bundle.toml:13:6: `zones` has more than 16 entries"]);
    let taken = SCHEMA.replace("scopes: Set<String>,", "scopes: Set<String>, local: Long,");
    let named = format!("{BUNDLE}[zones]\na = \"UTC\"\n");
    assert_eq!(
        found(&[("schema.cedarschema", Some(&taken)), ("bundle.toml", Some(&named))]),
        ["schema.cedarschema: `local` in the context is made from the zones of `bundle.toml`"]
    );
}

const GROUP: &str = "audiences = [\"https://api.example\"]\n\
    [[workloads]]\nissuer = \"github\"\nclaims = { repository_id = \"123456\", ref = \"refs/heads/main\" }\n\
    [[workloads]]\nissuer = \"github\"\nclaims = { sub = \"special\" }\n";

fn grouped(principal: &str, resource: &str) -> String {
    PERMIT
        .replace("principal is GitHub::Workflow in Issuer::\"github\"", principal)
        .replace("resource == Audience::\"https://api.example\"", resource)
}

#[test]
fn group_contains_matching_workloads() {
    let rule = grouped(
        "principal is GitHub::Workflow in WorkloadGroup::\"payments\"",
        "resource in AudienceGroup::\"payments\"",
    );
    let ghes = GITHUB.replace("idp", "ghes");
    let bundle = of(&[
        ("entities/payments.toml", Some(GROUP)),
        ("issuers/ghes.toml", Some(&ghes)),
        ("rules/api.cedar", Some(&rule)),
    ]);
    let effect =
        |principal: &vouchsafe_policy::Principal| bundle.decide(principal, &request(), NOW).expect("decided").effect;
    let mut workload = principal();
    assert_eq!(effect(&workload), Effect::Permit);
    workload.attributes[1] = text("ref", "refs/heads/topic");
    assert_eq!(effect(&workload), Effect::Deny, "every claim of an entry counts");
    workload.id = "special".to_owned();
    assert_eq!(effect(&workload), Effect::Permit, "one entry is enough");
    workload.issuer_name = "ghes".to_owned();
    assert_eq!(effect(&workload), Effect::Deny, "an entry is of one issuer");
    let group = bundle.groups().next().expect("a group");
    assert_eq!((group.name.as_str(), group.workloads.len()), ("payments", 2));
}

#[test]
fn group_excludes_other_audiences() {
    let rule =
        grouped("principal is GitHub::Workflow in Issuer::\"github\"", "resource in AudienceGroup::\"payments\"");
    let other = "id = \"https://other.example\"\nscopes = [\"read\"]\n";
    let bundle = of(&[
        ("entities/payments.toml", Some("audiences = [\"https://other.example\"]\n")),
        ("audiences/other.toml", Some(other)),
        ("rules/api.cedar", Some(&rule)),
    ]);
    assert_eq!(permitted_at(&bundle, "2027-01-01"), [""; 0]);
    let mut request = request();
    request.audience = "https://other.example".to_owned();
    let decision = bundle.decide(&principal(), &request, NOW).expect("decided");
    assert_eq!(decision.determining_rules, ["api"]);
    let recorded: serde_json::Value = serde_json::from_str(&decision.cedar_request).expect("JSON");
    assert_eq!(recorded["entities"][2]["parents"], serde_json::json!([{ "type": "AudienceGroup", "id": "payments" }]));
}

#[test]
fn refuses_groups_with_unknown_members() {
    let group = |text: &str| found(&[("entities/a.toml", Some(text))]);
    let at = |place: &str, what: &str| [format!("entities/a.toml:{place}: {what}")];
    assert_eq!(group("audiences = []\n"), [""; 0]);
    assert_eq!(group(""), at("1:1", "`workloads` is empty"));
    assert_eq!(
        group("audiences = [\"https://b.example\"]\n"),
        at("1:14", "no audience file defines audience `https://b.example`")
    );
    assert_eq!(
        group("[[workloads]]\nissuer = \"gitub\"\nclaims = { ref = \"a\" }\n"),
        at("2:10", "issuer `gitub` has no issuer file")
    );
    assert_eq!(
        group("[[workloads]]\nissuer = \"github\"\nclaims = { reff = \"a\" }\n"),
        at("3:12", "claim `reff` is neither `sub` nor a text claim of GitHub::Workflow")
    );
    assert_eq!(
        group("[[workloads]]\nissuer = \"github\"\nclaims = { run = \"1\" }\n"),
        at("3:12", "claim `run` is neither `sub` nor a text claim of GitHub::Workflow")
    );
    assert_eq!(group("[[workloads]]\nissuer = \"github\"\nclaims = {}\n"), at("3:10", "`claims` is empty"));
    let rule = grouped("principal is GitHub::Workflow in WorkloadGroup::\"a\"", "resource in AudienceGroup::\"b\"");
    assert_eq!(
        found(&[("rules/api.cedar", Some(&rule)), ("entities/a.toml", Some("audiences = []\n")),]),
        [
            "rules/api.cedar:5:15: policy `api` names group `b`, which has no such members in `entities/`",
            "rules/api.cedar:3:36: policy `api` names group `a`, which has no such members in `entities/`",
        ]
    );
}

const TEMPLATE: &str = "@id(\"reader\")\npermit (\n  principal is GitHub::Workflow in ?principal,\n  \
    action == Action::\"issue\",\n  resource == ?resource\n) when { principal.ref == \"refs/heads/main\" && \
    [\"read\"].containsAll(context.scopes) };\n";
const LINK: &str = "[[link]]\nid = \"main-reads\"\ntemplate = \"reader\"\n\
    principal = 'Issuer::\"github\"'\nresource = 'Audience::\"https://api.example\"'\n";

fn templated(link: &str) -> Vec<String> {
    found(&[("rules/api.cedar", Some(TEMPLATE)), ("rules/links.toml", Some(link))])
}

#[test]
fn link_creates_its_own_policy() {
    let bundle = of(&[("rules/api.cedar", Some(TEMPLATE)), ("rules/links.toml", Some(LINK))]);
    let rule = &bundle.policies()[0];
    assert_eq!((rule.id.as_str(), rule.file.as_str()), ("main-reads", "rules/links.toml"));
    assert_eq!(rule.position.map(|at| at.line), Some(2));
    assert_eq!(permitted_at(&bundle, "2027-01-01"), ["main-reads"]);
    let mut topic = principal();
    topic.attributes[1] = text("ref", "refs/heads/topic");
    let decision = bundle.decide(&topic, &request(), NOW).expect("decided");
    assert_eq!(decision.effect, Effect::Deny);
}

#[test]
fn refuses_links_unfit_for_template() {
    let at = |place: &str, what: &str| [format!("rules/links.toml:{place}: {what}")];
    assert_eq!(
        templated(&LINK.replace("\"reader\"", "\"raeder\"")),
        at("3:12", "no policy file defines template `raeder`")
    );
    assert_eq!(
        templated(&LINK.replace("principal = 'Issuer::\"github\"'\n", "")),
        at("2:6", "the template's slot `?principal` has no value: set `principal`")
    );
    assert_eq!(
        templated(&LINK.replace("'Issuer::\"github\"'", "'github'")),
        at("4:13", "`github` is not an entity such as `WorkloadGroup::\"payments\"`")
    );
    assert_eq!(
        templated(&LINK.replace("\"main-reads\"", "\"Main\"")),
        at("2:6", "the `@id` of a policy must be 1 to 128 characters of `a-z`, `0-9` and `-`, not `Main`")
    );
    let whole = TEMPLATE.replace("== ?resource", "== Audience::\"https://api.example\"");
    assert_eq!(
        found(&[("rules/api.cedar", Some(&whole)), ("rules/links.toml", Some(LINK))]),
        at("5:12", "the template has no slot `?resource`")
    );
    // A template-linked policy is checked like a static one.
    assert_eq!(
        templated(&LINK.replace("Issuer::\"github\"", "Issuer::\"gitub\"")),
        at("4:13", "policy `main-reads` names issuer `gitub`, which no issuer file defines")
    );
    assert_eq!(
        templated(&LINK.replace("\"main-reads\"", "\"reader\"")),
        at("2:6", "policy `reader` is already defined in `rules/api.cedar`")
    );
}

#[test]
fn validates_templates_without_links() {
    let misspelt = TEMPLATE.replace("principal.ref", "principal.reff");
    let bad = [("rules/more.cedar", Some(misspelt.as_str()))];
    let diagnostics = load(&bad).expect_err("it does not load").diagnostics;
    assert_eq!(diagnostics.len(), 1, "{diagnostics:?}");
    assert_eq!(diagnostics[0].file, "rules/more.cedar");
    assert!(matches!(diagnostics[0].kind, BundleError::Cedar { .. }));
    let unnamed = TEMPLATE.replace("@id(\"reader\")\n", "");
    assert_eq!(
        found(&[("rules/more.cedar", Some(&unnamed))]),
        ["rules/more.cedar:1:1: the policy has no `@id(\"…\")`"]
    );
}

const PROFILES: &str =
    "[profiles]\nstaging = \"https://broker.staging.example\"\nproduction = \"https://broker.example\"\n";

/// The policies in force for the broker at `issuer`.
fn in_force(rules: &str, issuer: &str) -> Result<Vec<String>, String> {
    let head = format!("{BUNDLE}{PROFILES}");
    let files = files(&[("bundle.toml", Some(&head)), ("rules/api.cedar", Some(rules))]);
    let environment = vouchsafe_policy::Environment { issuer: issuer.to_owned(), ..environment() };
    let bundle = Bundle::load(&files, &environment).map_err(|invalid| invalid.to_string())?;
    Ok(bundle.policies().iter().map(|rule| rule.id.clone()).collect())
}

#[test]
fn profile_limits_policy_to_its_broker() {
    let more = PERMIT.replace("@id(\"api\")", "@id(\"more\")\n@profile(\"staging\")");
    let both = PERMIT.replace("@id(\"api\")", "@id(\"both\")\n@profile(\"staging, production\")");
    let rules = format!("{PERMIT}{more}{both}");
    let of = |issuer| in_force(&rules, issuer);
    let ids = |ids: &[&str]| Ok(ids.iter().map(|id| (*id).to_owned()).collect());
    assert_eq!(of("https://broker.staging.example"), ids(&["api", "more", "both"]));
    assert_eq!(of("https://broker.staging.example/"), ids(&["api", "more", "both"]));
    assert_eq!(of("https://broker.example"), ids(&["api", "both"]));
    assert_eq!(of("https://elsewhere.example"), ids(&["api"]));
    let kept_out =
        PERMIT.replace("@id(\"api\")", "@id(\"out\")\n@profile(\"production\")").replace("permit (", "forbid (");
    let rules_and_forbid = format!("{rules}{kept_out}");
    let of = |issuer| in_force(&rules_and_forbid, issuer);
    assert_eq!(of("https://broker.example"), ids(&["api", "both", "out"]));
    assert_eq!(of("https://broker.staging.example"), ids(&["api", "more", "both"]));
    // A broker without a profile gets every `forbid`.
    assert_eq!(of("https://elsewhere.example"), ids(&["api", "out"]));
    let misspelt = rules.replace("@profile(\"staging\")", "@profile(\"stagnig\")");
    assert_eq!(
        in_force(&misspelt, "https://broker.example"),
        Err("rules/api.cedar:8:1: policy `more` names profile `stagnig`, which `bundle.toml` does not define"
            .to_owned())
    );
}

/// A `forbid` with a typo would keep nobody out, also in a template.
#[test]
fn refuses_links_to_unknown_entities() {
    for template in [TEMPLATE.to_owned(), TEMPLATE.replace("permit", "forbid")] {
        let link = LINK.replace("https://api.example", "https://api.exmaple");
        let diagnostics = found(&[("rules/api.cedar", Some(&template)), ("rules/links.toml", Some(&link))]);
        assert_eq!(
            diagnostics,
            [
                "rules/links.toml:5:12: policy `main-reads` names audience `https://api.exmaple`, which no audience file defines"
            ]
        );
    }
}

/// Workloads are found by their first claim, but all claims count.
#[test]
fn distinguishes_workloads_that_share_a_claim() {
    let entry = |claims: &str| format!("[[workloads]]\nissuer = \"github\"\nclaims = {{ {claims} }}\n");
    let one = entry("ref = \"refs/heads/main\", repository_id = \"1\"");
    let two = entry("ref = \"refs/heads/main\", repository_id = \"123456\"") + &one;
    let all = entry("ref = \"refs/heads/main\"");
    let rule = |group: &str| {
        grouped(&format!("principal in WorkloadGroup::\"{group}\""), "resource == Audience::\"https://api.example\"")
            .replace("@id(\"api\")", &format!("@id(\"of-{group}\")"))
    };
    let rules = rule("one") + &rule("two") + &rule("all");
    let bundle = of(&[
        ("entities/all.toml", Some(&all)),
        ("entities/one.toml", Some(&one)),
        ("entities/two.toml", Some(&two)),
        ("rules/api.cedar", Some(&rules)),
    ]);
    assert_eq!(permitted_at(&bundle, "2027-01-01"), ["of-all", "of-two"]);
}
