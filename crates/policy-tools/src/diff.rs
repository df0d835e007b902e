//! What replacing one bundle by another means, not how their texts differ.
//!
//! Sound rather than clever: where it is not known that a change only narrows, it counts as
//! [`Direction::Either`]. Decisions of test cases and of recorded requests show what a change does;
//! rules, pairs and settings show what it may do to requests that nobody wrote down.

mod groups;
mod rules;
mod settings;

use crate::recorded::RecordedRequest;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use vouchsafe_policy::cases::{self, Case};
use vouchsafe_policy::lint::outcome;
use vouchsafe_policy::{Bundle, BundleFiles, Effect, Environment, InvalidBundle};

/// Whether somebody gets more, or less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    Widening,
    /// More for some or less for others; which is not known.
    Either,
    Narrowing,
}

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A test case of either bundle, by its path.
    Case,
    /// A recorded decision, by its id.
    Recorded,
    /// A principal kind and an audience.
    Pair,
    Rule,
    Audience,
    /// A group's workloads or audiences, where a rule names the group.
    Group,
    Issuer,
    /// A time zone that rules know by a name.
    Zone,
}

/// One thing that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub direction: Direction,
    pub subject: Subject,
    pub name: String,
    pub old: String,
    pub new: String,
}

/// An issuer whose name stays while its URL changes: rules name issuers, so whoever answers at the new
/// URL gets what the old one's principals got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Takeover {
    pub issuer: String,
    pub old: String,
    pub new: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    pub takeovers: Vec<Takeover>,
    /// By direction, then by what they are about.
    pub changes: Vec<Change>,
    /// Cases and recorded requests that were decided by both.
    pub decided: usize,
}

impl Difference {
    pub fn is_empty(&self) -> bool {
        self.takeovers.is_empty() && self.changes.is_empty()
    }

    pub fn of(&self, direction: Direction) -> impl Iterator<Item = &Change> {
        self.changes
            .iter()
            .filter(move |it| it.direction == direction)
    }

    /// Whether somebody may get more than before.
    pub fn widens(&self) -> bool {
        let may_widen = |change: &Change| change.direction != Direction::Narrowing;
        !self.takeovers.is_empty() || self.changes.iter().any(may_widen)
    }

    /// Whether somebody may get less than before.
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
    /// # Errors
    /// The bundle does not load.
    pub fn load(files: &'a BundleFiles, environment: &Environment) -> Result<Self, InvalidBundle> {
        let environment = Environment {
            development: true,
            ..environment.clone()
        };
        let bundle = Bundle::load(files, &environment)?;
        Ok(Self {
            files,
            environment,
            bundle,
        })
    }

    /// The bundle as the broker at `issuer` has it.
    fn at(&self, issuer: &str) -> Result<Bundle, InvalidBundle> {
        let environment = Environment {
            issuer: issuer.to_owned(),
            ..self.environment.clone()
        };
        Bundle::load(self.files, &environment)
    }

    /// The names and brokers of the profiles, but for the one that is in force anyway.
    fn profiles(&self) -> impl Iterator<Item = (String, String)> {
        let names = self.bundle.profile_names();
        let known = names.filter_map(|name| {
            let issuer = self.bundle.profile(name)?;
            Some((name.to_owned(), issuer.to_owned()))
        });
        known.filter(|(_, issuer)| *issuer != self.environment.issuer)
    }

    fn cases(&self) -> Result<Vec<Case>, InvalidBundle> {
        cases::read(self.files, &self.bundle).map_err(|findings| InvalidBundle { findings })
    }
}

/// Compares two bundles by their cases, by `recorded` requests with the ids of their decisions, and by
/// what they say.
///
/// # Errors
/// A case of either bundle can't be read.
pub fn diff(
    old: &Side<'_>,
    new: &Side<'_>,
    recorded: &[(String, RecordedRequest)],
) -> Result<Difference, InvalidBundle> {
    // Brokers that a profile of either bundle is for, with both bundles as they have them.
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
            // Whether verification refuses a token is not for the rules to say.
            let of_case = Asked {
                subject: Subject::Case,
                bundles,
                name: case.path,
                request: RecordedRequest {
                    principal: case.principal,
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
    changes.extend(of_rules(&old.bundle, &new.bundle));
    for broker in brokers.values() {
        changes.extend(broker.changes_beyond(usual));
    }
    changes.extend(groups::zones(&old.bundle, &new.bundle));
    let (of_settings, takeovers) = settings::settings(&old.bundle, &new.bundle);
    changes.extend(of_settings);
    changes.sort_by(|one, next| {
        (one.direction, one.subject, &one.name).cmp(&(next.direction, next.subject, &next.name))
    });
    Ok(Difference {
        takeovers,
        changes,
        decided: asked.len(),
    })
}

/// What rules that are in force say, and what they name.
fn of_rules(old: &Bundle, new: &Bundle) -> Vec<Change> {
    let mut changes = rules::pairs(old, new);
    changes.extend(rules::rules(old, new));
    changes.extend(groups::groups(old, new));
    changes
}

/// Both bundles as the broker of a profile has them.
struct Broker {
    name: String,
    old: Bundle,
    new: Bundle,
}

impl Broker {
    /// What changes for this broker and not in the same way for the usual one.
    fn changes_beyond(&self, usual: (&Bundle, &Bundle)) -> Vec<Change> {
        let known = of_rules(usual.0, usual.1);
        let mut changes = of_rules(&self.old, &self.new);
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
        self.name == other.name
            && self.request == other.request
            && std::ptr::eq(self.bundles.0, other.bundles.0)
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
    Some(Change {
        direction,
        subject: asked.subject,
        name: asked.name.clone(),
        old: was,
        new: is,
    })
}

/// Whether the broker would grant the request, rules and limits together, and why.
fn granted(bundle: &Bundle, asked: &RecordedRequest) -> (bool, String) {
    let request = &asked.request;
    let decision = match bundle.decide(&asked.principal, request, asked.now) {
        Ok(decision) => decision,
        Err(error) => return (false, error.to_string()),
    };
    let words = outcome(
        decision.effect,
        &decision.determining_rules,
        &decision.erring_rules,
    );
    if decision.effect == Effect::Deny {
        return (false, words);
    }
    let Some(audience) = bundle.audience(&request.audience) else {
        return (false, words);
    };
    if request.requested_lifetime_seconds > audience.max_lifetime_seconds {
        let max = audience.max_lifetime_seconds;
        return (false, format!("refused: over the ceiling of {max} s"));
    }
    let offered = |scope: &&String| !audience.scopes.contains(scope);
    match request.scopes.iter().find(offered) {
        Some(scope) => (false, format!("refused: scope `{scope}` is not offered")),
        None => (true, words),
    }
}
