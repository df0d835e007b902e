//! Decisions about actors: who may act for whom, and what a bundle has to say for it.

use crate::support::*;
use vouchsafe_policy::{Bundle, DecideError, Decider, Decision, Effect, Principal, TokenRequest};

const API_WITH_ACTORS: &str = "id = \"https://api.example\"\nscopes = [\"read\", \"write\"]\nallow_act = true\n";
const AGENTS: &str = "issuer = \"https://agents.example\"\nprovider = \"oidc\"\n\
    [claims]\nteam = { type = \"text\", required = false }\n";
/// Lets the agent `reviewer` read for workflows of one repository.
const ACT: &str = r#"@id("reviewer-acts")
permit (
  principal is Oidc::Agents in Issuer::"agents",
  action == Action::"act_for",
  resource is GitHub::Workflow in Issuer::"github"
) when {
  principal has team && principal.team == "review" && resource.repository_id == "123456" &&
  context.audience == Audience::"https://api.example" && ["read"].containsAll(context.scopes)
};
"#;

fn changes(rules: &str) -> [(&str, Option<&str>); 3] {
    [
        ("audiences/api.toml", Some(API_WITH_ACTORS)),
        ("issuers/agents.toml", Some(AGENTS)),
        ("rules/act.cedar", Some(rules)),
    ]
}

fn with_actors(rules: &str) -> Bundle {
    load(&changes(rules)).unwrap_or_else(|invalid| panic!("{invalid}"))
}

fn found(rules: &str) -> Vec<String> {
    let invalid = load(&changes(rules)).expect_err("it does not load");
    invalid.diagnostics.iter().map(ToString::to_string).collect()
}

fn agent(team: &str) -> Principal {
    Principal {
        entity_type: "Oidc::Agents".to_owned(),
        id: "reviewer".to_owned(),
        issuer_name: "agents".to_owned(),
        attributes: vec![text("team", team)],
    }
}

fn decide(bundle: &Bundle, actor: &Principal, subject: &Principal, request: &TokenRequest) -> Decision {
    bundle.decide_actor(actor, subject, request, NOW).unwrap_or_else(|error| panic!("{error}"))
}

/// The effect and the determining policies of the standard request by `reviewer`, under the permit of the subject and `rules`.
fn outcome(rules: &str) -> (Effect, Vec<String>) {
    let decision = decide(&with_actors(rules), &agent("review"), &principal(), &request());
    (decision.effect, decision.determining_rules)
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[test]
fn denies_actors_by_default() {
    assert_eq!(outcome(""), (Effect::Deny, vec![]));
    // Policies that were written before there were actors admit none, however wide they are.
    let wide = "@id(\"wide\") permit (principal in Issuer::\"agents\", action, resource);
        @id(\"wider\") permit (principal in Issuer::\"github\", action, resource);
        @id(\"widest\") permit (principal in Issuer::\"agents\", action in [Action::\"issue\", Action::\"act_for\"], resource);";
    assert_eq!(outcome(wide), (Effect::Deny, vec![]));
}

#[test]
fn names_permits_of_subject_and_actor() {
    assert_eq!(outcome(ACT), (Effect::Permit, ids(&["api", "reviewer-acts"])));
    let bundle = with_actors(ACT);
    assert_eq!(decide(&bundle, &agent("other"), &principal(), &request()).effect, Effect::Deny);
    let mut elsewhere = principal();
    elsewhere.attributes = vec![text("repository_id", "7"), text("ref", "refs/heads/main")];
    assert_eq!(decide(&bundle, &agent("review"), &elsewhere, &request()).effect, Effect::Deny);
}

#[test]
fn actor_gets_no_more_than_its_subject() {
    // The actor may write, but the subject may only read.
    let bundle = with_actors(&ACT.replace("[\"read\"]", "[\"read\", \"write\"]"));
    let write = TokenRequest { scopes: ids(&["write"]), ..request() };
    let decision = decide(&bundle, &agent("review"), &principal(), &write);
    assert_eq!((decision.effect, decision.determining_rules), (Effect::Deny, vec![]));
    assert_eq!(decide(&bundle, &agent("review"), &principal(), &request()).effect, Effect::Permit);
}

#[test]
fn roles_of_actor_and_subject_do_not_swap() {
    let bundle = with_actors(&format!(
        "{ACT} @id(\"agents-read\") permit (principal is Oidc::Agents in Issuer::\"agents\", \
         action == Action::\"issue\", resource == Audience::\"https://api.example\");"
    ));
    assert_eq!(decide(&bundle, &principal(), &agent("review"), &request()).effect, Effect::Deny);
    assert_eq!(decide(&bundle, &agent("review"), &principal(), &request()).effect, Effect::Permit);
}

#[test]
fn permit_to_act_permits_no_token_by_itself() {
    let bundle = with_actors(ACT);
    let decision = bundle.decide(&agent("review"), &request(), NOW).expect("it is decided");
    assert_eq!(decision.effect, Effect::Deny);
}

#[test]
fn forbids_of_any_action_deny_actors() {
    for (forbid, expected) in [
        ("forbid (principal in Issuer::\"agents\", action, resource);", ids(&["never"])),
        ("forbid (principal, action == Action::\"act_for\", resource);", ids(&["never"])),
        ("forbid (principal, action in [Action::\"act_for\"], resource in Issuer::\"github\");", ids(&["never"])),
        ("forbid (principal, action, resource) when { !context.proof_of_possession };", ids(&["never"])),
    ] {
        assert_eq!(outcome(&format!("{ACT} @id(\"never\") {forbid}")), (Effect::Deny, expected), "{forbid}");
    }
    let other = "@id(\"never\") forbid (principal in Issuer::\"agents\", action == Action::\"issue\", resource);";
    assert_eq!(outcome(&format!("{ACT} {other}")).0, Effect::Permit);
}

#[test]
fn records_actor_subject_and_audience() {
    let decision = decide(&with_actors(ACT), &agent("review"), &principal(), &request());
    let recorded: serde_json::Value = serde_json::from_str(&decision.cedar_request).expect("JSON");
    assert_eq!(recorded["principal"], serde_json::json!({ "type": "Oidc::Agents", "id": "reviewer" }));
    assert_eq!(recorded["action"]["id"], "act_for");
    assert_eq!(recorded["resource"]["type"], "GitHub::Workflow");
    let audience = serde_json::json!({ "__entity": { "type": "Audience", "id": "https://api.example" } });
    assert_eq!(recorded["context"]["audience"], audience);
    let uids = recorded["entities"].as_array().expect("entities").iter();
    let types: Vec<_> = uids.map(|entity| entity["uid"]["type"].as_str().expect("a type")).collect();
    assert_eq!(types, ["Oidc::Agents", "Issuer", "GitHub::Workflow", "Issuer", "Audience"]);
}

#[test]
fn actor_and_subject_may_share_an_issuer() {
    let rule = "@id(\"deploys-act\") permit (principal is GitHub::Workflow in Issuer::\"github\", \
        action == Action::\"act_for\", resource is GitHub::Workflow in Issuer::\"github\") \
        when { principal.ref == \"refs/heads/deploy\" && resource.ref == \"refs/heads/main\" };";
    let mut actor = principal();
    "repo:octo-org/deploy:ref:refs/heads/deploy".clone_into(&mut actor.id);
    actor.attributes = vec![text("repository_id", "7"), text("ref", "refs/heads/deploy")];
    let decision = decide(&with_actors(rule), &actor, &principal(), &request());
    assert_eq!((decision.effect, decision.determining_rules), (Effect::Permit, ids(&["api", "deploys-act"])));
}

#[test]
fn permit_names_issuers_of_both() {
    let without = |scope: &str| format!("@id(\"a\") permit ({scope}) when {{ true }};");
    assert_eq!(
        found(&without("principal is Oidc::Agents, action == Action::\"act_for\", resource in Issuer::\"github\"")),
        [
            "rules/act.cedar:1:18: policy `a` does not name an issuer: write `principal is TYPE in Issuer::\"NAME\"` in its scope"
        ]
    );
    for resource in ["resource", "resource is GitHub::Workflow"] {
        assert_eq!(
            found(&without(&format!("principal in Issuer::\"agents\", action == Action::\"act_for\", {resource}"))),
            [
                "rules/act.cedar:1:18: policy `a` does not name the issuer of the subject: write `resource is TYPE in Issuer::\"NAME\"` in its scope"
            ]
        );
    }
    let scope = "principal in Issuer::\"agents\", action == Action::\"act_for\", resource in Issuer::\"gitlab\"";
    assert_eq!(found(&without(scope)).len(), 1, "the issuer is unknown");
}

#[test]
fn action_exists_only_if_an_audience_allows_actors() {
    let changes = [("issuers/agents.toml", Some(AGENTS)), ("rules/act.cedar", Some(ACT))];
    assert!(load(&changes).is_err());
    let bundle = load(&[("issuers/agents.toml", Some(AGENTS))]).expect("it loads");
    let denied = bundle.decide_actor(&agent("review"), &principal(), &request(), NOW);
    assert_eq!(denied.map(|decision| decision.effect), Ok(Effect::Deny));
}

#[test]
fn refuses_schemas_that_declare_the_action() {
    let schema = format!("{SCHEMA}action act_for appliesTo {{ principal: [GitHub::Workflow], resource: [Audience] }};");
    let changes = [("audiences/api.toml", Some(API_WITH_ACTORS)), ("schema.cedarschema", Some(schema.as_str()))];
    let invalid = load(&changes).expect_err("it does not load");
    let found: Vec<String> = invalid.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["schema.cedarschema: action `act_for` is made from the audience files"]);
}

#[test]
fn decider_agrees_with_and_without_a_seal() {
    let files = files(&changes(ACT));
    let first = Decider::load(&files, &environment(), None).expect("it loads");
    let second = Decider::load(&files, &environment(), first.seals()).expect("it loads");
    for decider in [first, second] {
        for (actor, expected) in [(agent("review"), Effect::Permit), (agent("other"), Effect::Deny)] {
            let decision = decider.decide_actor(&actor, &principal(), &request(), NOW).expect("it is decided");
            assert_eq!(decision.effect, expected);
        }
        let plain = decider.decide(&principal(), &request(), NOW).expect("it is decided");
        assert_eq!((plain.effect, plain.determining_rules), (Effect::Permit, ids(&["api"])));
    }
}

#[test]
fn actor_of_an_unknown_issuer_is_an_error() {
    let actor = Principal { issuer_name: "gone".to_owned(), ..agent("review") };
    let decided = with_actors(ACT).decide_actor(&actor, &principal(), &request(), NOW);
    assert_eq!(decided.map(|decision| decision.effect), Err(DecideError::IssuerUnknown));
}
