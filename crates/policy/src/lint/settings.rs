//! What issuer and audience files say that is hardly meant.

use super::caution::Caution;
use super::reach;
use crate::bundle::Bundle;
use crate::error::Finding;
use crate::files::BundleFiles;
use crate::records::{Issuer, ReplayMode};
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
        let caution = of_issuer(issuer);
        findings.extend(caution.map(|caution| Finding::of_file(&path, caution)));
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

fn of_issuer(issuer: &Issuer) -> Option<Caution> {
    // A development issuer's tokens are minted by hand.
    let allowed = issuer.replay == ReplayMode::Allow
        && issuer.provider.replay == Replay::SingleUse
        && !issuer.development;
    allowed.then_some(Caution::ReplayAllowed(issuer.provider.name))
}
