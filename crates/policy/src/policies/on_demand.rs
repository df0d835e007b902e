//! Policies that are parsed when a request needs them.
//!
//! Loading only finds the text of each policy and the issuer and audience in its scope ([`crate::policies::scan`]).
//! A policy is parsed, strictly validated and checked before it takes part in a decision.

use crate::bundle::files::{BundleFiles, is_plain_name};
use crate::policies::checker::PolicyChecker;
use crate::policies::index::PolicyIndex;
use crate::policies::policy::{NamedPolicy, policy_set};
use crate::policies::scan::{self, ScannedPolicy};
use cedar_policy::{EntityUid, ValidationMode};
use cedar_policy::{Policy, PolicyId, PolicySet, PrincipalConstraint, ResourceConstraint};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Policies that are parsed as one text: many, because each text costs a new lexer, but not all, because Cedar's
/// intermediate data should fit the CPU caches.
const TOGETHER_MAX: usize = 128;

/// The text of every policy of a bundle, and the policies that were parsed so far.
pub(crate) struct LazyPolicies {
    /// Paths and contents.
    files: Vec<(String, String)>,
    /// Each policy with the index of its file.
    scanned: Vec<(usize, ScannedPolicy)>,
    /// Policies by their index in `scanned`.
    parsed: Mutex<BTreeMap<usize, NamedPolicy>>,
    /// Profiles that policies can name.
    profiles: BTreeSet<String>,
}

impl LazyPolicies {
    /// Scans the files at `paths`; none if one cannot be scanned.
    pub fn scan(files: &BundleFiles, paths: &[&str], profiles: &BTreeMap<String, String>) -> Option<Self> {
        let mut texts = Vec::with_capacity(paths.len());
        let mut scanned = Vec::new();
        for path in paths {
            let text = std::str::from_utf8(files.content(path)?).ok()?;
            let of_file = scan::policies(text)?;
            scanned.extend(of_file.into_iter().map(|policy| (texts.len(), policy)));
            texts.push(((*path).to_owned(), text.to_owned()));
        }
        Some(Self { files: texts, scanned, parsed: Mutex::default(), profiles: profiles.keys().cloned().collect() })
    }

    /// How many policies there are.
    pub fn len(&self) -> usize {
        self.scanned.len()
    }

    /// How many policies were parsed so far.
    pub fn parsed(&self) -> usize {
        let parsed = self.parsed.lock();
        parsed.unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn index(&self) -> PolicyIndex {
        let mut index = PolicyIndex::default();
        for (at, (file, policy)) in self.scanned.iter().enumerate() {
            let named = |range: &Option<Range<usize>>| self.text(*file, range.as_ref()?);
            index.add(at, named(&policy.issuer), named(&policy.audience));
        }
        index
    }

    fn text(&self, file: usize, range: &Range<usize>) -> Option<&str> {
        self.files.get(file)?.1.get(range.clone())
    }

    /// All policies, or none if anything is wrong with any of them.
    pub fn all(&self, checker: &PolicyChecker) -> Option<Vec<NamedPolicy>> {
        let every: Vec<usize> = (0..self.len()).collect();
        let policies = self.policies(&every, checker)?;
        let ids: BTreeSet<&str> = policies.iter().map(|policy| policy.id.as_str()).collect();
        (ids.len() == policies.len()).then_some(policies)
    }

    /// The policies with these `indices`, or none if anything is wrong with one that was not parsed before.
    pub fn policies(&self, indices: &[usize], checker: &PolicyChecker) -> Option<Vec<NamedPolicy>> {
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = indices.iter().copied().filter(|at| !parsed.contains_key(at));
        let missing: Vec<usize> = missing.collect();
        if !missing.is_empty() {
            let policies = self.parse(&missing)?;
            if !self.are_valid(&policies, checker) {
                return None;
            }
            parsed.extend(missing.into_iter().zip(policies));
        }
        indices.iter().map(|at| parsed.get(at).cloned()).collect()
    }

    fn parse(&self, indices: &[usize]) -> Option<Vec<NamedPolicy>> {
        let scanned = |at: &usize| self.scanned.get(*at);
        let texts: Option<Vec<&str>> =
            indices.iter().map(|at| scanned(at).and_then(|(file, policy)| self.text(*file, &policy.text))).collect();
        let texts = texts?;
        let parts = texts.chunks(TOGETHER_MAX).map(parse_together);
        let policies: Vec<Vec<Policy>> = parts.collect::<Option<_>>()?;
        let policies = policies.into_iter().flatten();
        let named_policy = |(at, policy): (&usize, Policy)| {
            let (file, text) = scanned(at)?;
            let id = policy.annotation("id").filter(|id| is_plain_name(id))?;
            let named = |range: &Option<Range<usize>>| self.text(*file, range.as_ref()?);
            agrees(&policy, named(&text.issuer), named(&text.audience)).then_some(())?;
            Some(NamedPolicy {
                id: id.to_owned(),
                file: self.files.get(*file)?.0.clone(),
                position: None,
                profiles: NamedPolicy::profiles_of(policy.annotation("profile")),
                cedar: policy.new_id(PolicyId::new(id)),
                link: None,
            })
        };
        indices.iter().zip(policies).map(named_policy).collect()
    }

    /// INVARIANT: makes every check of a single policy that can keep a bundle from loading.
    fn are_valid(&self, policies: &[NamedPolicy], checker: &PolicyChecker) -> bool {
        let is_valid = |policy: &NamedPolicy| {
            let mut profiles = policy.profiles.iter();
            profiles.all(|profile| self.profiles.contains(profile))
                && checker.check_names_issuer(policy).is_none()
                && checker.unknown_references(policy).is_empty()
        };
        let is_strict = |set: PolicySet| {
            let result = checker.validator.validate(&set, ValidationMode::Strict);
            result.validation_passed()
        };
        policies.iter().all(is_valid) && policy_set(policies).is_ok_and(is_strict)
    }
}

/// Parses `texts`, each the text of one policy, in order. Cedar builds a new lexer for every text, which costs as
/// much as several policies, so they are parsed as one text. None unless each policy spans exactly its text.
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
    let with_span = |policy: &Policy| {
        let loc = policy.as_ref().loc()?;
        Some((loc.start()..loc.end(), policy.clone()))
    };
    let mut found: Vec<(Range<usize>, Policy)> = parsed.policies().map(with_span).collect::<Option<_>>()?;
    found.sort_by_key(|(span, _)| span.start);
    let spans = found.iter().map(|(span, _)| span);
    (parsed.num_of_templates() == 0 && spans.eq(&expected)).then_some(())?;
    Some(found.into_iter().map(|(_, policy)| policy).collect())
}

/// Whether the scope of `policy` names the issuer and the audience by which it is indexed.
fn agrees(policy: &Policy, issuer: Option<&str>, audience: Option<&str>) -> bool {
    let is = |uid: &EntityUid, type_name: &str, id: &str| {
        uid.type_name().to_string() == type_name && uid.id().unescaped() == id
    };
    let of_issuer = |name: &str| match policy.principal_constraint() {
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => is(&uid, "Issuer", name),
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
