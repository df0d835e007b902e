//! Rules that are parsed when a request needs them.
//!
//! Loading only finds where each rule is and whom its scope is for ([`crate::scan`]). A rule is parsed,
//! validated strictly and checked like every other before it takes part in a decision.

use crate::files::{BundleFiles, is_plain_name};
use crate::known::Known;
use crate::rules::{Rule, policy_set};
use crate::scan::{self, Place};
use crate::slices::Index;
use cedar_policy::{EntityUid, ValidationMode};
use cedar_policy::{Policy, PolicyId, PolicySet, PrincipalConstraint, ResourceConstraint};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Rules that are parsed as one text: many, because each text costs a lexer, and not all, because what Cedar
/// builds on the way would no longer be near.
const TOGETHER_MAX: usize = 128;

/// Every rule of a bundle as text, and those of them that were parsed so far.
pub(crate) struct Texts {
    /// Paths and contents.
    files: Vec<(String, String)>,
    /// Each with its file's place in `files`.
    places: Vec<(usize, Place)>,
    /// Rules by their place in `places`; at most all of them.
    parsed: Mutex<BTreeMap<usize, Rule>>,
    /// Profiles that rules may name.
    profiles: BTreeSet<String>,
}

impl Texts {
    /// The rules in the files at `paths`; none where one can't be scanned.
    pub fn scan(
        files: &BundleFiles,
        paths: &[&str],
        profiles: &BTreeMap<String, String>,
    ) -> Option<Self> {
        let mut texts = Vec::with_capacity(paths.len());
        let mut places = Vec::new();
        for path in paths {
            let text = std::str::from_utf8(files.content(path)?).ok()?;
            let of_file = scan::rules(text)?;
            places.extend(of_file.into_iter().map(|place| (texts.len(), place)));
            texts.push(((*path).to_owned(), text.to_owned()));
        }
        Some(Self {
            files: texts,
            places,
            parsed: Mutex::default(),
            profiles: profiles.keys().cloned().collect(),
        })
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// How many of them were parsed so far.
    pub fn parsed(&self) -> usize {
        let parsed = self.parsed.lock();
        parsed.unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn index(&self) -> Index {
        let mut index = Index::default();
        for (at, (file, place)) in self.places.iter().enumerate() {
            let named = |range: &Option<Range<usize>>| self.text(*file, range.as_ref()?);
            index.add(at, named(&place.issuer), named(&place.audience));
        }
        index
    }

    fn text(&self, file: usize, range: &Range<usize>) -> Option<&str> {
        self.files.get(file)?.1.get(range.clone())
    }

    /// All rules, or none where anything is wrong with any of them.
    pub fn all(&self, known: &Known) -> Option<Vec<Rule>> {
        let every: Vec<usize> = (0..self.len()).collect();
        let rules = self.rules(&every, known)?;
        let ids: BTreeSet<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
        (ids.len() == rules.len()).then_some(rules)
    }

    /// The rules of the index's `places`, or none where anything is wrong with one of those that were not
    /// parsed before.
    pub fn rules(&self, places: &[usize], known: &Known) -> Option<Vec<Rule>> {
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = places.iter().copied().filter(|at| !parsed.contains_key(at));
        let missing: Vec<usize> = missing.collect();
        if !missing.is_empty() {
            let rules = self.parse(&missing)?;
            if !self.are_valid(&rules, known) {
                return None;
            }
            parsed.extend(missing.into_iter().zip(rules));
        }
        places.iter().map(|at| parsed.get(at).cloned()).collect()
    }

    fn parse(&self, places: &[usize]) -> Option<Vec<Rule>> {
        let place_of = |at: &usize| self.places.get(*at);
        let texts: Option<Vec<&str>> = places
            .iter()
            .map(|at| place_of(at).and_then(|(file, place)| self.text(*file, &place.rule)))
            .collect();
        let texts = texts?;
        let parts = texts.chunks(TOGETHER_MAX).map(parse_together);
        let policies: Vec<Vec<Policy>> = parts.collect::<Option<_>>()?;
        let policies = policies.into_iter().flatten();
        let rule = |(at, policy): (&usize, Policy)| {
            let (file, place) = place_of(at)?;
            let id = policy.annotation("id").filter(|id| is_plain_name(id))?;
            let named = |range: &Option<Range<usize>>| self.text(*file, range.as_ref()?);
            agrees(&policy, named(&place.issuer), named(&place.audience)).then_some(())?;
            Some(Rule {
                id: id.to_owned(),
                file: self.files.get(*file)?.0.clone(),
                position: None,
                profiles: Rule::profiles_of(policy.annotation("profile")),
                policy: policy.new_id(PolicyId::new(id)),
                link: None,
            })
        };
        places.iter().zip(policies).map(rule).collect()
    }

    /// INVARIANT: all that keeps a bundle from being loaded and can be said of one rule is said here.
    fn are_valid(&self, rules: &[Rule], known: &Known) -> bool {
        let is_valid = |rule: &Rule| {
            let mut profiles = rule.profiles.iter();
            profiles.all(|profile| self.profiles.contains(profile))
                && known.permit_without_issuer(rule).is_none()
                && known.unknown_names(rule).is_empty()
        };
        let is_strict = |set: PolicySet| {
            let result = known.validator.validate(&set, ValidationMode::Strict);
            result.validation_passed()
        };
        rules.iter().all(is_valid) && policy_set(rules).is_ok_and(is_strict)
    }
}

/// The rules of `texts`, one of each, in their order. Cedar makes a new lexer for every text, which costs as
/// much as several rules; so all are parsed as one. None unless each rule is where its text is.
fn parse_together(texts: &[&str]) -> Option<Vec<Policy>> {
    let bytes = texts.iter().map(|text| text.len().saturating_add(1)).sum();
    let mut whole = String::with_capacity(bytes);
    let mut expected: Vec<Range<usize>> = Vec::with_capacity(texts.len());
    for text in texts {
        let start = whole.len();
        whole.push_str(text);
        expected.push(start..whole.len());
        whole.push('\n');
    }
    let parsed: PolicySet = whole.parse().ok()?;
    let with_place = |policy: &Policy| {
        let place = policy.as_ref().loc()?;
        Some((place.start()..place.end(), policy.clone()))
    };
    let mut found: Vec<(Range<usize>, Policy)> =
        parsed.policies().map(with_place).collect::<Option<_>>()?;
    found.sort_by_key(|(place, _)| place.start);
    let places = found.iter().map(|(place, _)| place);
    (parsed.num_of_templates() == 0 && places.eq(&expected)).then_some(())?;
    Some(found.into_iter().map(|(_, policy)| policy).collect())
}

/// Whether `policy` is for the issuer and the audience that the index has it under.
fn agrees(policy: &Policy, issuer: Option<&str>, audience: Option<&str>) -> bool {
    let is = |uid: &EntityUid, type_name: &str, id: &str| {
        uid.type_name().to_string() == type_name && uid.id().unescaped() == id
    };
    let of_issuer = |name: &str| match policy.principal_constraint() {
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => {
            is(&uid, "Issuer", name)
        }
        PrincipalConstraint::Any | PrincipalConstraint::Eq(_) | PrincipalConstraint::Is(_) => false,
    };
    let for_audience = |id: &str| match policy.resource_constraint() {
        ResourceConstraint::Eq(uid) => is(&uid, "Audience", id),
        ResourceConstraint::Any
        | ResourceConstraint::In(_)
        | ResourceConstraint::Is(_)
        | ResourceConstraint::IsIn(_, _) => false,
    };
    issuer.is_none_or(of_issuer) && audience.is_none_or(for_audience)
}
