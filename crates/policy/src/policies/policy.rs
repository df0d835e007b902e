//! One Cedar policy of a bundle.

use crate::diagnostics::Position;
use crate::policies::entities::Actions;
use cedar_policy::{
    ActionConstraint, Effect, EntityUid, Policy, PolicyId, PolicySet, PolicySetError, SlotId, Template,
};
use std::collections::HashMap;
use std::ops::Range;

/// A policy with its `@id`, which is also its Cedar policy id, so that Cedar's diagnostics name it.
#[derive(Debug, Clone)]
pub struct NamedPolicy {
    pub id: String,
    pub file: String,
    pub position: Option<Position>,
    /// A static or a template-linked policy.
    pub cedar: Policy,
    /// The profiles in which the policy is in force; empty for all.
    pub(crate) profiles: Vec<String>,
    /// The template and its values, if the policy is template-linked.
    pub(crate) link: Option<Link>,
}

/// Collects `policies` in the form that Cedar evaluates.
///
/// # Errors
/// Two policies have the same id, which cannot happen in a loaded bundle.
pub fn policy_set<'a>(policies: impl IntoIterator<Item = &'a NamedPolicy>) -> Result<PolicySet, PolicySetError> {
    let mut set = PolicySet::new();
    for policy in policies {
        match &policy.link {
            Some(link) => link.add_to(&mut set, &policy.id)?,
            None => set.add(policy.cedar.clone())?,
        }
    }
    Ok(set)
}

impl NamedPolicy {
    /// Whether the policy is a linked template, so that its text is in another file.
    pub fn is_template_linked(&self) -> bool {
        self.link.is_some()
    }

    pub fn is_forbid(&self) -> bool {
        self.cedar.effect() == Effect::Forbid
    }

    /// Whether the scope names the action `act_for` and no other.
    pub(crate) fn is_for_actors(&self, actions: &Actions) -> bool {
        self.cedar.action_constraint() == ActionConstraint::Eq(actions.act_for().clone())
    }

    /// The profiles of a `@profile("…")` annotation, separated by commas or spaces; empty for all.
    pub(crate) fn profiles_of(annotation: Option<&str>) -> Vec<String> {
        let listed = annotation.unwrap_or_default().split([',', ' ']);
        let names = listed.filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    }

    /// Whether the policy is in force in `profile`.
    ///
    /// INVARIANT: a broker without a profile gets every `forbid` and no `permit` of all profiles: a mistyped URL
    /// must not disable a `forbid`.
    pub(crate) fn is_for(&self, profile: Option<&str>) -> bool {
        let is_it = |profile: &str| self.profiles.iter().any(|known| known == profile);
        self.profiles.is_empty() || profile.map_or_else(|| self.is_forbid(), is_it)
    }
}

/// A template and the values of its slots.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub template: Template,
    pub values: HashMap<SlotId, EntityUid>,
    /// The span of each value in the link file.
    pub spans: Vec<(EntityUid, Range<usize>)>,
}

impl Link {
    /// The values of the slots.
    pub fn entities(&self) -> impl Iterator<Item = &EntityUid> {
        self.values.values()
    }

    /// The span of the first value in the link file that `matches` accepts.
    pub fn span(&self, matches: impl Fn(&EntityUid) -> bool) -> Option<Range<usize>> {
        let (_, span) = self.spans.iter().find(|(uid, _)| matches(uid))?;
        Some(span.clone())
    }

    /// Adds the linked policy to `set` as `id`.
    pub fn add_to(&self, set: &mut PolicySet, id: &str) -> Result<(), PolicySetError> {
        if set.template(self.template.id()).is_none() {
            set.add_template(self.template.clone())?;
        }
        let template = self.template.id().clone();
        set.link(template, PolicyId::new(id), self.values.clone())
    }

    /// The linked policy.
    pub fn policy(&self, id: &str) -> Result<Policy, String> {
        let mut set = PolicySet::new();
        self.add_to(&mut set, id).map_err(|error| error.to_string())?;
        let policy = set.policy(&PolicyId::new(id)).cloned();
        policy.ok_or_else(|| "the template cannot be linked".to_owned())
    }
}
