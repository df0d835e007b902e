//! What issuer and audience files say that is hardly meant.

use super::candidate::Candidate;
use super::caution::Caution;
use super::reach;
use crate::bundle::Bundle;
use crate::error::Finding;
use crate::files::BundleFiles;
use crate::groups::{Group, Workload};
use crate::listing::text_of;
use crate::records::{Issuer, ReplayMode};
use crate::subject;
use crate::toml_places;
use vouchsafe_providers::Replay;

const HOUR_SECONDS: u64 = 3600;

/// Everything about issuers and audiences; `dead` are the rules that never permit anything.
pub(super) fn cautions(
    files: &BundleFiles,
    bundle: &Bundle,
    dead: &[&str],
) -> Vec<Finding<Caution>> {
    let mut findings = Vec::new();
    let found = |file: &str, path: &[&str], caution: Caution| {
        let text = text_of(files, file);
        Finding::found(file, text, toml_places::value(text, path), caution)
    };
    for issuer in bundle.issuers_of_all_environments() {
        let path = format!("issuers/{}.toml", issuer.name);
        let replay = of_issuer(issuer).map(|caution| found(&path, &["replay"], caution));
        let subject = ambiguous_subject(issuer).or_else(|| shared_subject(issuer));
        let subject = subject.map(|caution| found(&path, &["subject"], caution));
        findings.extend(replay.into_iter().chain(subject));
    }
    for group in bundle.groups() {
        let path = format!("entities/{}.toml", group.name);
        for (at, workload) in group.workloads.iter().enumerate() {
            let at = at.to_string();
            for (key, caution) in of_workload(group, workload, bundle) {
                let place = match key {
                    "issuer" => vec!["workloads", &at, "issuer"],
                    claim => vec!["workloads", &at, "claims", claim],
                };
                findings.push(found(&path, &place, caution));
            }
        }
    }
    let unreachable = reach::unreachable_audiences(bundle, dead);
    // Both are in path order.
    let paths = files
        .iter()
        .map(|(path, _)| path)
        .filter(|path| path.starts_with("audiences/"));
    for (path, audience) in paths.zip(bundle.audiences()) {
        let mut add = |key, caution| findings.push(found(path, &[key], caution));
        if unreachable.contains(&audience.id) {
            add("id", Caution::AudienceUnreachable(audience.id.clone()));
        }
        if audience.max_lifetime_seconds > HOUR_SECONDS {
            add(
                "max_lifetime",
                Caution::LifetimeLong(audience.max_lifetime_seconds),
            );
        }
    }
    findings
}

/// An entry that somebody else's workload can come to fit, by the key or the claim that lets them.
fn of_workload(
    group: &Group,
    workload: &Workload,
    bundle: &Bundle,
) -> Vec<(&'static str, Caution)> {
    let mut issuers = bundle.issuers_of_all_environments();
    let Some(issuer) = issuers.find(|issuer| issuer.name == workload.issuer) else {
        return Vec::new();
    };
    let has = |claim: &str| workload.claims.contains_key(claim);
    let members = Candidate::of_issuer(issuer, bundle).and_then(|it| it.with_all(&workload.claims));
    let untold = members.and_then(Candidate::stranger);
    let untold = untold.map(|_| Caution::GroupAnyTenant {
        group: group.name.clone(),
        issuer: issuer.name.clone(),
        claims: issuer.provider.tenant_claims.join("`, `"),
    });
    let untold = untold.map(|caution| ("issuer", caution));
    let names = issuer.provider.names_with_ids.iter();
    let without = names.filter(|(name, ids)| has(name) && !ids.iter().any(|id| has(id)));
    let without = without.filter_map(|(name, ids)| {
        let (group, id) = (group.name.clone(), ids.first()?);
        Some((*name, Caution::GroupNameWithoutId { group, name, id }))
    });
    untold.into_iter().chain(without).collect()
}

fn of_issuer(issuer: &Issuer) -> Option<Caution> {
    // A development issuer's tokens are minted by hand.
    let allowed = issuer.replay == ReplayMode::Allow
        && issuer.provider.replay == Replay::SingleUse
        && !issuer.development;
    allowed.then_some(Caution::ReplayAllowed(issuer.provider.name))
}

/// A subject template that names no workload: tokens of several would have one `sub`.
fn shared_subject(issuer: &Issuer) -> Option<Caution> {
    let template = issuer.subject_template.as_deref()?;
    let names: Vec<&str> = subject::placeholders(template).collect();
    let workloads = issuer.provider.workload_claims;
    let named = |claims: &&[&str]| claims.iter().all(|claim| names.contains(claim));
    if names.contains(&"sub") || workloads.iter().any(named) {
        return None;
    }
    let first = workloads.first().copied().unwrap_or(&["sub"]);
    let placeholders = format!("{{{}}}", first.join("}` and `{"));
    Some(Caution::SubjectShared(placeholders))
}

/// A subject template in which one value can reach into the next one's place: placeholders that touch, or
/// one before the last whose values may hold any text.
fn ambiguous_subject(issuer: &Issuer) -> Option<Caution> {
    let template = issuer.subject_template.as_deref()?;
    let mut names: Vec<&str> = subject::placeholders(template).collect();
    let last = names.pop()?;
    let plain = issuer.provider.plain_claims;
    let open = names.iter().find(|name| !plain.contains(name));
    let claim = match (template.contains("}{"), open) {
        (_, Some(name)) => name,
        (true, None) => last,
        (false, None) => return None,
    };
    Some(Caution::SubjectAmbiguous((*claim).to_owned()))
}
