//! Warnings about issuer, audience and group files.

use super::candidate::Candidate;
use super::reach;
use super::warning::Warning;
use vouchsafe_policy::authoring::{placeholders, text_of, toml_span};
use vouchsafe_policy::{Bundle, BundleFiles, Diagnostic, Group, Issuer, ReplayMode, Workload};
use vouchsafe_providers::Replay;

const HOUR_SECONDS: u64 = 3600;

/// All warnings about settings; `dead` are the policies that never match.
pub(super) fn warnings(files: &BundleFiles, bundle: &Bundle, dead: &[&str]) -> Vec<Diagnostic<Warning>> {
    let mut diagnostics = Vec::new();
    let found = |file: &str, path: &[&str], warning: Warning| {
        let text = text_of(files, file);
        Diagnostic::in_file(file, text, toml_span::value(text, path), warning)
    };
    for issuer in bundle.issuers_of_all_environments() {
        let path = format!("issuers/{}.toml", issuer.name);
        let replay = of_issuer(issuer).map(|warning| found(&path, &["replay"], warning));
        let subject = ambiguous_subject(issuer).or_else(|| shared_subject(issuer));
        let subject = subject.map(|warning| found(&path, &["subject"], warning));
        diagnostics.extend(replay.into_iter().chain(subject));
    }
    for group in bundle.groups() {
        let path = format!("entities/{}.toml", group.name);
        for (at, workload) in group.workloads.iter().enumerate() {
            let at = at.to_string();
            for (key, warning) in of_workload(group, workload, bundle) {
                let place = match key {
                    "issuer" => vec!["workloads", &at, "issuer"],
                    claim => vec!["workloads", &at, "claims", claim],
                };
                diagnostics.push(found(&path, &place, warning));
            }
        }
    }
    let unreachable = reach::unreachable_audiences(bundle, dead);
    // Both are in path order.
    let paths = files.iter().map(|(path, _)| path).filter(|path| path.starts_with("audiences/"));
    for (path, audience) in paths.zip(bundle.audiences()) {
        let mut add = |key, warning| diagnostics.push(found(path, &[key], warning));
        if unreachable.contains(&audience.id) {
            add("id", Warning::AudienceUnreachable(audience.id.clone()));
        }
        if audience.max_lifetime_seconds > HOUR_SECONDS {
            add("max_lifetime", Warning::LifetimeLong(audience.max_lifetime_seconds));
        }
    }
    diagnostics
}

/// Warnings about a workload that someone else's workload can come to match, by the key or claim that allows it.
fn of_workload(group: &Group, workload: &Workload, bundle: &Bundle) -> Vec<(&'static str, Warning)> {
    let mut issuers = bundle.issuers_of_all_environments();
    let Some(issuer) = issuers.find(|issuer| issuer.name == workload.issuer) else {
        return Vec::new();
    };
    let has = |claim: &str| workload.claims.contains_key(claim);
    let members = Candidate::of_issuer(issuer, bundle).and_then(|it| it.with_all(&workload.claims));
    let untold = members.and_then(Candidate::stranger);
    let untold = untold.map(|_| Warning::GroupAnyTenant {
        group: group.name.clone(),
        issuer: issuer.name.clone(),
        claims: issuer.provider.tenant_claims.join("`, `"),
    });
    let untold = untold.map(|warning| ("issuer", warning));
    let names = issuer.provider.names_with_ids.iter();
    let without = names.filter(|(name, ids)| has(name) && !ids.iter().any(|id| has(id)));
    let without = without.filter_map(|(name, ids)| {
        let (group, id) = (group.name.clone(), ids.first()?);
        Some((*name, Warning::GroupNameWithoutId { group, name, id }))
    });
    untold.into_iter().chain(without).collect()
}

fn of_issuer(issuer: &Issuer) -> Option<Warning> {
    // Tokens of development issuers are made by hand.
    let allowed =
        issuer.replay == ReplayMode::Allow && issuer.provider.replay == Replay::SingleUse && !issuer.development;
    allowed.then_some(Warning::ReplayAllowed(issuer.provider.name))
}

/// A warning about a subject template that does not identify a workload, so that several share one `sub`.
fn shared_subject(issuer: &Issuer) -> Option<Warning> {
    let template = issuer.subject_template.as_deref()?;
    let names: Vec<&str> = placeholders(template).collect();
    let workloads = issuer.provider.workload_claims;
    let named = |claims: &&[&str]| claims.iter().all(|claim| names.contains(claim));
    if names.contains(&"sub") || workloads.iter().any(named) {
        return None;
    }
    let first = workloads.first().copied().unwrap_or(&["sub"]);
    let placeholders = format!("{{{}}}", first.join("}` and `{"));
    Some(Warning::SubjectShared(placeholders))
}

/// A warning about a subject template with ambiguous values: adjacent placeholders, or one before the last whose values
/// can be any text.
fn ambiguous_subject(issuer: &Issuer) -> Option<Warning> {
    let template = issuer.subject_template.as_deref()?;
    let mut names: Vec<&str> = placeholders(template).collect();
    let last = names.pop()?;
    let plain = issuer.provider.plain_claims;
    let open = names.iter().find(|name| !plain.contains(name));
    let claim = match (template.contains("}{"), open) {
        (_, Some(name)) => name,
        (true, None) => last,
        (false, None) => return None,
    };
    Some(Warning::SubjectAmbiguous((*claim).to_owned()))
}
