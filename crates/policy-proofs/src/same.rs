//! Whether a scene means the same in two bundles, without asking a solver.

use crate::assumptions::{Mentions, assumptions};
use crate::scene::Scene;
use crate::solver::NoAnswer;
use serde_json::Value;
use std::collections::BTreeMap;

/// Whether both sides have the same policies and facts.
pub(crate) fn is_same(old: &Scene<'_>, new: &Scene<'_>) -> bool {
    let text = |scene: &Scene<'_>| -> Option<BTreeMap<String, Value>> {
        let policies = scene.policies.policies().map(|policy| Some((policy.id().to_string(), policy.to_json().ok()?)));
        policies.collect()
    };
    let (of_old, of_new) = (text(old), text(new));
    if of_old.is_none() || of_old != of_new || comparable(old, new).is_err() {
        return false;
    }
    // The same policies mention the same.
    let mentions = Mentions::of([new.policies.as_ref()]);
    let facts = |scene: &Scene<'_>| assumptions(scene.bundle, scene.issuer, scene.audience, &mentions);
    facts(old) == facts(new)
}

/// Fails if the same request means something else to each bundle.
pub(crate) fn comparable(old: &Scene<'_>, new: &Scene<'_>) -> Result<(), NoAnswer> {
    let (of_old, of_new) = (old.entity_type(), new.entity_type());
    if of_old != of_new {
        let why = format!("principals were `{of_old}` and would be `{of_new}`");
        return Err(NoAnswer::Unsupported(why));
    }
    if old.bundle.attributes_of(of_old) != new.bundle.attributes_of(of_new) {
        return Err(NoAnswer::Unsupported(format!("the schema declares other claims of `{of_new}`")));
    }
    if old.bundle.time_zones() != new.bundle.time_zones() {
        return Err(NoAnswer::Unsupported("the bundles name other time zones".to_owned()));
    }
    Ok(())
}
