//! Changed settings of issuers and audiences that both bundles have.

use super::change::{Change, Direction, Subject, Takeover, TakeoverOf};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use vouchsafe_policy::{Audience, Bundle, Claim, Issuer, KeySource, ReplayMode, RequiredClaim, Tier, to_rfc3339};
use vouchsafe_providers::Source;

pub(super) fn settings(old: &Bundle, new: &Bundle) -> (Vec<Change>, Vec<Takeover>) {
    let mut changes = Vec::new();
    let mut takeovers = Vec::new();
    for was in old.issuers_of_all_environments() {
        let mut issuers = new.issuers_of_all_environments();
        let Some(is) = issuers.find(|is| is.name == was.name) else {
            continue;
        };
        let sources = (key_source(&was.keys), key_source(&is.keys));
        for (of, old, new) in
            [(TakeoverOf::Url, &was.issuer, &is.issuer), (TakeoverOf::KeySource, &sources.0, &sources.1)]
        {
            if old != new {
                takeovers.push(Takeover { of, issuer: was.name.clone(), old: old.clone(), new: new.clone() });
            }
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

/// Where keys come from, in words. Pinned keys are told apart by their content, not by the name of their file.
fn key_source(keys: &KeySource) -> String {
    match keys {
        KeySource::Discovery => "discovery".to_owned(),
        KeySource::JwksUri(uri) => uri.clone(),
        KeySource::Pinned(pinned) => {
            let digest = base16ct::lower::encode_string(&Sha256::digest(&pinned.document));
            format!("pinned keys with sha256 {digest}")
        }
    }
}

/// When pinned keys expire; the end of time for others.
fn expiry(keys: &KeySource) -> u64 {
    match keys {
        KeySource::Discovery | KeySource::JwksUri(_) => u64::MAX,
        KeySource::Pinned(pinned) => pinned.expires,
    }
}

/// A setting as it is shown.
trait Words {
    fn words(&self) -> String;
}

impl Words for bool {
    fn words(&self) -> String {
        self.to_string()
    }
}

impl Words for u64 {
    fn words(&self) -> String {
        self.to_string()
    }
}

/// How often one token can be used.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Uses(u32);

impl Words for Uses {
    fn words(&self) -> String {
        match self.0 {
            u32::MAX => "unlimited".to_owned(),
            uses => uses.to_string(),
        }
    }
}

impl Words for RequiredClaim {
    fn words(&self) -> String {
        format!("`{}` is {}", self.name, self.values.words().replace(", ", " or "))
    }
}

impl Words for Claim {
    fn words(&self) -> String {
        let kind = self.claim_type.expected();
        let optional = if self.required { "" } else { ", optional" };
        let null = if self.nullable { ", may be null" } else { "" };
        let from = match self.source {
            Source::Claim => String::new(),
            Source::Path(path) => format!(", at `{}`", path.join(".")),
            Source::SpiffePath => ", the path of the SPIFFE ID".to_owned(),
            Source::SpiffeTrustDomain => ", the trust domain of the SPIFFE ID".to_owned(),
        };
        format!("`{}` ({kind}{optional}{null}{from})", self.name)
    }
}

impl Words for &str {
    fn words(&self) -> String {
        format!("`{self}`")
    }
}

impl Words for String {
    fn words(&self) -> String {
        self.as_str().words()
    }
}

impl<T: Words> Words for Option<T> {
    fn words(&self) -> String {
        self.as_ref().map_or("none".to_owned(), Words::words)
    }
}

impl<T: Words> Words for Vec<T> {
    fn words(&self) -> String {
        match self.is_empty() {
            true => "none".to_owned(),
            false => self.iter().map(Words::words).collect::<Vec<_>>().join(", "),
        }
    }
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
    fn number<T: Ord + Words>(&mut self, key: &str, old: T, new: T) {
        let direction = match new.cmp(&old) {
            std::cmp::Ordering::Equal => return,
            std::cmp::Ordering::Greater => Direction::Widening,
            std::cmp::Ordering::Less => Direction::Narrowing,
        };
        self.push(key, direction, old.words(), new.words());
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
    fn other<T: PartialEq + Words>(&mut self, key: &str, old: &T, new: &T) {
        if old != new {
            self.push(key, Direction::Either, old.words(), new.words());
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
    // Other sources of keys are takeovers.
    if key_source(&was.keys) == key_source(&is.keys) {
        let (old, new) = (expiry(&was.keys), expiry(&is.keys));
        let words = |at: u64| to_rfc3339(at).unwrap_or_else(|| at.to_string());
        match new.cmp(&old) {
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => compared.push("keys expire", Direction::Widening, words(old), words(new)),
            std::cmp::Ordering::Less => compared.push("keys expire", Direction::Narrowing, words(old), words(new)),
        }
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
        view: _,
        tier: _,
        algorithm: _,
        default_lifetime_seconds: _,
        max_lifetime_seconds: _,
        scopes: _,
        scopes_required: _,
        claims: _,
        replay: _,
        outlive_subject: _,
        proof_required: _,
        allow_act: _,
        authorization_server: _,
        status_list: _,
    } = was;
    let view = |audience: &Audience| audience.view.map(|view| view.preset().name);
    compared.other("view", &view(was), &view(is));
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
    // Without the requirement, tokens that are bound to no key are issued too.
    compared.number("bearer tokens", !was.proof_required, !is.proof_required);
    compared.number("allow_act", was.allow_act, is.allow_act);
    compared.other("kind", &was.authorization_server, &is.authorization_server);
    // Without it, verifiers learn less of revocations.
    compared.number("tokens without status", !was.status_list, !is.status_list);
}

fn uses(replay: ReplayMode) -> Uses {
    match replay {
        ReplayMode::Allow => Uses(u32::MAX),
        ReplayMode::Bounded(uses) => Uses(uses),
        ReplayMode::SingleUse => Uses(1),
    }
}
