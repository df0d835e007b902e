//! What `vouchsafe policy check` says beyond what keeps a bundle from loading.

use crate::bundle::Bundle;
use crate::calendar::{parse_unix_seconds, to_rfc3339};
use crate::cases::{self, Case};
use crate::decide::Effect;
use crate::error::{Finding, Problem};
use crate::files::BundleFiles;
use crate::records::{Environment, Issuer};
use crate::rules::{Rule, is_issuer};
use cedar_policy::{
    EntityUid, PolicySet, PrincipalConstraint, ResourceConstraint, ValidationMode, Validator,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use vouchsafe_providers::PROVIDERS;

/// How many days ahead the end of pinned keys is told.
pub const PINNED_KEYS_NOTICE_DAYS: u64 = 14;
const DAY_SECONDS: u64 = 86_400;

/// Something that loads, but is hardly meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Caution {
    #[error("{0}")]
    Cedar(String),
    #[error(
        "rule `{rule}` trusts `{name}`, a name that somebody else may take over: compare `{id}` too"
    )]
    NameWithoutId {
        rule: String,
        name: &'static str,
        id: &'static str,
    },
    #[error(
        "rule `{rule}` does not say whose workload it means, and issuer `{issuer}` serves everybody: \
         compare one of `{claims}`"
    )]
    AnyTenant {
        rule: String,
        issuer: String,
        claims: String,
    },
    #[error(
        "rule `{rule}` trusts `{claim}`, which whoever asked for the token chose: compare what the \
         platform says"
    )]
    ChosenByCaller { rule: String, claim: &'static str },
    #[error(
        "rule `{0}` trusts `ref` and not `event_name`: a `pull_request_target` run has the base \
         branch's `ref`, whatever code it builds. Compare `event_name`, or forbid the event"
    )]
    EventUnchecked(String),
    #[error(
        "rule `{rule}` takes `{claim}` at any ref: a workflow file of any branch would match. Write \
         the pattern to its end, such as `…/deploy.yml@refs/heads/main`"
    )]
    WorkflowAtAnyRef { rule: String, claim: String },
    #[error(
        "rule `{rule}` trusts `{claim}`, who started the first attempt: others may run it again, and \
         their token says the same. Compare `run_attempt == \"1\"` too"
    )]
    AttemptUnchecked { rule: String, claim: &'static str },
    #[error("the pinned keys expired on {0}: every token of this issuer is refused")]
    PinnedKeysExpired(String),
    #[error("the pinned keys expire on {date}, in {days} days: fetch and pin new ones")]
    PinnedKeysExpireSoon { date: String, days: u64 },
    #[error("the case is for rule `{0}`, which is not in the bundle")]
    RuleOfCaseUnknown(String),
    #[error("rule `{0}` determines no test case: add one in `tests/{0}/`")]
    RuleWithoutTest(String),
    #[error(
        "rule `{0}` has `context.scopes.containsAll(…)`, which grants any further scope too: \
         write `[…].containsAll(context.scopes)`"
    )]
    ScopesReversed(String),
    #[error(
        "rule `{0}` does not bound the scopes: add `[…].containsAll(context.scopes)` to its `when`"
    )]
    ScopesUnbounded(String),
}

/// What was found. A bundle with errors does not load.
#[derive(Debug, Default)]
pub struct Report {
    pub errors: Vec<Finding>,
    pub warnings: Vec<Finding<Caution>>,
    pub bundle: Option<Bundle>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.errors {
            writeln!(f, "error: {error}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

/// Loads the bundle and looks at what is hardly meant.
pub fn check(files: &BundleFiles, environment: &Environment) -> Report {
    let bundle = match Bundle::load(files, environment) {
        Ok(bundle) => bundle,
        Err(invalid) => {
            return Report {
                errors: invalid.findings,
                ..Report::default()
            };
        }
    };
    let (cases, errors) = match cases::read(files, &bundle) {
        Ok(cases) => {
            let unmet = unmet(files, environment, &cases);
            (cases, unmet)
        }
        Err(findings) => (Vec::new(), findings),
    };
    let mut warnings: Vec<Finding<Caution>> = validator_warnings(&bundle);
    for rule in bundle.rules() {
        warnings.extend(
            cautions(rule, &bundle)
                .into_iter()
                .map(|caution| of_rule(rule, caution)),
        );
    }
    if errors.is_empty() {
        warnings.extend(untested(&bundle, &cases));
    }
    warnings.sort_by(|one, next| (&one.file, one.position).cmp(&(&next.file, next.position)));
    Report {
        errors,
        warnings,
        bundle: Some(bundle),
    }
}

/// Pinned keys that have expired at `now`, or will within [`PINNED_KEYS_NOTICE_DAYS`]. What does not
/// read as an issuer file is passed over: [`check`] says what is wrong with it.
pub fn expiring_keys(files: &BundleFiles, now: u64) -> Vec<Finding<Caution>> {
    let expiry = |content: &[u8]| {
        let table: toml::Table = toml::from_str(std::str::from_utf8(content).ok()?).ok()?;
        parse_unix_seconds(table.get("keys")?.get("expires")?.as_str()?)
    };
    let caution = |expires: u64| {
        let date = to_rfc3339(expires)?;
        let left = expires.saturating_sub(now);
        match left {
            0 => Some(Caution::PinnedKeysExpired(date)),
            left if left <= PINNED_KEYS_NOTICE_DAYS * DAY_SECONDS => {
                let days = left / DAY_SECONDS;
                Some(Caution::PinnedKeysExpireSoon { date, days })
            }
            _ => None,
        }
    };
    files
        .iter()
        .filter(|(path, _)| path.starts_with("issuers/") && path.ends_with(".toml"))
        .filter_map(|(path, content)| Some(Finding::of_file(path, caution(expiry(content)?)?)))
        .collect()
}

/// Cases that come out otherwise than they say. Cases of development issuers count too, so they are
/// decided as in development.
fn unmet(files: &BundleFiles, environment: &Environment, cases: &[Case]) -> Vec<Finding> {
    let development = Environment {
        development: true,
        ..environment.clone()
    };
    let bundle = match Bundle::load(files, &development) {
        Ok(bundle) => bundle,
        Err(invalid) => return invalid.findings,
    };
    let problem = |case: &Case| match case.decide(&bundle) {
        Ok(decision) if case.is_met_by(&decision) => None,
        Ok(decision) => Some(Problem::CaseUnmet {
            expected: outcome(case.effect, &case.rules, &case.erring),
            found: outcome(
                decision.effect,
                &decision.determining_rules,
                &decision.erring_rules,
            ),
        }),
        Err(error) => Some(Problem::CaseUndecidable(error)),
    };
    let finding = |case: &Case| problem(case).map(|problem| Finding::of_file(&case.path, problem));
    cases.iter().filter_map(finding).collect()
}

/// A decision in words, such as "deny by `no-forks`".
fn outcome(effect: Effect, rules: &[String], erring: &[String]) -> String {
    let mut words = match effect {
        Effect::Deny => "deny".to_owned(),
        Effect::Permit => "permit".to_owned(),
    };
    match rules {
        [] => words.push_str(" by no rule"),
        rules => words.push_str(&format!(" by `{}`", rules.join("`, `"))),
    }
    if !erring.is_empty() {
        words.push_str(&format!(" while `{}` errs", erring.join("`, `")));
    }
    words
}

fn of_rule(rule: &Rule, problem: Caution) -> Finding<Caution> {
    Finding {
        file: rule.file.clone(),
        position: rule.position,
        problem,
    }
}

/// What Cedar's validator warns of, such as a rule that can never match.
fn validator_warnings(bundle: &Bundle) -> Vec<Finding<Caution>> {
    let policies = bundle.rules().iter().map(|rule| rule.policy.clone());
    let Ok(set) = PolicySet::from_policies(policies) else {
        return Vec::new();
    };
    let result = Validator::new(bundle.schema().clone()).validate(&set, ValidationMode::Strict);
    let rule_of = |id: &str| bundle.rules().iter().find(|rule| rule.id == id);
    result
        .validation_warnings()
        .filter_map(|warning| {
            let rule = rule_of(warning.policy_id().as_ref())?;
            Some(of_rule(rule, Caution::Cedar(warning.to_string())))
        })
        .collect()
}

fn cautions(rule: &Rule, bundle: &Bundle) -> Vec<Caution> {
    let mut cautions = Vec::new();
    let Ok(est) = rule.policy.to_json() else {
        return cautions;
    };
    let conditions = Conditions::of(&est);
    if rule.is_forbid() {
        return cautions;
    }
    let read = conditions.attributes_of_principal();
    cautions.extend(any_tenant(rule, bundle, &read));
    cautions.extend(names_without_ids(rule, &read));
    cautions.extend(chosen_by_caller(rule, &read));
    if read.contains("ref") && !read.contains("event_name") && is_github(rule, bundle) {
        let forbidden = bundle.rules().iter().any(forbids_events);
        cautions.extend((!forbidden).then(|| Caution::EventUnchecked(rule.id.clone())));
    }
    if is_github(rule, bundle) && !read.contains("run_attempt") {
        let started = ["actor", "actor_id"]
            .into_iter()
            .filter(|claim| read.contains(claim));
        cautions.extend(started.map(|claim| Caution::AttemptUnchecked {
            rule: rule.id.clone(),
            claim,
        }));
    }
    for body in &conditions.when {
        cautions.extend(workflows_at_any_ref(rule, body));
    }
    if conditions.have_reversed_bound() {
        cautions.push(Caution::ScopesReversed(rule.id.clone()));
    } else if takes_scopes(rule, bundle) && !conditions.bound_scopes() {
        cautions.push(Caution::ScopesUnbounded(rule.id.clone()));
    }
    cautions
}

/// The issuer that a rule's scope names, by itself or by the only issuer of its principals' type.
fn issuer_of<'b>(rule: &Rule, bundle: &'b Bundle) -> Option<&'b Issuer> {
    let named = |uid: &EntityUid, issuer: &Issuer| match is_issuer(uid) {
        true => uid.id().unescaped() == issuer.name,
        false => uid.type_name().to_string() == issuer.entity_type(),
    };
    match rule.policy.principal_constraint() {
        PrincipalConstraint::Eq(uid)
        | PrincipalConstraint::In(uid)
        | PrincipalConstraint::IsIn(_, uid) => bundle
            .issuers_of_all_environments()
            .find(|issuer| named(&uid, issuer)),
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
    }
}

fn is_github(rule: &Rule, bundle: &Bundle) -> bool {
    issuer_of(rule, bundle).is_some_and(|issuer| issuer.provider.name == "github")
}

/// A `permit` for an issuer of many tenants that reads nothing which tells them apart.
fn any_tenant(rule: &Rule, bundle: &Bundle, read: &BTreeSet<&str>) -> Option<Caution> {
    let issuer = issuer_of(rule, bundle)?;
    let telling = issuer.provider.names_with_ids;
    let claims: BTreeSet<&str> = telling
        .iter()
        .flat_map(|(name, ids)| std::iter::once(*name).chain(ids.iter().copied()))
        .collect();
    let open = issuer.provider.open_issuers;
    let narrowed = !open.contains(&issuer.issuer.as_str())
        || !issuer.require.is_empty()
        || claims.iter().any(|claim| read.contains(claim));
    (!narrowed).then(|| Caution::AnyTenant {
        rule: rule.id.clone(),
        issuer: issuer.name.clone(),
        claims: claims.into_iter().collect::<Vec<_>>().join("`, `"),
    })
}

/// Names that a `permit` reads from its principal while it reads none of their ids. What is read is
/// looked at, not how: this is a warning.
fn names_without_ids(rule: &Rule, read: &BTreeSet<&str>) -> Vec<Caution> {
    let names: BTreeMap<_, _> = PROVIDERS
        .iter()
        .flat_map(|provider| provider.names_with_ids.iter().copied())
        .collect();
    let without = names
        .into_iter()
        .filter(|(name, ids)| read.contains(name) && !ids.iter().any(|id| read.contains(id)));
    without
        .filter_map(|(name, ids)| {
            Some(Caution::NameWithoutId {
                rule: rule.id.clone(),
                name,
                id: ids.first()?,
            })
        })
        .collect()
}

fn chosen_by_caller(rule: &Rule, read: &BTreeSet<&str>) -> Vec<Caution> {
    let chosen = PROVIDERS
        .iter()
        .flat_map(|provider| provider.chosen_by_caller);
    chosen
        .filter(|claim| read.contains(*claim))
        .map(|claim| Caution::ChosenByCaller {
            rule: rule.id.clone(),
            claim,
        })
        .collect()
}

/// Whether `rule` keeps workflow runs out by their event.
fn forbids_events(rule: &Rule) -> bool {
    let est = rule.policy.to_json().unwrap_or_default();
    rule.is_forbid()
        && Conditions::of(&est)
            .attributes_of_principal()
            .contains("event_name")
}

/// Patterns for a workflow's file that leave its ref open.
fn workflows_at_any_ref(rule: &Rule, expression: &Value) -> Vec<Caution> {
    let claim = expression
        .pointer("/like/left/./attr")
        .and_then(Value::as_str)
        .filter(|name| matches!(*name, "job_workflow_ref" | "workflow_ref"));
    let pattern = expression
        .pointer("/like/pattern")
        .and_then(Value::as_array);
    let mut found = Vec::new();
    if let (Some(claim), Some(pattern)) = (claim, pattern)
        && leaves_ref_open(pattern)
    {
        found.push(Caution::WorkflowAtAnyRef {
            rule: rule.id.clone(),
            claim: claim.to_owned(),
        });
    }
    let inner: Vec<&Value> = match expression {
        Value::Array(values) => values.iter().collect(),
        Value::Object(members) => members.values().collect(),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    found.extend(
        inner
            .into_iter()
            .flat_map(|value| workflows_at_any_ref(rule, value)),
    );
    found
}

/// Whether a pattern of Cedar's JSON format ends in `*` before it says which branch or tag.
fn leaves_ref_open(pattern: &[Value]) -> bool {
    // No claim holds this character.
    const WILDCARD: &str = "\0";
    let text: String = pattern
        .iter()
        .map(|part| {
            part.get("Literal")
                .and_then(Value::as_str)
                .unwrap_or(WILDCARD)
        })
        .collect();
    let Some(open) = text.strip_suffix(WILDCARD) else {
        return false;
    };
    match open.rsplit_once('@') {
        None => true,
        Some((_, reference)) => ["refs/", "refs/heads/", "refs/tags/"]
            .iter()
            .any(|start| start.starts_with(reference)),
    }
}

/// Adds the name of every `principal.name` in `expression`; `principal has name` reads nothing.
fn attributes_of_principal<'a>(expression: &'a Value, read: &mut BTreeSet<&'a str>) {
    match expression {
        Value::Array(values) => {
            for value in values {
                attributes_of_principal(value, read);
            }
        }
        Value::Object(members) => {
            if let Some(access) = members.get(".")
                && access.pointer("/left/Var").and_then(Value::as_str) == Some("principal")
            {
                read.extend(access.get("attr").and_then(Value::as_str));
            }
            for value in members.values() {
                attributes_of_principal(value, read);
            }
        }
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether a request that `rule` permits can have scopes at all: the broker refuses those that an
/// audience does not offer.
fn takes_scopes(rule: &Rule, bundle: &Bundle) -> bool {
    match rule.policy.resource_constraint() {
        ResourceConstraint::Eq(uid) => bundle
            .audience(uid.id().unescaped())
            .is_none_or(|audience| !audience.scopes.is_empty()),
        ResourceConstraint::Any
        | ResourceConstraint::In(_)
        | ResourceConstraint::Is(_)
        | ResourceConstraint::IsIn(_, _) => true,
    }
}

fn untested(bundle: &Bundle, cases: &[Case]) -> Vec<Finding<Caution>> {
    let determining: BTreeSet<&str> = cases
        .iter()
        .flat_map(|case| &case.rules)
        .map(String::as_str)
        .collect();
    let without = bundle
        .rules()
        .iter()
        .filter(|rule| !determining.contains(rule.id.as_str()))
        .map(|rule| of_rule(rule, Caution::RuleWithoutTest(rule.id.clone())));
    let unknown = cases
        .iter()
        .filter(|case| bundle.rules().iter().all(|rule| rule.id != case.rule))
        .map(|case| Finding::of_file(&case.path, Caution::RuleOfCaseUnknown(case.rule.clone())));
    without.chain(unknown).collect()
}

/// The conditions of a rule in Cedar's JSON policy format.
struct Conditions<'a> {
    when: Vec<&'a Value>,
    unless: Vec<&'a Value>,
}

impl<'a> Conditions<'a> {
    fn of(est: &'a Value) -> Self {
        let (mut when, mut unless) = (Vec::new(), Vec::new());
        for condition in est
            .get("conditions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let kind = condition.get("kind").and_then(Value::as_str);
            let into = if kind == Some("unless") {
                &mut unless
            } else {
                &mut when
            };
            into.extend(condition.get("body"));
        }
        Self { when, unless }
    }

    /// The names of every `principal.name`.
    fn attributes_of_principal(&self) -> BTreeSet<&'a str> {
        let mut read = BTreeSet::new();
        for body in self.when.iter().chain(&self.unless) {
            attributes_of_principal(body, &mut read);
        }
        read
    }

    fn bound_scopes(&self) -> bool {
        self.when.iter().any(|body| bounds(body, true))
            || self.unless.iter().any(|body| bounds(body, false))
    }

    fn have_reversed_bound(&self) -> bool {
        self.when
            .iter()
            .chain(&self.unless)
            .any(|body| has_reversed_bound(body))
    }
}

/// Whether `expression` having the value `wanted` bounds the scopes from above on every way to it.
fn bounds(expression: &Value, wanted: bool) -> bool {
    let Some((operator, operands)) = sole_member(expression) else {
        return false;
    };
    let operand = |name: &str| operands.get(name).unwrap_or(&Value::Null);
    let side = |name: &str| bounds(operand(name), wanted);
    match (operator, wanted) {
        ("&&", true) | ("||", false) => side("left") || side("right"),
        ("||", true) | ("&&", false) => side("left") && side("right"),
        ("!", _) => bounds(operand("arg"), !wanted),
        ("if-then-else", _) => {
            (bounds(operand("if"), true) || side("then"))
                && (bounds(operand("if"), false) || side("else"))
        }
        ("containsAll", true) => is_scopes(operand("right")) && !is_scopes(operand("left")),
        ("==", true) => is_scopes(operand("left")) != is_scopes(operand("right")),
        ("isEmpty", true) => is_scopes(operand("arg")),
        _ => false,
    }
}

/// Whether `context.scopes.containsAll(…)` occurs anywhere.
fn has_reversed_bound(expression: &Value) -> bool {
    let here = expression
        .get("containsAll")
        .and_then(|operands| operands.get("left"))
        .is_some_and(is_scopes);
    here || match expression {
        Value::Array(values) => values.iter().any(has_reversed_bound),
        Value::Object(members) => members.values().any(has_reversed_bound),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => false,
    }
}

/// Whether `expression` is `context.scopes`.
fn is_scopes(expression: &Value) -> bool {
    let attribute = expression.get(".");
    attribute
        .and_then(|access| access.get("attr"))
        .and_then(Value::as_str)
        == Some("scopes")
        && attribute
            .and_then(|access| access.pointer("/left/Var"))
            .and_then(Value::as_str)
            == Some("context")
}

pub(crate) fn sole_member(value: &Value) -> Option<(&str, &Value)> {
    let members = value.as_object()?;
    let (name, value) = members.iter().next()?;
    (members.len() == 1).then_some((name.as_str(), value))
}
