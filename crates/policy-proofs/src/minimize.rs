//! Makes a counterexample small: whatever need not be special about a request becomes ordinary or absent.
//!
//! Each step is kept only if the property still breaks, which the caller decides with the broker's code.

use crate::counterexample::{AT_DEFAULT, Counterexample, circumstance, claim_shown};
use crate::literals::text;
use std::collections::BTreeSet;
use vouchsafe_policy::{Attribute, AttributeValue, Bundle, Principal};
use vouchsafe_policy_tools::{RecordedRequest, cases};

/// Texts to try in place of one that the solver made up, from the most ordinary.
const ORDINARY: [&str; 4] = ["example", "main", "1", "999999"];
/// The value of an ordinary claim, and another one: a claim matters if neither will do.
const ANY: [&str; 2] = ["example", "example-2"];

/// Reduces `request`, for which `breaks` is true, to what matters. `usual` is the principal that test cases of the
/// issuer start from; `reads` are the claims that the policies in question read.
pub(crate) fn minimize(
    bundle: &Bundle,
    request: RecordedRequest,
    usual: Option<&Principal>,
    reads: &BTreeSet<String>,
    breaks: impl Fn(&RecordedRequest) -> bool,
) -> Counterexample {
    let mut small = Smaller { request, breaks };
    let circumstances = small.circumstances(bundle);
    small.scopes();
    let mut claims = Vec::new();
    if small.identity(usual) {
        claims.push(("sub".to_owned(), text(&small.request.principal.id)));
    }
    small.complete(usual);
    let names: Vec<String> = small.request.principal.attributes.iter().map(|it| it.name.clone()).collect();
    for name in names {
        let is_optional = is_optional(bundle, &small.request.principal, &name);
        let matters = small.claim(&name, is_optional, usual);
        let is_present = small.value(&name).is_some();
        if matters || (is_present && reads.contains(&name)) {
            claims.push((name.clone(), claim_shown(&small.request.principal, &name)));
        }
    }
    let circumstances = circumstances.into_iter().map(|what| circumstance(what, &small.request)).collect();
    Counterexample { request: small.request, permitted_by: Vec::new(), claims, circumstances }
}

fn is_optional(bundle: &Bundle, principal: &Principal, name: &str) -> bool {
    let attributes = bundle.attributes_of(&principal.entity_type);
    attributes.and_then(|known| known.get(name)).is_some_and(|it| !it.required)
}

/// The principal of the issuer's default claims, if the bundle has some.
pub(crate) fn usual(files: &vouchsafe_policy::BundleFiles, bundle: &Bundle, issuer: &str) -> Option<Principal> {
    cases::default_principal(files, bundle, issuer)
}

struct Smaller<B> {
    request: RecordedRequest,
    breaks: B,
}

impl<B: Fn(&RecordedRequest) -> bool> Smaller<B> {
    /// Makes a change if the property still breaks.
    fn attempt(&mut self, change: impl FnOnce(&mut RecordedRequest)) -> bool {
        let mut changed = self.request.clone();
        change(&mut changed);
        if changed == self.request {
            return true;
        }
        let breaks = (self.breaks)(&changed);
        if breaks {
            self.request = changed;
        }
        breaks
    }

    /// Makes the circumstances ordinary, and returns those that matter.
    fn circumstances(&mut self, bundle: &Bundle) -> Vec<&'static str> {
        let audience = bundle.audience(&self.request.request.audience);
        let usual = audience.map_or(300, |audience| audience.default_lifetime_seconds);
        let mut matter = Vec::new();
        if !self.attempt(|it| it.request.requested_lifetime_seconds = usual) {
            matter.push("lifetime");
        }
        if !self.attempt(|it| it.now = AT_DEFAULT) {
            matter.push("time");
        }
        let documentation = || Some("192.0.2.1".to_owned());
        if !self.attempt(|it| it.request.client_ip = None) && !self.attempt(|it| it.request.client_ip = documentation())
        {
            matter.push("client address");
        }
        if !self.attempt(|it| it.request.proof_of_possession = false) {
            matter.push("proof of possession");
        }
        matter
    }

    /// Removes scopes that are not needed.
    fn scopes(&mut self) {
        for scope in self.request.request.scopes.clone() {
            self.attempt(|it| it.request.scopes.retain(|kept| *kept != scope));
        }
    }

    /// Makes the principal's id ordinary; returns whether it matters.
    fn identity(&mut self, usual: Option<&Principal>) -> bool {
        let mut matters = !ANY.iter().any(|id| self.attempt(|it| it.principal.id = (*id).to_owned()));
        if let Some(usual) = usual {
            matters &= !self.attempt(|it| it.principal.id.clone_from(&usual.id));
        }
        matters
    }

    /// Makes a claim ordinary or absent; returns whether its value matters.
    fn claim(&mut self, name: &str, is_optional: bool, usual: Option<&Principal>) -> bool {
        let Some(value) = self.value(name) else {
            return false;
        };
        let of_usual = usual.and_then(|usual| usual.attributes.iter().find(|it| it.name == name));
        let of_usual = of_usual.map(|attribute| attribute.value.clone());
        let absent = is_optional.then_some(None);
        let mut replaced = others(&value);
        replaced.retain(|other| Some(other) != of_usual.as_ref());
        let elsewhere = replaced.into_iter().map(Some);
        let ordinary: Vec<Option<AttributeValue>> = absent.into_iter().chain(elsewhere).collect();
        let matters = !ordinary.iter().any(|other| self.would_break(name, other.clone()));
        let made_up = ORDINARY.iter().map(|text| AttributeValue::Text((*text).to_owned()));
        let made_up = made_up.filter(|_| matches!(value, AttributeValue::Text(_))).map(Some);
        let mut choices = of_usual.map(Some).into_iter().chain(ordinary).chain(made_up);
        if !choices.any(|choice| self.attempt(|it| set_claim(it, name, choice))) {
            self.drop_elements(name);
        }
        matters
    }

    /// Whether the property still breaks with another value of a claim.
    fn would_break(&self, name: &str, value: Option<AttributeValue>) -> bool {
        let mut changed = self.request.clone();
        set_claim(&mut changed, name, value);
        (self.breaks)(&changed)
    }

    /// Adds claims that tokens of the issuer usually have.
    fn complete(&mut self, usual: Option<&Principal>) {
        for claim in usual.into_iter().flat_map(|usual| &usual.attributes) {
            if self.value(&claim.name).is_none() {
                self.attempt(|it| set_claim(it, &claim.name, Some(claim.value.clone())));
            }
        }
    }

    /// Drops elements of a set that are not needed.
    fn drop_elements(&mut self, name: &str) {
        let Some(AttributeValue::TextSet(values)) = self.value(name) else {
            return;
        };
        for value in values {
            if let Some(AttributeValue::TextSet(mut kept)) = self.value(name) {
                kept.retain(|it| *it != value);
                self.attempt(|it| set_claim(it, name, Some(AttributeValue::TextSet(kept))));
            }
        }
    }

    fn value(&self, name: &str) -> Option<AttributeValue> {
        let attribute = self.request.principal.attributes.iter().find(|it| it.name == name)?;
        Some(attribute.value.clone())
    }
}

/// Gives the principal a claim, or removes it; keeps the order of names.
fn set_claim(request: &mut RecordedRequest, name: &str, value: Option<AttributeValue>) {
    let attributes = &mut request.principal.attributes;
    match (value, attributes.iter_mut().find(|it| it.name == name)) {
        (Some(value), Some(attribute)) => attribute.value = value,
        (Some(value), None) => {
            attributes.push(Attribute { name: name.to_owned(), value });
            attributes.sort_by(|one, next| one.name.cmp(&next.name));
        }
        (None, _) => attributes.retain(|it| it.name != name),
    }
}

/// Two ordinary values of the same type. If a property breaks with either, the value does not matter to it.
fn others(value: &AttributeValue) -> Vec<AttributeValue> {
    match value {
        AttributeValue::Boolean(value) => vec![AttributeValue::Boolean(!value)],
        AttributeValue::Integer(value) => vec![AttributeValue::Integer(value.wrapping_add(1))],
        AttributeValue::Text(_) => ANY.map(|text| AttributeValue::Text(text.to_owned())).into(),
        AttributeValue::TextSet(values) if values.is_empty() => {
            vec![AttributeValue::TextSet(vec!["example".to_owned()])]
        }
        AttributeValue::TextSet(_) => vec![AttributeValue::TextSet(Vec::new())],
    }
}
