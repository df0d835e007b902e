//! The principals that a policy's scope can match, and what is always true of them.

use super::clock::Clock;
use super::expression::{Known, and, or};
use super::value::{Value, Variable};
use cedar_policy::{EntityUid, PrincipalConstraint, ResourceConstraint};
use std::collections::{BTreeMap, BTreeSet};
use vouchsafe_policy::authoring::{AUDIENCE_GROUP, WORKLOAD_GROUP, is_issuer};
use vouchsafe_policy::{Bundle, ClaimType, Issuer, NamedPolicy, Workload};

/// How many audiences a policy without one is tried for.
const AUDIENCES_MAX: usize = 32;

/// The principals of one issuer, or of one workload of a group.
#[derive(Clone)]
pub(super) struct Scene<'b> {
    pub bundle: &'b Bundle,
    pub clock: &'b Clock,
    pub issuer: &'b Issuer,
    pub entity_type: String,
    /// Claims that can only have these values.
    pins: BTreeMap<String, BTreeSet<String>>,
    pub audiences: Vec<String>,
}

impl<'b> Scene<'b> {
    /// One scene for each issuer in the scope of `policy`, or for each workload of its group.
    pub fn of_scope(policy: &NamedPolicy, bundle: &'b Bundle, clock: &'b Clock) -> Vec<Self> {
        let constraint = policy.cedar.principal_constraint();
        let audiences = audiences(policy, bundle);
        let wanted = match &constraint {
            PrincipalConstraint::Is(name) | PrincipalConstraint::IsIn(name, _) => Some(name.to_string()),
            PrincipalConstraint::Eq(uid) => Some(uid.type_name().to_string()),
            PrincipalConstraint::Any | PrincipalConstraint::In(_) => None,
        };
        let of_issuers = |named: Option<&EntityUid>| {
            let is_it = |issuer: &&Issuer| named.is_none_or(|uid| uid.id().unescaped() == issuer.name);
            let issuers = bundle.issuers_of_all_environments().filter(is_it);
            issuers.filter_map(|issuer| Self::of_issuer(issuer, bundle, clock)).collect::<Vec<Self>>()
        };
        let scenes = match &constraint {
            PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) if is_issuer(uid) => of_issuers(Some(uid)),
            PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid)
                if uid.type_name().to_string() == WORKLOAD_GROUP =>
            {
                Self::of_group(uid.id().unescaped(), bundle, clock)
            }
            PrincipalConstraint::Eq(uid) => {
                let with_id = |scene: Self| scene.pinned("sub", [uid.id().unescaped()]);
                of_issuers(None).into_iter().filter_map(with_id).collect()
            }
            _ => of_issuers(None),
        };
        let is_of_type = |scene: &Self| wanted.as_ref().is_none_or(|wanted| *wanted == scene.entity_type);
        let with_audiences = |scene: Self| Self { audiences: audiences.clone(), ..scene };
        scenes.into_iter().filter(is_of_type).map(with_audiences).collect()
    }

    /// The principals of an issuer; none if its file requires something impossible.
    fn of_issuer(issuer: &'b Issuer, bundle: &'b Bundle, clock: &'b Clock) -> Option<Self> {
        let (entity_type, pins) = (issuer.entity_type(), BTreeMap::new());
        let whole = Self { bundle, clock, issuer, entity_type, pins, audiences: Vec::new() };
        let mut required = issuer.require.iter();
        required.try_fold(whole, |scene, claim| scene.pinned(&claim.name, claim.values.iter().map(String::as_str)))
    }

    fn of_group(name: &str, bundle: &'b Bundle, clock: &'b Clock) -> Vec<Self> {
        let group = bundle.groups().find(|group| group.name == name);
        let workloads = group.into_iter().flat_map(|group| &group.workloads);
        workloads.filter_map(|workload| Self::of_workload(workload, bundle, clock)).collect()
    }

    /// The principals that a group's entry lists.
    pub fn of_workload(workload: &Workload, bundle: &'b Bundle, clock: &'b Clock) -> Option<Self> {
        let mut issuers = bundle.issuers_of_all_environments();
        let issuer = issuers.find(|issuer| issuer.name == workload.issuer)?;
        let mut claims = workload.claims.iter();
        let whole = Self::of_issuer(issuer, bundle, clock)?;
        claims.try_fold(whole, |scene, (claim, value)| scene.pinned(claim, [value.as_str()]))
    }

    /// The part whose claim has one of `values`; none if it is empty.
    fn pinned<'v>(mut self, claim: &str, values: impl IntoIterator<Item = &'v str>) -> Option<Self> {
        let values: BTreeSet<String> = values.into_iter().map(str::to_owned).collect();
        let values = match self.pins.get(claim) {
            None => values,
            Some(before) => before & &values,
        };
        if values.is_empty() {
            return None;
        }
        self.pins.insert(claim.to_owned(), values);
        Some(self)
    }

    /// The only values that a claim can have, if there are such.
    pub fn pins(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.pins
    }

    pub fn is_pinned(&self, claim: &str) -> bool {
        self.pins.contains_key(claim)
    }

    /// Type and presence of a claim; none if the schema does not have it.
    pub fn claim_type(&self, claim: &str) -> Option<(ClaimType, bool)> {
        if claim == "sub" {
            return Some((ClaimType::Text, true));
        }
        let attribute = self.bundle.attributes_of(&self.entity_type)?.get(claim)?;
        Some((attribute.claim_type?, attribute.required))
    }

    /// The names of the groups that a principal with these values is in; none if one is uncertain.
    fn is_in_group(&self, name: &str, state: &State<'_>) -> Option<bool> {
        let group = self.bundle.groups().find(|group| group.name == name)?;
        let entries = group.workloads.iter().filter(|entry| entry.issuer == self.issuer.name);
        or(entries.map(|entry| {
            let claims = entry.claims.iter();
            and(claims.map(|(claim, value)| Some(state.get(&Variable::claim(claim))? == &Value::text(value))))
        }))
    }

    /// The names of the groups that a principal with these values is in.
    pub fn groups_of(&self, state: &State<'_>) -> Vec<&'b str> {
        let groups = self.bundle.groups().map(|group| group.name.as_str());
        groups.filter(|name| self.is_in_group(name, state) == Some(true)).collect()
    }
}

/// The audiences that the scope of `policy` can match, as many as are tried.
fn audiences(policy: &NamedPolicy, bundle: &Bundle) -> Vec<String> {
    let id = |uid: &EntityUid| uid.id().unescaped().to_owned();
    match policy.cedar.resource_constraint() {
        ResourceConstraint::Eq(uid) => vec![id(&uid)],
        ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
            let group =
                bundle.groups().find(|group| uid.type_name().to_string() == AUDIENCE_GROUP && group.name == id(&uid));
            group.map_or_else(|| vec![id(&uid)], |group| group.audiences.iter().take(AUDIENCES_MAX).cloned().collect())
        }
        ResourceConstraint::Any | ResourceConstraint::Is(_) => {
            bundle.audiences().take(AUDIENCES_MAX).map(|audience| audience.id.clone()).collect()
        }
    }
}

/// A request of which some values are known.
#[derive(Clone)]
pub(super) struct State<'s> {
    pub scene: &'s Scene<'s>,
    values: BTreeMap<Variable, Value>,
}

impl<'s> State<'s> {
    pub fn of(scene: &'s Scene<'s>) -> Self {
        Self { scene, values: BTreeMap::new() }
    }

    pub fn get(&self, variable: &Variable) -> Option<&Value> {
        self.values.get(variable)
    }

    pub fn set(&mut self, variable: Variable, value: Value) {
        self.values.insert(variable, value);
    }

    pub fn unset(&mut self, variable: &Variable) {
        self.values.remove(variable);
    }

    /// The known values.
    pub fn into_values(self) -> BTreeMap<Variable, Value> {
        self.values
    }

    pub fn context(&self, name: &str) -> Option<&Value> {
        self.values.get(&Variable::context(name))
    }

    pub fn audience(&self) -> Option<&str> {
        self.values.get(&Variable::Resource)?.as_text()
    }

    /// The same request with another value.
    pub fn with(&self, variable: &Variable, value: Value) -> Self {
        let mut other = self.clone();
        other.set(variable.clone(), value);
        other
    }

    /// Whether the policy's scope matches.
    pub fn is_in_scope(&self, policy: &NamedPolicy) -> Option<bool> {
        let is = |name: &str| Some(name == self.scene.entity_type);
        let is_in = |uid: &EntityUid| self.is_principal_in(&uid.type_name().to_string(), uid.id().unescaped());
        let principal = match policy.cedar.principal_constraint() {
            PrincipalConstraint::Any => Some(true),
            PrincipalConstraint::Is(name) => is(&name.to_string()),
            PrincipalConstraint::In(uid) | PrincipalConstraint::Eq(uid) => is_in(&uid),
            PrincipalConstraint::IsIn(name, uid) => and([is(&name.to_string()), is_in(&uid)].into_iter()),
        };
        let resource = match policy.cedar.resource_constraint() {
            ResourceConstraint::Any | ResourceConstraint::Is(_) => Some(true),
            ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
                self.is_resource_in(&uid.type_name().to_string(), uid.id().unescaped())
            }
        };
        and([principal, resource].into_iter())
    }
}

impl Known for State<'_> {
    fn value(&self, variable: &Variable) -> Option<Value> {
        match variable {
            Variable::Context(name) if name.starts_with("local.") => {
                let Value::Time(now) = self.context("now")? else {
                    return None;
                };
                self.scene.clock.local(*now, name)
            }
            _ => self.values.get(variable).cloned(),
        }
    }

    fn has(&self, variable: &Variable) -> Option<bool> {
        match (variable, self.values.get(variable)) {
            (_, Some(value)) => Some(*value != Value::Absent),
            (Variable::Claim(name), None) => match self.scene.claim_type(name) {
                None => Some(false),
                Some((_, required)) => required.then_some(true),
            },
            (Variable::Context(_) | Variable::Resource, None) => None,
        }
    }

    fn is_principal_type(&self, kind: &str) -> bool {
        self.scene.entity_type == kind
    }

    fn is_principal_in(&self, kind: &str, id: &str) -> Option<bool> {
        match kind {
            "Issuer" => Some(id == self.scene.issuer.name),
            WORKLOAD_GROUP => self.scene.is_in_group(id, self),
            _ if kind == self.scene.entity_type => Some(self.get(&Variable::claim("sub"))?.as_text()? == id),
            _ => Some(false),
        }
    }

    fn is_resource_in(&self, kind: &str, id: &str) -> Option<bool> {
        let audience = self.audience()?;
        match kind {
            AUDIENCE_GROUP => {
                let group = self.scene.bundle.groups().find(|group| group.name == id)?;
                Some(group.audiences.iter().any(|listed| listed == audience))
            }
            _ => Some(audience == id),
        }
    }
}
