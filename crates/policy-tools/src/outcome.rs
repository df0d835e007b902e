//! Decisions in words.

use vouchsafe_policy::Effect;

/// A decision in words, such as "deny by `no-forks`".
pub fn outcome(effect: Effect, policies: &[String], erring: &[String]) -> String {
    let mut words = match effect {
        Effect::Deny => "deny".to_owned(),
        Effect::Permit => "permit".to_owned(),
    };
    match policies {
        [] => words.push_str(" by no policy"),
        policies => words.push_str(&format!(" by `{}`", policies.join("`, `"))),
    }
    if !erring.is_empty() {
        words.push_str(&format!(" while `{}` errs", erring.join("`, `")));
    }
    words
}
