//! Who can get a token, and what a workload can get: over all requests.

use crate::assumptions::Assumption;
use crate::counterexample::{Counterexample, request_of};
use crate::granted::permitted_by;
use crate::literals::{attribute, has, text, texts};
use crate::minimize::{minimize, usual};
use crate::prove::{ProveError, brokers, compiled_schema};
use crate::scene::{Scene, Translator, unsupported};
pub use crate::solver::Known;
use crate::solver::{Answer, NoAnswer, Prover, SolverOptions};
use crate::workers;
use cedar_policy::{Effect, Policy, PolicyId, PolicySet, PrincipalConstraint};
use cedar_policy_symcc::{CompiledPolicySet, CompiledSchema};
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use vouchsafe_policy::authoring::is_issuer;
use vouchsafe_policy::{Attribute, AttributeValue, Bundle, BundleFiles, Environment, NamedPolicy, Principal};
use vouchsafe_policy_tools::RecordedRequest;
use vouchsafe_policy_tools::explain::conditions_of;

/// The principals of one issuer that can get a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub profile: Option<String>,
    pub entity_type: String,
    pub issuer: String,
    /// One of these must match.
    pub permits: Vec<Alternative>,
    /// None of these may match.
    pub forbids: Vec<Alternative>,
    /// A request that is permitted.
    pub example: Counterexample,
}

/// A policy with the conditions that are not true anyway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    pub policy: String,
    pub conditions: Vec<String>,
}

/// Which principals can get a token for `audience`, with `scope` if one is given. Leaves out issuers of whose principals
/// none can.
///
/// # Errors
/// The bundle does not load, or there is no solver.
pub fn who_can(
    files: &BundleFiles,
    environment: &Environment,
    solver: &SolverOptions,
    workers: NonZeroUsize,
    (audience, scope): (&str, Option<&str>),
) -> Result<Vec<Known<Access>>, ProveError> {
    let brokers = brokers(files, environment)?;
    let schemas = brokers.iter().map(|(_, bundle)| compiled_schema(bundle)).collect::<Result<Vec<_>, _>>()?;
    let questions: Vec<_> = brokers
        .iter()
        .zip(&schemas)
        .flat_map(|((profile, bundle), schema)| {
            let scenes = Scene::of(bundle).into_iter().filter(|scene| scene.audience.id == audience);
            scenes.map(move |scene| (profile, schema, scene))
        })
        .collect();
    let (answers, _) = workers::answer(solver, workers, questions, |prover, (profile, schema, scene)| {
        Asked { files, scene: &scene, scope, prover }.access(schema, profile.clone())
    })?;
    Ok(answers.into_iter().filter_map(Result::transpose).collect())
}

/// A question about the principals of one scene.
struct Asked<'q, 'b> {
    files: &'q BundleFiles,
    scene: &'q Scene<'b>,
    scope: Option<&'q str>,
    prover: &'q mut Prover,
}

impl<'b> Asked<'_, 'b> {
    /// None if no principal gets a token.
    fn access(&mut self, schema: &'b CompiledSchema, profile: Option<String>) -> Known<Option<Access>> {
        let asked = self.scope.map(|scope| Assumption {
            reason: format!("the request is for scope `{scope}` alone"),
            cedar: Some(format!("context.scopes == {}", texts([scope]))),
        });
        let translator = self.scene.translator(schema, &PolicySet::new(), asked.into_iter().collect())?;
        let mut kept: Vec<&Policy> = self.scene.policies.policies().collect();
        kept.sort_by_key(|policy| policy.id().to_string());
        let all = translator.permitted_by(kept.iter().copied())?;
        let env = match self.prover.denies_all(&all) {
            Answer::Holds => return Ok(None),
            Answer::Refuted(env) => env,
            Answer::Unknown(why) => return Err(why),
        };
        let example = self.example(&env)?;
        self.drop_idle(&translator, &mut kept, &all)?;
        let (mut permits, mut forbids) = (Vec::new(), Vec::new());
        for policy in kept {
            let named = self.scene.bundle.policies().iter().find(|named| named.id == policy.id().to_string());
            let named = named.ok_or_else(|| unsupported("a policy without a name"))?;
            let conditions = self.needed(&translator, named)?;
            let list = if policy.effect() == Effect::Permit { &mut permits } else { &mut forbids };
            list.push(Alternative { policy: named.id.clone(), conditions });
        }
        let (entity_type, issuer) = (self.scene.entity_type().to_owned(), self.scene.issuer.name.clone());
        Ok(Some(Access { profile, entity_type, issuer, permits, forbids, example }))
    }

    fn example(&self, env: &cedar_policy_symcc::Env) -> Known<Counterexample> {
        let bundle = self.scene.bundle;
        let has_scope = |request: &RecordedRequest| {
            self.scope.is_none_or(|scope| request.request.scopes.iter().any(|asked| asked == scope))
        };
        let gets = |request: &RecordedRequest| has_scope(request) && permitted_by(bundle, request).is_some();
        let unconfirmed = || NoAnswer::Unconfirmed(env.to_string());
        let found = request_of(env, self.scene, gets).ok_or_else(unconfirmed)?;
        let reads = self.scene.claims_read(&found, None);
        let usual = usual(self.files, bundle, &self.scene.issuer.name);
        let mut small = minimize(bundle, found, usual.as_ref(), &reads, gets);
        small.permitted_by = permitted_by(bundle, &small.request).unwrap_or_default();
        Ok(small)
    }

    /// Drops policies without which the same requests are permitted.
    fn drop_idle(
        &mut self,
        translator: &Translator<'_>,
        kept: &mut Vec<&Policy>,
        all: &CompiledPolicySet,
    ) -> Known<()> {
        let ids: Vec<PolicyId> = kept.iter().map(|policy| policy.id().clone()).collect();
        for id in ids {
            let without = translator.permitted_by(kept.iter().copied().filter(|policy| *policy.id() != id))?;
            if self.prover.equal(&without, all)? {
                kept.retain(|policy| *policy.id() != id);
            }
        }
        Ok(())
    }

    /// The conditions of a policy that decide something about the requests in question.
    fn needed(&mut self, translator: &Translator<'_>, policy: &NamedPolicy) -> Known<Vec<String>> {
        let mut conditions = scope_conditions(&policy.cedar);
        conditions.extend(conditions_of(policy));
        let whole = translator.permitted_by([permit(&conditions)?].iter())?;
        let mut at = 0;
        while at < conditions.len() {
            let mut fewer = conditions.clone();
            fewer.remove(at);
            // A condition that only makes another one valid, such as `principal has …`, stays.
            let equal = match translator.permitted_by([permit(&fewer)?].iter()) {
                Ok(set) => self.prover.equal(&set, &whole)?,
                Err(NoAnswer::Unsupported(_)) => false,
                Err(why) => return Err(why),
            };
            match equal {
                true => conditions = fewer,
                false => at = at.saturating_add(1),
            }
        }
        Ok(conditions)
    }
}

/// What the scope of a policy demands of principals beyond their issuer and type.
fn scope_conditions(policy: &Policy) -> Vec<String> {
    match policy.principal_constraint() {
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) if !is_issuer(&uid) => {
            vec![format!("principal in {uid}")]
        }
        PrincipalConstraint::Eq(uid) => vec![format!("principal == {uid}")],
        _ => Vec::new(),
    }
}

fn permit(conditions: &[String]) -> Known<Policy> {
    let when: String = conditions.iter().map(|condition| format!(" when {{ {condition} }}")).collect();
    let text = format!("permit (principal, action, resource){when};");
    Policy::parse(Some(PolicyId::new("alternative")), text).map_err(unsupported)
}

/// A token that a workload can get, in some circumstances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Possible {
    pub profile: Option<String>,
    pub audience: String,
    /// None for a token without scopes.
    pub scope: Option<String>,
    pub outcome: Known<Counterexample>,
}

/// Every audience and scope that `principal` could get, whatever the other circumstances are.
///
/// # Errors
/// The bundle does not load, or there is no solver.
pub fn can(
    files: &BundleFiles,
    environment: &Environment,
    solver: &SolverOptions,
    workers: NonZeroUsize,
    principal: &Principal,
) -> Result<Vec<Possible>, ProveError> {
    let brokers = brokers(files, environment)?;
    let schemas = brokers.iter().map(|(_, bundle)| compiled_schema(bundle)).collect::<Result<Vec<_>, _>>()?;
    let mut questions = Vec::new();
    for ((profile, bundle), schema) in brokers.iter().zip(&schemas) {
        for scene in Scene::of(bundle).into_iter().filter(|scene| scene.issuer.name == principal.issuer_name) {
            questions.push((profile, schema, scene));
        }
    }
    let (answers, _) = workers::answer(solver, workers, questions, |prover, (profile, schema, scene)| {
        let scopes = scene.audience.scopes.iter().map(|scope| Some(scope.as_str()));
        let each = |scope| possible(prover, (&scene, schema), scope, principal, profile.clone());
        [None].into_iter().chain(scopes).filter_map(each).collect::<Vec<_>>()
    })?;
    Ok(answers.into_iter().flatten().collect())
}

fn possible(
    prover: &mut Prover,
    (scene, schema): (&Scene<'_>, &CompiledSchema),
    scope: Option<&str>,
    principal: &Principal,
    profile: Option<String>,
) -> Option<Possible> {
    let outcome = reachable(prover, (scene, schema), scope, principal).transpose()?;
    Some(Possible { profile, audience: scene.audience.id.clone(), scope: scope.map(str::to_owned), outcome })
}

/// A permitted request of the principal with the scope; none if there is none.
fn reachable(
    prover: &mut Prover,
    (scene, schema): (&Scene<'_>, &CompiledSchema),
    scope: Option<&str>,
    principal: &Principal,
) -> Known<Option<Counterexample>> {
    let mut facts = identity(scene.bundle, principal);
    facts.push(Assumption {
        reason: "the scope that is asked about".to_owned(),
        cedar: Some(match scope {
            Some(scope) => format!("context.scopes.contains({})", text(scope)),
            None => "context.scopes.isEmpty()".to_owned(),
        }),
    });
    let translator = scene.translator(schema, &PolicySet::new(), facts)?;
    let permitted = translator.permitted_by(scene.policies.policies())?;
    let env = match prover.denies_all(&permitted) {
        Answer::Holds => return Ok(None),
        Answer::Refuted(env) => env,
        Answer::Unknown(why) => return Err(why),
    };
    let gets = |request: &RecordedRequest| {
        let scopes = &request.request.scopes;
        let has_scope = scope.map_or(scopes.is_empty(), |scope| scopes.iter().any(|asked| asked == scope));
        has_scope && request.principal == *principal && permitted_by(scene.bundle, request).is_some()
    };
    let own = |request: &RecordedRequest| RecordedRequest { principal: principal.clone(), ..request.clone() };
    let found = request_of(&env, scene, |request| gets(&own(request)));
    let found = found.ok_or_else(|| NoAnswer::Unconfirmed(env.to_string()))?;
    let mut small = minimize(scene.bundle, own(&found), None, &BTreeSet::new(), gets);
    small.claims.clear();
    small.permitted_by = permitted_by(scene.bundle, &small.request).unwrap_or_default();
    Ok(Some(small))
}

/// The principal's id and claims, and the claims that it does not have.
fn identity(bundle: &Bundle, principal: &Principal) -> Vec<Assumption> {
    let fact = |cedar| Assumption { reason: "the workload that is asked about".to_owned(), cedar: Some(cedar) };
    let mut facts = vec![fact(format!("principal == {}::{}", principal.entity_type, text(&principal.id)))];
    let value = |Attribute { name, value }: &Attribute| match value {
        AttributeValue::TextSet(values) if values.is_empty() => format!("{}.isEmpty()", attribute(name)),
        value => format!("{} == {}", attribute(name), crate::literals::shown(value)),
    };
    let declared = bundle.attributes_of(&principal.entity_type);
    for (name, declared) in declared.into_iter().flatten() {
        let own = principal.attributes.iter().find(|attribute| attribute.name == *name);
        facts.push(fact(match (own, declared.required) {
            (Some(own), true) => value(own),
            (Some(own), false) => format!("{} && {}", has(name), value(own)),
            (None, _) => format!("!({})", has(name)),
        }));
    }
    facts
}
