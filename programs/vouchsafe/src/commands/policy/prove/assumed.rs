//! What proofs assume about requests.

use serde_json::{Value, json};
use vouchsafe_policy::Bundle;
use vouchsafe_policy_proofs::Scene;
use vouchsafe_policy_proofs::prove::assumptions_of;

/// One block per profile, issuer and audience.
pub fn as_text(brokers: &[(Option<String>, Bundle)]) -> String {
    let mut text = String::new();
    for (profile, bundle) in brokers {
        for scene in Scene::of(bundle) {
            let profile = profile.as_ref().map_or_else(String::new, |name| format!(", in profile `{name}`"));
            let (entity_type, issuer, audience) = (scene.entity_type(), &scene.issuer.name, &scene.audience.id);
            text.push_str(&format!("{entity_type} of issuer `{issuer}` for `{audience}`{profile}:\n"));
            for fact in assumptions_of(&scene) {
                text.push_str(&format!("  {}\n", fact.reason));
                text.extend(fact.cedar.iter().map(|cedar| format!("    {cedar}\n")));
            }
        }
    }
    text + "A `forbid` that fails to evaluate denies, and a `permit` that fails to evaluate permits nothing.\n"
}

pub fn as_json(brokers: &[(Option<String>, Bundle)]) -> Value {
    let of_scene = |profile: &Option<String>, scene: &Scene<'_>| {
        let facts = assumptions_of(scene);
        let facts = facts.iter().map(|fact| json!({ "reason": fact.reason, "cedar": fact.cedar }));
        json!({
            "profile": profile,
            "principal_type": scene.entity_type(),
            "issuer": scene.issuer.name,
            "audience": scene.audience.id,
            "assumptions": facts.collect::<Vec<_>>(),
        })
    };
    let all = brokers.iter().flat_map(|(profile, bundle)| {
        let scenes = Scene::of(bundle).into_iter();
        scenes.map(move |scene| of_scene(profile, &scene))
    });
    Value::Array(all.collect())
}
