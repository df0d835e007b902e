//! What issuer and audience files say that is hardly meant.

use super::caution::Caution;
use super::permits::untold_tenant;
use super::reach;
use crate::bundle::Bundle;
use crate::error::Finding;
use crate::files::BundleFiles;
use crate::groups::{Group, Workload};
use crate::records::{Issuer, ReplayMode};
use crate::subject;
use vouchsafe_providers::Replay;

const HOUR_SECONDS: u64 = 3600;

/// Everything about issuers and audiences; `dead` are the rules that never permit anything.
pub(super) fn cautions(
    files: &BundleFiles,
    bundle: &Bundle,
    dead: &[&str],
) -> Vec<Finding<Caution>> {
    let mut findings = Vec::new();
    for issuer in bundle.issuers_of_all_environments() {
        let path = format!("issuers/{}.toml", issuer.name);
        let cautions = of_issuer(issuer)
            .into_iter()
            .chain(ambiguous_subject(issuer));
        findings.extend(cautions.map(|caution| Finding::of_file(&path, caution)));
    }
    for group in bundle.groups() {
        let path = format!("entities/{}.toml", group.name);
        let cautions = group.workloads.iter();
        let cautions = cautions.flat_map(|workload| of_workload(group, workload, bundle));
        findings.extend(cautions.map(|caution| Finding::of_file(&path, caution)));
    }
    let unreachable = reach::unreachable_audiences(bundle, dead);
    // Both are in path order.
    let paths = files
        .iter()
        .map(|(path, _)| path)
        .filter(|path| path.starts_with("audiences/"));
    for (path, audience) in paths.zip(bundle.audiences()) {
        let mut add = |caution| findings.push(Finding::of_file(path, caution));
        if unreachable.contains(&audience.id) {
            add(Caution::AudienceUnreachable(audience.id.clone()));
        }
        if audience.max_lifetime_seconds > HOUR_SECONDS {
            add(Caution::LifetimeLong(audience.max_lifetime_seconds));
        }
    }
    findings
}

/// An entry that somebody else's workload can come to fit.
fn of_workload(group: &Group, workload: &Workload, bundle: &Bundle) -> Vec<Caution> {
    let mut issuers = bundle.issuers_of_all_environments();
    let Some(issuer) = issuers.find(|issuer| issuer.name == workload.issuer) else {
        return Vec::new();
    };
    let has = |claim: &str| workload.claims.contains_key(claim);
    // `sub` is unique within the issuer, and of a repository's name at GitHub: it tells the tenant.
    let untold = untold_tenant(issuer, |claim| has(claim) || has("sub"));
    let untold = untold.map(|claims| Caution::GroupAnyTenant {
        group: group.name.clone(),
        issuer: issuer.name.clone(),
        claims,
    });
    let names = issuer.provider.names_with_ids.iter();
    let without = names.filter(|(name, ids)| has(name) && !ids.iter().any(|id| has(id)));
    let without = without.filter_map(|(name, ids)| {
        Some(Caution::GroupNameWithoutId {
            group: group.name.clone(),
            name,
            id: ids.first()?,
        })
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

/// A subject template in which one value can reach into the next one's place: placeholders that touch, or
/// one before the last that is no id.
fn ambiguous_subject(issuer: &Issuer) -> Option<Caution> {
    let template = issuer.subject_template.as_deref()?;
    let mut names: Vec<&str> = subject::placeholders(template).collect();
    let last = names.pop()?;
    let open = names.iter().find(|name| !name.ends_with("id"));
    let claim = match (template.contains("}{"), open) {
        (_, Some(name)) => name,
        (true, None) => last,
        (false, None) => return None,
    };
    Some(Caution::SubjectAmbiguous((*claim).to_owned()))
}
