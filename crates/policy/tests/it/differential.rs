//! Generated bundles and requests, decided here with the policies that can match and by Cedar's authorizer with all
//! policies. The only difference must be the documented one: a `forbid` that errs denies.

use crate::support::*;
use cedar_policy::{Authorizer, Context, Decision as CedarDecision, Entities, EntityUid, PolicySet, Request, Schema};
use serde_json::Value;
use std::collections::BTreeSet;
use vouchsafe_policy::{Attribute, AttributeValue, Bundle, Decider, Decision, Effect, Principal, TokenRequest};

const BUNDLES: u64 = 25;
const REQUESTS_PER_BUNDLE: u64 = 20;

/// A fixed generator, so that a seed always means the same (SplitMix64, Steele et al.).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

const ISSUERS: [&str; 2] = ["github", "ghes"];
const AUDIENCES: [&str; 3] = ["https://a.example", "https://b.example", "https://c.example"];
const OF_PRINCIPAL: [&str; 6] = [
    "principal.repository_id == \"1\"",
    "principal.repository_id == \"2\"",
    "principal.ref == \"refs/heads/main\"",
    "principal.ref like \"refs/heads/*\"",
    "principal has run && principal.run > 3",
    "principal has teams && principal.teams.contains(\"ops\")",
];
const OF_CONTEXT: [&str; 7] = [
    "[\"read\"].containsAll(context.scopes)",
    "[\"read\", \"write\"].containsAll(context.scopes)",
    "context.scopes.isEmpty()",
    "context.requested_lifetime_seconds <= 300",
    "context has client_ip && context.client_ip.isInRange(ip(\"10.0.0.0/8\"))",
    "context.now < datetime(\"2027-01-01T00:00:01Z\")",
    // Errs if the lifetime is over 0.
    "9223372036854775807 + context.requested_lifetime_seconds > 0",
];

fn rule(random: &mut Random, id: usize, forbid: bool) -> String {
    let typed = [
        "principal is GitHub::Workflow in Issuer::\"github\"",
        "principal is GitHub::Workflow in Issuer::\"ghes\"",
        "principal in Issuer::\"ghes\"",
    ];
    let wide = ["principal", "principal is GitHub::Workflow", "principal == GitHub::Workflow::\"w1\""];
    let principal = match forbid && random.below(2) == 0 {
        true => random.pick(&wide),
        false => random.pick(&typed),
    };
    let resource = match random.below(4) {
        0 => "resource".to_owned(),
        at => format!("resource == Audience::\"{}\"", AUDIENCES[at - 1]),
    };
    let mut conditions = String::new();
    for _ in 0..random.below(4) {
        let atom = match principal == "principal" || random.below(2) == 0 {
            true => random.pick(&OF_CONTEXT),
            false => random.pick(&OF_PRINCIPAL),
        };
        let kind = random.pick(&["when", "when", "when", "unless"]);
        conditions.push_str(&format!(" {kind} {{ {atom} }}"));
    }
    let effect = if forbid { "forbid" } else { "permit" };
    format!("@id(\"r{id}\") {effect} ({principal}, action == Action::\"issue\", {resource}){conditions};\n")
}

/// Policies `r0` and up; a fifth of them forbid.
fn rules(random: &mut Random) -> Vec<String> {
    let count = 5 + random.below(36);
    (0..count)
        .map(|id| {
            let forbid = random.below(5) == 0;
            rule(random, id, forbid)
        })
        .collect()
}

fn bundle(rules: &[String]) -> Bundle {
    in_files(rules, |changes| load(changes).unwrap_or_else(|invalid| panic!("{invalid}")))
}

/// Loads the bundle with `rules`.
fn in_files<T>(rules: &[String], load: impl Fn(&[(&str, Option<&str>)]) -> T) -> T {
    let ghes = GITHUB.replace("idp", "ghes");
    let audiences = AUDIENCES.map(|id| format!("id = \"{id}\"\nscopes = [\"read\", \"write\"]\n"));
    let changes = [
        ("issuers/ghes.toml", Some(ghes.as_str())),
        ("audiences/api.toml", None),
        ("audiences/a.toml", Some(audiences[0].as_str())),
        ("audiences/b.toml", Some(audiences[1].as_str())),
        ("audiences/c.toml", Some(audiences[2].as_str())),
        ("rules/api.cedar", Some(&rules.concat())),
    ];
    load(&changes)
}

fn request_of(random: &mut Random) -> (Principal, TokenRequest) {
    let mut attributes = vec![
        text("ref", random.pick(&["refs/heads/main", "refs/heads/topic", "refs/tags/v1"])),
        text("repository_id", random.pick(&["1", "2", "3"])),
    ];
    if random.below(2) == 0 {
        let value = AttributeValue::Integer(random.below(8) as i64);
        attributes.push(Attribute { name: "run".to_owned(), value });
    }
    if random.below(2) == 0 {
        let team = random.pick(&["ops", "dev"]).to_owned();
        attributes.push(Attribute { name: "teams".to_owned(), value: AttributeValue::TextSet(vec![team]) });
    }
    let principal = Principal {
        entity_type: "GitHub::Workflow".to_owned(),
        id: random.pick(&["w1", "w2"]).to_owned(),
        issuer_name: random.pick(&ISSUERS).to_owned(),
        attributes,
    };
    let scopes = [&[][..], &["read"], &["read", "write"], &["admin"]][random.below(4)];
    let request = TokenRequest {
        audience: random.pick(&AUDIENCES).to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        requested_lifetime_seconds: [0, 300, 301][random.below(3)],
        client_ip: [None, Some("10.1.2.3"), Some("192.0.2.1")][random.below(3)].map(str::to_owned),
        proof_of_possession: false,
    };
    (principal, request)
}

/// Cedar's decision about the recorded request with every policy of the bundle.
fn directly(bundle: &Bundle, recorded: &str, schema: &Schema) -> (CedarDecision, BTreeSet<String>, BTreeSet<String>) {
    let recorded: Value = serde_json::from_str(recorded).expect("it is JSON");
    let uid = |name: &str| EntityUid::from_json(recorded[name].clone()).expect("a uid");
    let action = uid("action");
    let context = Context::from_json_value(recorded["context"].clone(), Some((schema, &action)));
    let entities = Entities::from_json_value(recorded["entities"].clone(), Some(schema));
    let all = PolicySet::from_policies(bundle.policies().iter().map(|rule| rule.cedar.clone()));
    let request = Request::new(uid("principal"), action, uid("resource"), context.expect("a context"), Some(schema));
    let response = Authorizer::new().is_authorized(
        &request.expect("a request"),
        &all.expect("unique ids"),
        &entities.expect("entities"),
    );
    let reasons = response.diagnostics().reason().map(ToString::to_string);
    let errors = response.diagnostics().errors().map(|error| match error {
        cedar_policy::AuthorizationError::PolicyEvaluationError(error) => error.policy_id().to_string(),
    });
    (response.decision(), reasons.collect(), errors.collect())
}

fn expected(
    bundle: &Bundle,
    cedar: (CedarDecision, BTreeSet<String>, BTreeSet<String>),
) -> (Effect, Vec<String>, Vec<String>) {
    let (decision, reasons, errors) = cedar;
    let is_forbid = |id: &&String| bundle.policies().iter().any(|rule| &&rule.id == id && rule.is_forbid());
    let erring: BTreeSet<String> = errors.iter().filter(is_forbid).cloned().collect();
    let (effect, determining) = match decision {
        CedarDecision::Allow if erring.is_empty() => (Effect::Permit, reasons),
        CedarDecision::Allow => (Effect::Deny, erring),
        CedarDecision::Deny => (Effect::Deny, &reasons | &erring),
    };
    (effect, determining.into_iter().collect(), errors.into_iter().collect())
}

fn found(decision: &Decision) -> (Effect, Vec<String>, Vec<String>) {
    let Decision { effect, determining_rules, erring_rules, .. } = decision;
    (*effect, determining_rules.clone(), erring_rules.clone())
}

#[test]
fn agrees_with_cedar_on_random_requests() {
    let (mut permitted, mut denied, mut erred) = (0, 0, 0);
    for seed in 0..BUNDLES {
        let mut random = Random(seed);
        let rules = rules(&mut random);
        let bundle = bundle(&rules);
        let files = files(&[]);
        let schema = bundle.schema_document(&files).expect("a schema");
        let schema = Schema::from_json_value(schema).expect("a schema");
        for _ in 0..REQUESTS_PER_BUNDLE {
            let (principal, request) = request_of(&mut random);
            let decision = bundle.decide(&principal, &request, NOW).expect("it is decided");
            let cedar = directly(&bundle, &decision.cedar_request, &schema);
            let expected = expected(&bundle, cedar);
            assert_eq!(found(&decision), expected, "seed {seed}: {principal:?} {request:?}\n{}", rules.concat());
            match decision.effect {
                Effect::Deny => denied += 1,
                Effect::Permit => permitted += 1,
            }
            erred += usize::from(!decision.erring_rules.is_empty());
        }
    }
    // The generated input covers all comparisons.
    assert_eq!(permitted + denied, 500);
    assert!(permitted > 50 && denied > 50 && erred > 50, "{permitted} {denied} {erred}");
}

#[test]
fn effects_are_monotonic() {
    let (mut gained, mut lost) = (0, 0);
    for seed in 1000..1000 + BUNDLES {
        let mut random = Random(seed);
        let rules = rules(&mut random);
        let before = bundle(&rules);
        let with = |random: &mut Random, forbid| {
            let mut more = rules.clone();
            more.push(rule(random, 100, forbid));
            bundle(&more)
        };
        let (permit, forbid) = (with(&mut random, false), with(&mut random, true));
        for _ in 0..REQUESTS_PER_BUNDLE {
            let (principal, request) = request_of(&mut random);
            let effect = |bundle: &Bundle| bundle.decide(&principal, &request, NOW).expect("decided").effect;
            match effect(&before) {
                Effect::Permit => {
                    assert_eq!(effect(&permit), Effect::Permit, "seed {seed}");
                    lost += usize::from(effect(&forbid) == Effect::Deny);
                }
                Effect::Deny => {
                    assert_eq!(effect(&forbid), Effect::Deny, "seed {seed}");
                    gained += usize::from(effect(&permit) == Effect::Permit);
                }
            }
        }
    }
    assert!(gained > 0 && lost > 0, "{gained} {lost}");
}

#[test]
fn erring_policy_never_permits() {
    for seed in 2000..2000 + BUNDLES {
        let mut random = Random(seed);
        let bundle = bundle(&rules(&mut random));
        for _ in 0..REQUESTS_PER_BUNDLE {
            let (principal, request) = request_of(&mut random);
            let decision = bundle.decide(&principal, &request, NOW).expect("decided");
            let errs = |id: &String| decision.erring_rules.contains(id);
            if decision.effect == Effect::Permit {
                assert!(!decision.determining_rules.iter().any(errs), "seed {seed}: {decision:?}");
            }
        }
    }
}

#[test]
fn decider_agrees_with_bundle() {
    let (mut permitted, mut denied, mut spared) = (0, 0, 0);
    for seed in 3000..3000 + BUNDLES {
        let mut random = Random(seed);
        let rules = rules(&mut random);
        let bundle = bundle(&rules);
        let decider = |seals: Option<&str>| {
            in_files(&rules, |changes| Decider::load(&files(changes), &environment(), seals).expect("it loads"))
        };
        let first = decider(None);
        let sealed = decider(first.seals());
        assert_eq!(sealed.policy_count().parsed, 0, "seed {seed}");
        for _ in 0..REQUESTS_PER_BUNDLE {
            let (principal, request) = request_of(&mut random);
            let of_tools = bundle.decide(&principal, &request, NOW);
            for decider in [&first, &sealed] {
                assert_eq!(decider.decide(&principal, &request, NOW), of_tools, "seed {seed}");
            }
            match of_tools.expect("it is decided").effect {
                Effect::Permit => permitted += 1,
                Effect::Deny => denied += 1,
            }
        }
        let policy_count = sealed.policy_count();
        spared += policy_count.total - policy_count.parsed;
    }
    assert!(permitted > 50 && denied > 50 && spared > 0, "{permitted} {denied} {spared}");
}
