//! What replacing one bundle by another means, not how their texts differ.
//!
//! Sound rather than clever: where it is not known that a change only narrows, it counts as
//! [`Direction::Either`]. Decisions of test cases and of recorded requests show what a change does;
//! rules, pairs and settings show what it may do to requests that nobody wrote down.

mod groups;
mod rules;
mod settings;

use crate::recorded::RecordedRequest;
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
        Ok(Self { files, bundle })
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
    let mut asked: Vec<(Subject, String, RecordedRequest)> = Vec::new();
    for case in old.cases()?.into_iter().chain(new.cases()?) {
        // Whether verification refuses a token is not for the rules to say.
        let request = RecordedRequest {
            principal: case.principal,
            request: case.request,
            now: case.now,
        };
        let known = asked
            .iter()
            .any(|(_, path, other)| path == &case.path && other == &request);
        if case.refused.is_none() && case.profile.is_none() && !known {
            asked.push((Subject::Case, case.path, request));
        }
    }
    let of_record = |(id, request): &(String, RecordedRequest)| {
        (Subject::Recorded, id.clone(), request.clone())
    };
    asked.extend(recorded.iter().map(of_record));
    let mut changes: Vec<Change> = asked
        .iter()
        .filter_map(|(subject, name, request)| decided(old, new, *subject, name, request))
        .collect();
    changes.extend(rules::pairs(&old.bundle, &new.bundle));
    changes.extend(rules::rules(&old.bundle, &new.bundle));
    changes.extend(groups::groups(&old.bundle, &new.bundle));
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

fn decided(
    old: &Side<'_>,
    new: &Side<'_>,
    subject: Subject,
    name: &str,
    request: &RecordedRequest,
) -> Option<Change> {
    let (was_granted, was) = granted(&old.bundle, request);
    let (is_granted, is) = granted(&new.bundle, request);
    let direction = match (was_granted, is_granted) {
        (false, true) => Direction::Widening,
        (true, false) => Direction::Narrowing,
        _ => return None,
    };
    Some(Change {
        direction,
        subject,
        name: name.to_owned(),
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
