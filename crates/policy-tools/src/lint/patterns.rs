//! `like` patterns that match more than they seem to.

use super::domain::PATTERNS_MAX;
use super::search::{Adversary, Search, TooComplex};
use super::value::{Pattern, Value, Variable};
use super::warning::Warning;

/// Separators within claims.
const SEPARATORS: [char; 3] = ['/', ':', '@'];

/// Claims with a workflow file, and the ref that it is read from.
const WORKFLOW_FILES: [&str; 2] = ["job_workflow_ref", "workflow_ref"];

pub(super) fn warnings(search: &Search<'_>) -> Result<Vec<Warning>, TooComplex> {
    let mut warnings = Vec::new();
    for (variable, patterns) in &search.rule.facts.patterns {
        let Variable::Claim(claim) = variable else {
            continue;
        };
        for pattern in patterns.iter().take(PATTERNS_MAX) {
            let (policy, pattern_text) = (search.rule.policy.id.clone(), pattern.shown());
            if is_workflow_of(search, claim, pattern)? {
                let claim = claim.clone();
                warnings.push(Warning::WorkflowAtAnyRef { policy, claim, pattern: pattern_text });
            } else if let Some(value) = crossing(search, claim, pattern)? {
                let claim = claim.clone();
                warnings.push(Warning::LikeCrossesSeparator { policy, claim, pattern: pattern_text, value });
            }
        }
    }
    Ok(warnings)
}

/// Whether a workflow file of any branch or tag is accepted because of the pattern.
fn is_workflow_of(search: &Search<'_>, claim: &str, pattern: &Pattern) -> Result<bool, TooComplex> {
    if !WORKFLOW_FILES.contains(&claim) || !pattern.has_wildcard() {
        return Ok(false);
    }
    let file = match pattern.filled("evil").split_once('@') {
        Some((file, _)) => file.to_owned(),
        None => format!("{}evil.yml", pattern.start()),
    };
    let refs = ["refs/heads/evil", "refs/tags/evil"].map(|reference| format!("{file}@{reference}"));
    let fitting = refs.into_iter().filter(|text| pattern.fits(text));
    Ok(accepted(search, claim, fitting.collect())?.is_some())
}

/// A value that is accepted although a wildcard of the pattern stands for several parts of it. A wildcard at the end,
/// directly after a separator, is meant to.
fn crossing(search: &Search<'_>, claim: &str, pattern: &Pattern) -> Result<Option<String>, TooComplex> {
    let shown = pattern.shown();
    let below = |text: &str| text.ends_with(SEPARATORS);
    let wildcards = pattern.0.iter().filter(|part| part.is_none()).count();
    // Whoever may push one tag of a prefix may push any: no part of its name is somebody's own.
    let is_tag = matches!(claim, "ref" | "ref_path") && shown.starts_with("refs/tags/");
    let is_meant = wildcards == 1 && shown.strip_suffix('*').is_some_and(|start| is_tag || below(start));
    if wildcards == 0 || is_meant || !(shown.contains(SEPARATORS) || has_parts(claim)) {
        return Ok(None);
    }
    let written = SEPARATORS.iter().filter(|separator| shown.contains(**separator));
    let separators: Vec<char> = match shown.contains(SEPARATORS) {
        true => written.copied().collect(),
        false => vec!['/'],
    };
    let crossing = separators.iter().map(|separator| pattern.filled(&format!("evil{separator}evil")));
    accepted(search, claim, crossing.collect())
}

/// One of `texts` that is accepted as the claim's value, where another value would not be.
fn accepted(search: &Search<'_>, claim: &str, texts: Vec<String>) -> Result<Option<String>, TooComplex> {
    let variable = Variable::claim(claim);
    if texts.is_empty() || search.scene.is_pinned(claim) {
        return Ok(None);
    }
    let values = texts.into_iter().map(Value::Text).collect();
    let adversary = Adversary::default().with(variable.clone(), values);
    let state = search.decided_by(&variable, &adversary)?;
    Ok(state.and_then(|state| state.get(&variable)?.as_text().map(str::to_owned)))
}

/// Whether values of the claim are paths, refs or names with an owner.
fn has_parts(claim: &str) -> bool {
    let whole = ["path", "ref", "repository", "spiffe_id"];
    let ends = ["_arn", "_path", "_ref", "_ref_uri"];
    whole.contains(&claim) || ends.iter().any(|end| claim.ends_with(end))
}
