//! Looks for a request that a policy permits, among those that a stranger can make.
//!
//! Tries the values of one variable after the other, and leaves out what certainly denies. Cedar decides about each
//! request that is left.

use super::domain;
use super::facts::Rule;
use super::judge::{Forbids, is_permitted};
use super::scene::{Scene, State};
use super::strangers::stranger_of;
use super::value::{Value, Variable};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use vouchsafe_policy::ClaimType;

/// How many values a search tries at most. An ordinary policy needs some dozens.
const STEPS_MAX: usize = 2_000;

/// How many parts of conditions all searches about a policy and one kind of principal evaluate at most.
const PARTS_MAX: usize = 4_000_000;

/// As many parts of conditions take as long as making up a value.
const PARTS_OF_VALUE: usize = 20;

/// As many parts of conditions take as long as a question to Cedar.
const PARTS_OF_CEDAR: usize = 500;

/// 2038-01-01T00:00:00Z, ten years after the moments that are tried. A limit beyond keeps nobody out.
const DISTANT: u64 = 2_145_916_800;

/// How many claims a warning shows beside those that describe a stranger.
const SHOWN_MAX: usize = 3;

/// Variables that only have these values, because somebody else makes the request.
#[derive(Debug, Clone, Default)]
pub(super) struct Adversary(BTreeMap<Variable, Vec<Value>>);

impl Adversary {
    pub fn with(mut self, variable: Variable, values: Vec<Value>) -> Self {
        self.0.insert(variable, values);
        self
    }
}

/// One policy, the principals of one scene, and the `forbid`s.
pub(super) struct Search<'s> {
    pub scene: &'s Scene<'s>,
    pub rule: &'s Rule<'s>,
    pub forbids: &'s Forbids<'s>,
    /// How many parts of conditions may still be evaluated.
    left: Cell<usize>,
}

/// Why a search ended early.
enum Stop {
    /// The visitor has what it wants.
    Found,
    /// Too many values.
    Bound,
}

/// There are too many combinations of values to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooComplex;

type Domains = Vec<(Variable, Vec<Value>)>;

impl<'s> Search<'s> {
    pub fn of(scene: &'s Scene<'s>, rule: &'s Rule<'s>, forbids: &'s Forbids<'s>) -> Self {
        Self { scene, rule, forbids, left: Cell::new(PARTS_MAX) }
    }

    fn spend(&self, parts: usize) {
        self.left.set(self.left.get().saturating_sub(parts));
    }

    fn is_spent(&self) -> bool {
        self.left.get() == 0
    }

    /// A request of the adversary that is permitted.
    pub fn permitted(&self, adversary: &Adversary) -> Result<Option<State<'s>>, TooComplex> {
        let mut found = None;
        self.each(adversary, None, &mut |state| {
            found = Some(state.clone());
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// A permitted request of the adversary in which `variable` decides: another value of it is denied.
    pub fn decided_by(&self, variable: &Variable, adversary: &Adversary) -> Result<Option<State<'s>>, TooComplex> {
        let is_pinned = match variable {
            Variable::Claim(name) => self.scene.is_pinned(name),
            _ => false,
        };
        if !self.rule.reads(variable) && !is_pinned {
            return Ok(None);
        }
        // A policy that asks for an optional claim need not trust its value.
        let is_claim = matches!(variable, Variable::Claim(_));
        let mut values = self.values(variable);
        values.retain(|value| match value {
            Value::Absent => !is_claim,
            Value::Time(moment) => *moment <= DISTANT,
            _ => true,
        });
        let mut found = None;
        let mut seen = BTreeSet::new();
        // The scope reads a claim that is pinned, and is no part of the conditions.
        self.each(adversary, (!is_pinned).then_some(variable), &mut |state| {
            let mut others = state.clone();
            others.unset(variable);
            // The values of one variable are compared once.
            if seen.insert(others.into_values())
                && values.iter().any(|value| !self.is_spent() && !self.permits_with(state, variable, value))
            {
                found = Some(state.clone());
            }
            match found.is_some() || self.is_spent() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        match found {
            None if self.is_spent() => Err(TooComplex),
            found => Ok(found),
        }
    }

    /// Whether every permitted request is permitted with any other value of `variable` too.
    pub fn ignores(&self, variable: &Variable) -> Result<bool, TooComplex> {
        let anyone = Adversary::default();
        Ok(self.decided_by(variable, &anyone)?.is_none() && self.permitted(&anyone)?.is_some())
    }

    /// The maker of a permitted request, as warnings show it.
    pub fn described(&self, state: &State<'_>) -> String {
        let stranger = stranger_of(self.scene.issuer.provider.name);
        let value = |claim: &str| state.get(&Variable::claim(claim)).and_then(Value::as_text);
        let mut text = stranger.described.to_owned();
        let mut told = BTreeSet::new();
        for (claim, fresh) in stranger.claims {
            let place = format!("{{{claim}}}");
            if text.contains(&place) {
                text = text.replace(&place, value(claim).unwrap_or(fresh));
                told.insert(*claim);
            }
        }
        let others = self.rule.facts.reads.iter().filter_map(|variable| match variable {
            Variable::Claim(name) if !told.contains(name.as_str()) => Some((name, value(name)?)),
            _ => None,
        });
        let others: Vec<String> = others.take(SHOWN_MAX).map(|(name, value)| format!("`{name}` `{value}`")).collect();
        match others.is_empty() {
            true => text,
            false => format!("{text}, with {}", others.join(" and ")),
        }
    }

    fn permits(&self, state: &State<'_>) -> bool {
        self.spend(PARTS_OF_CEDAR.saturating_add(self.rule.size));
        is_permitted(self.rule, self.forbids, state)
    }

    /// Whether a permitted request is also permitted with another value. Asks Cedar only if that is uncertain.
    fn permits_with(&self, state: &State<'_>, variable: &Variable, value: &Value) -> bool {
        self.spend(self.rule.size);
        let other = state.with(variable, value.clone());
        let is_of_rule = !self.forbids.facts.reads.contains(variable) && matches!(variable, Variable::Context(_));
        match self.rule.holds(&other) {
            Some(true) if is_of_rule => true,
            Some(false) => false,
            Some(true) | None => self.permits(&other),
        }
    }

    /// The values of a variable to try.
    pub fn values(&self, variable: &Variable) -> Vec<Value> {
        let values = domain::values(self.scene, variable, &self.rule.facts, &self.forbids.facts);
        self.spend(values.len().saturating_mul(PARTS_OF_VALUE));
        values
    }

    /// Restricts claims to values of somebody else; none if the scene says that they have others.
    pub fn foreign<'c>(&self, claims: impl IntoIterator<Item = &'c str>) -> Option<Adversary> {
        let mut adversary = Adversary::default();
        for claim in claims {
            if self.scene.is_pinned(claim) {
                return None;
            }
            if self.scene.claim_type(claim).is_some() {
                let mut values = domain::foreign(self.scene, claim, &self.rule.facts, &self.forbids.facts);
                values.extend(self.can_lack(claim).then_some(Value::Absent));
                adversary = adversary.with(Variable::claim(claim), values);
            }
        }
        Some(adversary)
    }

    /// Whether a token without the claim is worth trying.
    fn can_lack(&self, claim: &str) -> bool {
        let variable = Variable::claim(claim);
        let is_read = self.rule.reads(&variable) || self.forbids.facts.reads.contains(&variable);
        is_read && self.scene.claim_type(claim).is_some_and(|(_, required)| !required)
    }

    /// Restricts `adversary` to one value of a claim, or to tokens without it if it is optional; none if the scene says
    /// that it has another. Leaves out a claim that the schema lacks.
    pub fn fixed(&self, adversary: Adversary, claim: &str, text: &str) -> Option<Adversary> {
        self.one_of(adversary, claim, &[text])
    }

    /// Like [`Self::fixed`], with several values.
    pub fn one_of(&self, adversary: Adversary, claim: &str, texts: &[&str]) -> Option<Adversary> {
        if let Some(pinned) = self.scene.pins().get(claim)
            && !texts.iter().any(|text| pinned.contains(*text))
        {
            return None;
        }
        let Some((claim_type, _)) = self.scene.claim_type(claim) else {
            return Some(adversary);
        };
        let texts = texts.iter().filter(|_| claim_type == ClaimType::Text);
        let mut values: Vec<Value> = texts.map(|text| Value::text(text)).collect();
        values.extend(self.can_lack(claim).then_some(Value::Absent));
        match values.is_empty() {
            true => Some(adversary),
            false => Some(adversary.with(Variable::claim(claim), values)),
        }
    }

    /// Calls `visit` with permitted requests of the adversary until it breaks; only with those in which `deciding` can
    /// matter, if it is given.
    ///
    /// # Errors
    /// There are too many combinations.
    fn each(
        &self,
        adversary: &Adversary,
        deciding: Option<&Variable>,
        visit: &mut dyn FnMut(&State<'s>) -> ControlFlow<()>,
    ) -> Result<(), TooComplex> {
        let Some(mut domains) = self.domains(adversary) else {
            return Ok(());
        };
        // A `forbid` that reads it may decide where the permit does not.
        let deciding = deciding.filter(|variable| !self.forbids.facts.reads.contains(*variable));
        domains.sort_by_key(|(variable, values)| (Some(variable) == deciding, values.len()));
        let mut walk = Walk { search: self, deciding, steps: 0, visit };
        let mut state = State::of(self.scene);
        match walk.assign(&mut state, &domains, Phase::Permit) {
            ControlFlow::Break(Stop::Bound) => Err(TooComplex),
            ControlFlow::Break(Stop::Found) | ControlFlow::Continue(()) => Ok(()),
        }
    }

    /// The variables that the permit reads or the adversary restricts; none if one has no value.
    fn domains(&self, adversary: &Adversary) -> Option<Domains> {
        let restricted = adversary.0.keys().cloned();
        let pinned = self.scene.pins().keys().map(|claim| Variable::claim(claim));
        let read = self.rule.facts.reads.iter().cloned();
        let all: BTreeSet<Variable> = restricted.chain(pinned).chain(read).chain([Variable::Resource]).collect();
        let known = |variable: &Variable| match variable {
            Variable::Claim(name) => self.scene.claim_type(name).is_some(),
            _ => true,
        };
        let mut domains: Domains = Vec::with_capacity(all.len());
        for variable in all.into_iter().filter(known) {
            let values = self.allowed(&variable, adversary);
            if values.is_empty() {
                return None;
            }
            domains.push((variable, values));
        }
        Some(domains)
    }

    fn allowed(&self, variable: &Variable, adversary: &Adversary) -> Vec<Value> {
        let pins = match variable {
            Variable::Claim(name) => self.scene.pins().get(name),
            _ => None,
        };
        match (adversary.0.get(variable), pins) {
            (None, None) => self.values(variable),
            (Some(values), None) => values.clone(),
            (None, Some(pins)) => pins.iter().map(|text| Value::text(text)).collect(),
            (Some(values), Some(pins)) => {
                let both = values.iter().filter(|value| value.as_text().is_some_and(|text| pins.contains(text)));
                both.cloned().collect()
            }
        }
    }
}

/// What is being assigned: the variables of the permit, or those of `forbid`s that are undecided then.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Permit,
    Forbids,
}

struct Walk<'w, 's> {
    search: &'w Search<'s>,
    /// The variable that gets its value last, where it matters.
    deciding: Option<&'w Variable>,
    steps: usize,
    visit: &'w mut dyn FnMut(&State<'s>) -> ControlFlow<()>,
}

impl<'s> Walk<'_, 's> {
    fn assign(&mut self, state: &mut State<'s>, domains: &[(Variable, Vec<Value>)], phase: Phase) -> ControlFlow<Stop> {
        self.steps = self.steps.saturating_add(1);
        self.search.spend(self.search.rule.size);
        if self.steps > STEPS_MAX || self.search.is_spent() {
            return ControlFlow::Break(Stop::Bound);
        }
        let hopeless = match phase {
            Phase::Permit => match self.search.rule.holds(state) {
                Some(true) => self.deciding.is_some_and(|variable| state.get(variable).is_none()),
                Some(false) => true,
                None => false,
            },
            Phase::Forbids => self.undecided(state).is_none(),
        };
        if hopeless {
            return ControlFlow::Continue(());
        }
        let Some(((variable, values), rest)) = domains.split_first() else {
            return self.complete(state, phase);
        };
        for value in values {
            state.set(variable.clone(), value.clone());
            self.assign(state, rest, phase)?;
        }
        state.unset(variable);
        ControlFlow::Continue(())
    }

    /// All variables have values.
    fn complete(&mut self, state: &mut State<'s>, phase: Phase) -> ControlFlow<Stop> {
        let Some(undecided) = self.undecided(state) else {
            return ControlFlow::Continue(());
        };
        if phase == Phase::Permit && !undecided.is_empty() {
            let of = |variable| {
                let values = self.search.values(&variable);
                (variable, values)
            };
            let domains: Domains = undecided.into_iter().map(of).collect();
            return self.assign(state, &domains, Phase::Forbids);
        }
        if !self.search.permits(state) {
            return ControlFlow::Continue(());
        }
        match (self.visit)(state) {
            ControlFlow::Break(()) => ControlFlow::Break(Stop::Found),
            ControlFlow::Continue(()) => ControlFlow::Continue(()),
        }
    }

    /// The variables without a value that `forbid`s depend on; none if a `forbid` certainly matches.
    fn undecided(&self, state: &State<'s>) -> Option<BTreeSet<Variable>> {
        let mut variables = BTreeSet::new();
        for (forbid, certain) in self.search.forbids.possible(state) {
            if certain {
                return None;
            }
            variables.extend(forbid.facts.reads.iter().cloned());
        }
        let known = |variable: &Variable| match variable {
            Variable::Claim(name) => self.search.scene.claim_type(name).is_some(),
            _ => true,
        };
        variables.retain(|variable| state.get(variable).is_none() && known(variable));
        Some(variables)
    }
}
