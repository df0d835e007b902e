//! The effect of replacing one bundle with another, not the difference of their texts.
//!
//! Conservative: a change that is not known to only narrow counts as [`Direction::Either`]. Decisions of test cases and
//! of recorded requests show what a change does; policies, pairs and settings show what it may do to other requests.

mod change;
mod groups;
mod policies;
mod settings;

use crate::cases::{self, Case};
use crate::error::SuiteError;
use crate::limits::refusals;
use crate::outcome::outcome;
use crate::recorded::RecordedRequest;
pub use change::{Change, Direction, Subject, Takeover, TakeoverOf};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use vouchsafe_policy::{Bundle, BundleFiles, Effect, Environment, LoadError};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    pub takeovers: Vec<Takeover>,
    /// Sorted by direction, then by subject.
    pub changes: Vec<Change>,
    /// The number of cases and recorded requests that both bundles decided.
    pub decided: usize,
}

impl Difference {
    pub fn is_empty(&self) -> bool {
        self.takeovers.is_empty() && self.changes.is_empty()
    }

    pub fn of(&self, direction: Direction) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(move |it| it.direction == direction)
    }

    /// Leaves out the changes that a proof about all requests replaces: those of policies, groups and pairs.
    pub fn retain_unproven(&mut self) {
        self.changes.retain(|it| !matches!(it.subject, Subject::Group | Subject::Pair | Subject::Policy));
    }

    /// Whether someone may get more than before.
    pub fn widens(&self) -> bool {
        let may_widen = |change: &Change| change.direction != Direction::Narrowing;
        !self.takeovers.is_empty() || self.changes.iter().any(may_widen)
    }

    /// Whether someone may get less than before.
    pub fn narrows(&self) -> bool {
        let may_narrow = |change: &Change| change.direction != Direction::Widening;
        self.changes.iter().any(may_narrow)
    }
}

/// A bundle with its files, loaded as in development so that every issuer counts.
pub struct Side<'a> {
    files: &'a BundleFiles,
    environment: Environment,
    pub bundle: Bundle,
}

impl<'a> Side<'a> {
    /// Loads the bundle.
    ///
    /// # Errors
    /// The bundle does not load.
    pub fn load(files: &'a BundleFiles, environment: &Environment) -> Result<Self, LoadError> {
        let environment = Environment { development: true, ..environment.clone() };
        let bundle = Bundle::load(files, &environment)?;
        Ok(Self { files, environment, bundle })
    }

    /// The bundle as the broker at `issuer` loads it.
    fn at(&self, issuer: &str) -> Result<Bundle, LoadError> {
        let environment = Environment { issuer: issuer.to_owned(), ..self.environment.clone() };
        Bundle::load(self.files, &environment)
    }

    /// The names and brokers of the profiles, except the one that is in force.
    fn profiles(&self) -> impl Iterator<Item = (String, String)> {
        let names = self.bundle.profile_names();
        let known = names.filter_map(|name| {
            let issuer = self.bundle.profile(name)?;
            Some((name.to_owned(), issuer.to_owned()))
        });
        known.filter(|(_, issuer)| *issuer != self.environment.issuer)
    }

    fn cases(&self) -> Result<Vec<Case>, SuiteError> {
        Ok(cases::read(self.files, &self.bundle)?)
    }
}

/// Compares two bundles by their cases, by `recorded` requests with their decision ids, and by their policies and
/// settings.
///
/// # Errors
/// A case of either bundle cannot be read, or a bundle does not load in a profile.
pub fn diff(old: &Side<'_>, new: &Side<'_>, recorded: &[(String, RecordedRequest)]) -> Result<Difference, SuiteError> {
    // The brokers of all profiles, with both bundles as they load them.
    let mut brokers: BTreeMap<String, Broker> = BTreeMap::new();
    for (name, issuer) in old.profiles().chain(new.profiles()) {
        if let Entry::Vacant(place) = brokers.entry(issuer) {
            let (old, new) = (old.at(place.key())?, new.at(place.key())?);
            place.insert(Broker { name, old, new });
        }
    }
    let usual = (&old.bundle, &new.bundle);
    let mut asked: Vec<Asked<'_>> = Vec::new();
    for side in [old, new] {
        for case in side.cases()? {
            let issuer = case.profile.as_deref();
            let issuer = issuer.and_then(|name| side.bundle.profile(name));
            let broker = issuer.and_then(|issuer| brokers.get(issuer));
            let bundles = broker.map_or(usual, |broker| (&broker.old, &broker.new));
            // Verification refuses these tokens before policies are evaluated.
            let of_case = Asked {
                subject: Subject::Case,
                bundles,
                name: case.path,
                request: RecordedRequest {
                    principal: case.principal,
                    actor: case.actor,
                    request: case.request,
                    now: case.now,
                },
            };
            if case.refused.is_none() && !asked.iter().any(|it| it.is_same(&of_case)) {
                asked.push(of_case);
            }
        }
    }
    asked.extend(recorded.iter().map(|(id, request)| Asked {
        subject: Subject::Recorded,
        bundles: usual,
        name: id.clone(),
        request: request.clone(),
    }));
    let mut changes: Vec<Change> = asked.iter().filter_map(decided).collect();
    changes.extend(of_policies(&old.bundle, &new.bundle));
    for broker in brokers.values() {
        changes.extend(broker.changes_beyond(usual));
    }
    changes.extend(groups::zones(&old.bundle, &new.bundle));
    let (of_settings, takeovers) = settings::settings(&old.bundle, &new.bundle);
    changes.extend(of_settings);
    changes
        .sort_by(|one, next| (one.direction, one.subject, &one.name).cmp(&(next.direction, next.subject, &next.name)));
    Ok(Difference { takeovers, changes, decided: asked.len() })
}

/// The changes of policies and of the groups that they name.
fn of_policies(old: &Bundle, new: &Bundle) -> Vec<Change> {
    let mut changes = policies::pairs(old, new);
    changes.extend(policies::policies(old, new));
    changes.extend(groups::groups(old, new));
    changes
}

/// Both bundles as the broker of a profile loads them.
struct Broker {
    name: String,
    old: Bundle,
    new: Bundle,
}

impl Broker {
    /// The changes for this broker that the usual one does not have.
    fn changes_beyond(&self, usual: (&Bundle, &Bundle)) -> Vec<Change> {
        let known = of_policies(usual.0, usual.1);
        let mut changes = of_policies(&self.old, &self.new);
        changes.retain(|change| !known.contains(change));
        for change in &mut changes {
            change.name = format!("{} in profile {}", change.name, self.name);
        }
        changes
    }
}

/// A request that both bundles decide.
struct Asked<'b> {
    subject: Subject,
    bundles: (&'b Bundle, &'b Bundle),
    name: String,
    request: RecordedRequest,
}

impl Asked<'_> {
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.request == other.request && std::ptr::eq(self.bundles.0, other.bundles.0)
    }
}

fn decided(asked: &Asked<'_>) -> Option<Change> {
    let (was_granted, was) = granted(asked.bundles.0, &asked.request);
    let (is_granted, is) = granted(asked.bundles.1, &asked.request);
    let direction = match (was_granted, is_granted) {
        (false, true) => Direction::Widening,
        (true, false) => Direction::Narrowing,
        _ => return None,
    };
    Some(Change { direction, subject: asked.subject, name: asked.name.clone(), old: was, new: is })
}

/// Whether the broker would grant the request, by policies and limits, and why.
fn granted(bundle: &Bundle, asked: &RecordedRequest) -> (bool, String) {
    let request = &asked.request;
    let decision = match asked.decide(bundle) {
        Ok(decision) => decision,
        Err(error) => return (false, error.to_string()),
    };
    let words = outcome(decision.effect, &decision.determining_rules, &decision.erring_rules);
    if decision.effect == Effect::Deny {
        return (false, words);
    }
    let Some(audience) = bundle.audience(&request.audience) else {
        return (false, words);
    };
    match refusals(audience, request).first() {
        Some(refusal) => (false, format!("refused: {refusal}")),
        None => (true, words),
    }
}
