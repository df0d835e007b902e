//! Requests that the author of a policy can't have intended to permit.

use crate::assumptions::Assumption;
use crate::literals::{any, attribute, has, shown, text};
use crate::scene::Scene;
use cedar_policy::Policy;
use std::collections::BTreeSet;
use vouchsafe_policy::{AttributeValue, BundleFiles};
use vouchsafe_policy_tools::RecordedRequest;
use vouchsafe_policy_tools::lint::{Proposal, proposals, writing_scopes};

/// A kind of such requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unintended {
    /// Without scopes, by a policy that lists scopes, all of which let their holder change something.
    NoScopes,
    /// By a workload none of whose immutable ids occurs in the bundle, of an issuer that serves everybody.
    Stranger,
    /// By a run of code that nobody has reviewed, such as that of a fork.
    UnreviewedCode,
}

/// The requests of one kind.
pub(crate) struct Adversary {
    pub kind: Unintended,
    /// What is known about them, beyond what the broker guarantees.
    pub facts: Vec<Assumption>,
    /// Whether a request is one of them.
    pub makes: Box<dyn Fn(&RecordedRequest) -> bool>,
}

/// The adversaries that a permit is proven against.
pub(crate) fn adversaries(files: &BundleFiles, scene: &Scene<'_>, permit: &Policy) -> Vec<Adversary> {
    // Tokens of development issuers are made by hand.
    if scene.issuer.development {
        return Vec::new();
    }
    let adversaries = [stranger(files, scene), unreviewed_code(scene), without_scopes(scene, permit)];
    adversaries.into_iter().flatten().collect()
}

fn stranger(files: &BundleFiles, scene: &Scene<'_>) -> Option<Adversary> {
    let issuer = scene.issuer;
    if !issuer.provider.open_issuers.contains(&issuer.issuer.as_str()) {
        return None;
    }
    let known = literals(files);
    let declared = scene.bundle.attributes_of(scene.entity_type());
    let fact = |claim: &&str| {
        let declared = declared?.get(*claim)?;
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let is_known = format!("[{}].contains({})", known.join(", "), attribute(claim));
        let cedar = match declared.required {
            true => format!("!({is_known})"),
            false => format!("!({} && {is_known})", has(claim)),
        };
        Some(Assumption { reason: format!("`{claim}` occurs nowhere in the bundle"), cedar: Some(cedar) })
    };
    let claims = issuer.provider.tenant_claims;
    let facts: Vec<Assumption> = claims.iter().filter_map(fact).collect();
    let makes = move |request: &RecordedRequest| {
        let ids = request.principal.attributes.iter().filter(|it| claims.contains(&it.name.as_str()));
        let ids: Vec<String> = ids.map(|it| shown(&it.value)).collect();
        !ids.is_empty() && !ids.iter().any(|id| known.contains(id))
    };
    (!facts.is_empty()).then(|| Adversary { kind: Unintended::Stranger, facts, makes: Box::new(makes) })
}

/// Every text in policies, groups and issuer files, as Cedar writes it.
fn literals(files: &BundleFiles) -> BTreeSet<String> {
    let defines = |path: &str| ["rules/", "entities/", "issuers/"].iter().any(|folder| path.starts_with(folder));
    let texts = files.iter().filter(|(path, _)| defines(path));
    let texts = texts.filter_map(|(_, content)| std::str::from_utf8(content).ok());
    let parts = texts.flat_map(|text| text.split(['"', '\''])).filter(|part| !part.contains('\n'));
    parts.map(text).collect()
}

fn unreviewed_code(scene: &Scene<'_>) -> Option<Adversary> {
    let provider = scene.issuer.provider.name;
    let runs: Vec<String> = proposals(provider).map(|run| condition(scene, run)).collect();
    if runs.is_empty() {
        return None;
    }
    let fact = Assumption { reason: "the run can build unreviewed code".to_owned(), cedar: Some(any(runs)) };
    let makes = move |request: &RecordedRequest| proposals(provider).any(|run| is_run(run, request));
    Some(Adversary { kind: Unintended::UnreviewedCode, facts: vec![fact], makes: Box::new(makes) })
}

/// A proposal's claims in Cedar.
fn condition(scene: &Scene<'_>, run: &Proposal) -> String {
    let declared = scene.bundle.attributes_of(scene.entity_type());
    let claim = |(name, value): &(&str, &str)| {
        let declared = declared?.get(*name)?;
        let equal = format!("{} == {}", attribute(name), text(value));
        Some(match declared.required {
            true => equal,
            false => format!("(if {} then {equal} else true)", has(name)),
        })
    };
    let mut conditions: Vec<String> = run.claims.iter().filter_map(claim).collect();
    if run.on_branch && declared.is_some_and(|declared| declared.get("ref").is_some_and(|it| it.required)) {
        conditions.extend(["pull", "tags"].map(|kind| format!("!(principal.ref like \"refs/{kind}/*\")")));
    }
    format!("({})", conditions.join(" && "))
}

fn is_run(run: &Proposal, request: &RecordedRequest) -> bool {
    let value = |name: &str| {
        let claim = request.principal.attributes.iter().find(|claim| claim.name == name);
        claim.map(|claim| &claim.value)
    };
    let is_other = |kind: &str| matches!(value("ref"), Some(AttributeValue::Text(text)) if text.starts_with(kind));
    // An optional claim may be absent; the first one is always there.
    let has_claims = run.claims.iter().all(|(name, expected)| match value(name) {
        Some(AttributeValue::Text(text)) => text == expected,
        Some(_) => false,
        None => *name != run.trigger().0,
    });
    has_claims && !(run.on_branch && ["refs/pull/", "refs/tags/"].into_iter().any(is_other))
}

fn without_scopes(scene: &Scene<'_>, permit: &Policy) -> Option<Adversary> {
    let policy = scene.bundle.policies().iter().find(|policy| policy.id == permit.id().to_string())?;
    let audience = scene.audience;
    if audience.scopes.is_empty() || audience.scopes_required || writing_scopes(policy).is_empty() {
        return None;
    }
    let cedar = Some("context.scopes.isEmpty()".to_owned());
    let fact = Assumption { reason: "the request asks for no scopes".to_owned(), cedar };
    let makes = |request: &RecordedRequest| request.request.scopes.is_empty();
    Some(Adversary { kind: Unintended::NoScopes, facts: vec![fact], makes: Box::new(makes) })
}
