//! Changed settings of issuers and audiences that both bundles have.

use super::change::{Change, Direction, Subject, Takeover};
use std::collections::BTreeSet;
use std::fmt::Debug;
use vouchsafe_policy::{Audience, Bundle, Issuer, ReplayMode, Tier};

pub(super) fn settings(old: &Bundle, new: &Bundle) -> (Vec<Change>, Vec<Takeover>) {
    let mut changes = Vec::new();
    let mut takeovers = Vec::new();
    for was in old.issuers_of_all_environments() {
        let mut issuers = new.issuers_of_all_environments();
        let Some(is) = issuers.find(|is| is.name == was.name) else {
            continue;
        };
        if is.issuer != was.issuer {
            takeovers.push(Takeover { issuer: was.name.clone(), old: was.issuer.clone(), new: is.issuer.clone() });
        }
        let mut compared = Compared::new(Subject::Issuer, &was.name);
        issuer(&mut compared, was, is);
        changes.extend(compared.changes);
    }
    for was in old.audiences() {
        if let Some(is) = new.audience(&was.id) {
            let mut compared = Compared::new(Subject::Audience, &was.id);
            audience(&mut compared, was, is);
            changes.extend(compared.changes);
        }
    }
    (changes, takeovers)
}

struct Compared<'a> {
    subject: Subject,
    name: &'a str,
    changes: Vec<Change>,
}

impl<'a> Compared<'a> {
    fn new(subject: Subject, name: &'a str) -> Self {
        let changes = Vec::new();
        Self { subject, name, changes }
    }

    fn push(&mut self, key: &str, direction: Direction, old: String, new: String) {
        self.changes.push(Change { direction, subject: self.subject, name: format!("{} {key}", self.name), old, new });
    }

    /// Compares a value of which more grants more.
    fn number<T: Ord + Debug>(&mut self, key: &str, old: T, new: T) {
        let direction = match new.cmp(&old) {
            std::cmp::Ordering::Equal => return,
            std::cmp::Ordering::Greater => Direction::Widening,
            std::cmp::Ordering::Less => Direction::Narrowing,
        };
        self.push(key, direction, format!("{old:?}"), format!("{new:?}"));
    }

    /// Compares a list of which each entry grants more.
    fn list(&mut self, key: &str, old: &[String], new: &[String]) {
        let (old, new): (BTreeSet<_>, BTreeSet<_>) = (old.iter().collect(), new.iter().collect());
        let direction = match (old.is_subset(&new), new.is_subset(&old)) {
            (true, true) => return,
            (true, false) => Direction::Widening,
            (false, true) => Direction::Narrowing,
            (false, false) => Direction::Either,
        };
        self.push(key, direction, format!("{old:?}"), format!("{new:?}"));
    }

    /// Compares a value whose direction is unknown.
    fn other<T: PartialEq + Debug>(&mut self, key: &str, old: &T, new: &T) {
        if old != new {
            self.push(key, Direction::Either, format!("{old:?}"), format!("{new:?}"));
        }
    }
}

fn issuer(compared: &mut Compared<'_>, was: &Issuer, is: &Issuer) {
    // INVARIANT: every field is compared, here or as a takeover. A new field does not compile.
    let Issuer {
        name: _,
        issuer: _,
        provider: _,
        audiences: _,
        algorithms: _,
        keys: _,
        credential_file: _,
        keys_max_age_seconds: _,
        stale_keys_max_seconds: _,
        max_token_age_seconds: _,
        leeway_seconds: _,
        replay: _,
        claims: _,
        require: _,
        subject_template: _,
        allow_act: _,
        development: _,
    } = was;
    compared.other("provider", &was.provider.name, &is.provider.name);
    compared.list("audiences", &was.audiences, &is.audiences);
    compared.list("algorithms", &was.algorithms, &is.algorithms);
    if was.keys != is.keys {
        let words = |text: &str| text.to_owned();
        compared.push("keys", Direction::Either, words("one source"), words("another source or set"));
    }
    compared.other("credential_file", &was.credential_file, &is.credential_file);
    compared.number("keys_max_age", was.keys_max_age_seconds, is.keys_max_age_seconds);
    compared.number("stale_keys_max", was.stale_keys_max_seconds, is.stale_keys_max_seconds);
    compared.number("max_token_age", was.max_token_age_seconds, is.max_token_age_seconds);
    compared.number("leeway", was.leeway_seconds, is.leeway_seconds);
    compared.number("replay uses", uses(was.replay), uses(is.replay));
    compared.other("require", &was.require, &is.require);
    compared.other("claims", &was.claims, &is.claims);
    compared.other("subject", &was.subject_template, &is.subject_template);
    compared.number("allow_act", was.allow_act, is.allow_act);
    // A development issuer is not trusted elsewhere.
    compared.number("trusted outside development", !was.development, !is.development);
}

fn audience(compared: &mut Compared<'_>, was: &Audience, is: &Audience) {
    // INVARIANT: as for issuers.
    let Audience {
        id: _,
        tier: _,
        algorithm: _,
        default_lifetime_seconds: _,
        max_lifetime_seconds: _,
        scopes: _,
        scopes_required: _,
        claims: _,
        replay: _,
        outlive_subject: _,
    } = was;
    compared.number("tier delegated", was.tier == Tier::Delegated, is.tier == Tier::Delegated);
    compared.other("algorithm", &was.algorithm, &is.algorithm);
    compared.number("default_lifetime", was.default_lifetime_seconds, is.default_lifetime_seconds);
    compared.number("max_lifetime", was.max_lifetime_seconds, is.max_lifetime_seconds);
    compared.list("scopes", &was.scopes, &is.scopes);
    // Without the requirement, tokens without a scope are issued too.
    compared.number("tokens without scopes", !was.scopes_required, !is.scopes_required);
    compared.list("claims", &was.claims, &is.claims);
    compared.number("replay uses", uses(was.replay), uses(is.replay));
    compared.number("outlive_subject", was.outlive_subject, is.outlive_subject);
}

/// How often one token can be used.
fn uses(replay: ReplayMode) -> u32 {
    match replay {
        ReplayMode::Allow => u32::MAX,
        ReplayMode::Bounded(uses) => uses,
        ReplayMode::SingleUse => 1,
    }
}
