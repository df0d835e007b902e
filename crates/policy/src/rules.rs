//! `rules/<concern>.cedar`: parsing, names and strict validation.

use crate::error::{Finding, Position, Problem};
use crate::files::{BundleFiles, is_plain_name};
use crate::known::Known;
use crate::limits::RULES_MAX;
use crate::listing::text_of;
use crate::places;
use crate::schema::located;
use crate::templates::{self, Link, NamedTemplate};
use crate::toml_file::utf8;
use cedar_policy::{
    Effect, EntityUid, Policy, PolicyId, PolicySet, PolicySetError, ValidationError,
    ValidationMode, ValidationResult, Validator,
};
use miette::Diagnostic;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// One rule. Its Cedar policy id is its `@id`, so that Cedar's diagnostics name it.
#[derive(Debug, Clone)]
pub struct Rule {
    pub id: String,
    pub file: String,
    pub position: Option<Position>,
    /// A static policy, or a template that is filled.
    pub policy: Policy,
    /// The profiles that the rule is in force in; none for all.
    pub(crate) profiles: Vec<String>,
    /// What the policy was made of, where it is a template that is filled.
    pub(crate) link: Option<Link>,
}

/// All `rules` together, as Cedar decides by them.
///
/// # Errors
/// Two have one id, which loading a bundle excludes.
pub fn policy_set<'a>(
    rules: impl IntoIterator<Item = &'a Rule>,
) -> Result<PolicySet, PolicySetError> {
    let mut set = PolicySet::new();
    for rule in rules {
        match &rule.link {
            Some(link) => link.add_to(&mut set, &rule.id)?,
            None => set.add(rule.policy.clone())?,
        }
    }
    Ok(set)
}

impl Rule {
    /// What must all hold for the rule to take part, beside its scope, as Cedar writes it: the conjuncts
    /// of each `when` and the negated disjuncts of each `unless`.
    pub fn conditions(&self) -> Vec<String> {
        crate::explain::conditions_of(self)
    }

    pub fn is_forbid(&self) -> bool {
        self.policy.effect() == Effect::Forbid
    }

    /// The profiles of `@profile("…")`, parted by commas or spaces; none for all.
    pub(crate) fn profiles_of(annotation: Option<&str>) -> Vec<String> {
        let listed = annotation.unwrap_or_default().split([',', ' ']);
        let names = listed.filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    }

    /// Whether the rule is in force in `profile`.
    ///
    /// INVARIANT: a broker that no profile is for gets every `forbid` and no `permit` of a profile: a
    /// mistyped URL must not take a prohibition away.
    pub(crate) fn is_for(&self, profile: Option<&str>) -> bool {
        let is_it = |profile: &str| self.profiles.iter().any(|known| known == profile);
        self.profiles.is_empty() || profile.map_or_else(|| self.is_forbid(), is_it)
    }
}

/// The rules of a bundle in path order; of each file, those that are written out come first.
#[derive(Default)]
pub(crate) struct Rules {
    pub rules: Vec<Rule>,
    pub unused_templates: Vec<NamedTemplate>,
}

/// Every rule of the bundle, parsed and strictly validated: those of `paths`, and what the link files at
/// `links` make of templates.
pub(crate) fn read(
    files: &BundleFiles,
    paths: &[&str],
    links: &[&str],
    known: &Known,
) -> Result<Rules, Vec<Finding>> {
    let mut findings = Vec::new();
    let mut rules: Vec<Rule> = Vec::new();
    let mut templates: Vec<NamedTemplate> = Vec::new();
    for path in paths {
        match read_file(path, files.content(path).unwrap_or_default()) {
            Ok((more, of_file)) => {
                rules.extend(more);
                templates.extend(of_file);
            }
            Err(more) => findings.extend(more),
        }
    }
    let mut used = BTreeSet::new();
    for path in links {
        match templates::links(path, files, &templates, &mut used) {
            Ok(more) => rules.extend(more),
            Err(more) => findings.extend(more),
        }
    }
    if rules.len() > RULES_MAX {
        let problem = Problem::TooMany {
            key: "rules",
            max: RULES_MAX,
        };
        findings.push(Finding::of_file("rules", problem));
    }
    findings.extend(duplicates(files, &rules, &templates));
    findings.extend(
        rules
            .iter()
            .filter_map(|rule| without_issuer(files, rule, known)),
    );
    for rule in &rules {
        let unknown = known.unknown_names(rule).into_iter();
        findings.extend(unknown.map(|(place, problem)| found_in(files, rule, place, problem)));
    }
    if findings.is_empty() {
        findings = validation_errors(files, &rules, &templates, &known.validator);
    }
    if findings.is_empty() {
        templates.retain(|template| !used.contains(&template.id));
        Ok(Rules {
            rules,
            unused_templates: templates,
        })
    } else {
        Err(findings)
    }
}

type Parsed = (Vec<Rule>, Vec<NamedTemplate>);

fn read_file(path: &str, content: &[u8]) -> Result<Parsed, Vec<Finding>> {
    let text = utf8(path, content).map_err(|finding| vec![finding])?;
    let parsed: PolicySet = text.parse().map_err(|errors: cedar_policy::ParseErrors| {
        errors
            .iter()
            .map(|error| located(path, text, error, error.to_string()))
            .collect::<Vec<_>>()
    })?;
    let mut findings: Vec<Finding> = Vec::new();
    let mut templates = Vec::new();
    for template in parsed.templates() {
        let offset = template.as_ref().loc().map_or(0, |place| place.start());
        let place = places::annotation_of_template(template, "id");
        match plain_id(
            path,
            text,
            place.unwrap_or(offset..offset),
            template.annotation("id"),
        ) {
            Ok(id) => templates.push(NamedTemplate {
                template: template.new_id(PolicyId::new(&id)),
                file: path.to_owned(),
                position: Some(Position::of(text, offset)),
                id,
            }),
            Err(finding) => findings.push(finding),
        }
    }
    templates.sort_by_key(|template| template.position);
    let mut rules = Vec::new();
    for policy in parsed.policies() {
        match named(path, text, policy) {
            Ok(rule) => rules.push(rule),
            Err(finding) => findings.push(finding),
        }
    }
    rules.sort_by_key(|rule: &Rule| rule.position);
    if findings.is_empty() {
        Ok((rules, templates))
    } else {
        Err(findings)
    }
}

fn named(path: &str, text: &str, policy: &Policy) -> Result<Rule, Finding> {
    let offset = policy.as_ref().loc().map_or(0, |place| place.start());
    let place = places::annotation(policy, "id").unwrap_or(offset..offset);
    let id = plain_id(path, text, place, policy.annotation("id"))?;
    Ok(Rule {
        file: path.to_owned(),
        position: Some(Position::of(text, offset)),
        policy: policy.new_id(PolicyId::new(&id)),
        profiles: Rule::profiles_of(policy.annotation("profile")),
        link: None,
        id,
    })
}

fn plain_id(
    path: &str,
    text: &str,
    place: Range<usize>,
    id: Option<&str>,
) -> Result<String, Finding> {
    let refuse = |problem| Err(Finding::within(path, text, place, problem));
    match id {
        None => refuse(Problem::RuleWithoutId),
        Some(id) if !is_plain_name(id) => refuse(Problem::RuleIdInvalid(id.to_owned())),
        Some(id) => Ok(id.to_owned()),
    }
}

/// Rules and templates share their names, so that a link can't be taken for what it fills.
fn duplicates(files: &BundleFiles, rules: &[Rule], templates: &[NamedTemplate]) -> Vec<Finding> {
    let mut first: BTreeMap<&str, &Rule> = BTreeMap::new();
    let mut findings = Vec::new();
    for rule in rules {
        match first.get(rule.id.as_str()) {
            Some(earlier) => findings.push(found_in(
                files,
                rule,
                None,
                Problem::DuplicateRule {
                    id: rule.id.clone(),
                    other: earlier.file.clone(),
                },
            )),
            None => {
                first.insert(&rule.id, rule);
            }
        }
    }
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    seen.extend(first.iter().map(|(id, rule)| (*id, rule.file.as_str())));
    for template in templates {
        if let Some(other) = seen.insert(&template.id, &template.file) {
            let (id, other) = (template.id.clone(), other.to_owned());
            findings.push(template.found(files, Problem::DuplicateRule { id, other }));
        }
    }
    findings
}

/// A finding at `place` of the file of `rule`, or at the rule's name where there is no such place.
pub(crate) fn found_in<P>(
    files: &BundleFiles,
    rule: &Rule,
    place: Option<Range<usize>>,
    problem: P,
) -> Finding<P> {
    let name = || match &rule.link {
        Some(_) => None,
        None => places::annotation(&rule.policy, "id"),
    };
    match place.or_else(name) {
        Some(place) => Finding::within(&rule.file, text_of(files, &rule.file), place, problem),
        None => Finding {
            file: rule.file.clone(),
            position: rule.position,
            length: None,
            problem,
        },
    }
}

/// A `permit` that names no issuer, at its principal.
fn without_issuer(files: &BundleFiles, rule: &Rule, known: &Known) -> Option<Finding> {
    let problem = known.permit_without_issuer(rule)?;
    let place = match &rule.link {
        Some(link) => link.place(|_| true),
        None => {
            let start = rule.policy.as_ref().loc().map(|place| place.start());
            start.and_then(|start| places::principal(text_of(files, &rule.file), start))
        }
    };
    Some(found_in(files, rule, place, problem))
}

pub(crate) fn is_issuer(uid: &EntityUid) -> bool {
    uid.type_name().to_string() == "Issuer"
}

/// Strict validation of all rules together.
fn validation_errors(
    files: &BundleFiles,
    rules: &[Rule],
    templates: &[NamedTemplate],
    validator: &Validator,
) -> Vec<Finding> {
    let whole = policy_set(rules).and_then(|mut set| {
        for template in templates {
            if set.template(template.template.id()).is_none() {
                set.add_template(template.template.clone())?;
            }
        }
        Ok(set)
    });
    let set = match whole {
        Ok(set) => set,
        Err(error) => {
            let (message, help) = (error.to_string(), None);
            return vec![Finding::of_file("rules", Problem::Cedar { message, help })];
        }
    };
    let result = validator.validate(&set, ValidationMode::Strict);
    let mut findings: Vec<Finding> = result
        .validation_errors()
        .filter(|error| !follows(error, &result, files, rules))
        .map(|error| {
            let id: &str = error.policy_id().as_ref();
            let rule = rules.iter().find(|rule| rule.id == id);
            // Cedar's places are in the text of rules that are written out.
            if let Some(rule) = rule.filter(|rule| rule.file.ends_with(".toml")) {
                let help = error.help().map(|help| help.to_string());
                let message = error.to_string();
                return found_in(files, rule, None, Problem::Cedar { message, help });
            }
            let template = templates.iter().find(|template| template.id == id);
            let file = rule.map(|rule| &rule.file);
            let file = file.or(template.map(|template| &template.file));
            let file = file.map_or("rules", String::as_str);
            let text = std::str::from_utf8(files.content(file).unwrap_or_default());
            located(file, text.unwrap_or_default(), error, error.to_string())
        })
        .collect();
    findings.sort_by(|one, next| (&one.file, one.position).cmp(&(&next.file, next.position)));
    findings
}

/// Whether an error only follows from another of the same rule: once a claim is not known, Cedar no longer
/// takes into account which claims the rule has asked for before it reads them.
fn follows(
    error: &ValidationError,
    result: &ValidationResult,
    files: &BundleFiles,
    rules: &[Rule],
) -> bool {
    let ValidationError::UnsafeOptionalAttributeAccess(_) = error else {
        return false;
    };
    let unknown = result.validation_errors().any(|other| {
        matches!(other, ValidationError::UnsafeAttributeAccess(_))
            && other.policy_id() == error.policy_id()
    });
    let id: &str = error.policy_id().as_ref();
    let rule = rules
        .iter()
        .find(|rule| rule.id == id && rule.link.is_none());
    let label = error.labels().and_then(|mut labels| labels.next());
    let (true, Some(rule), Some(label)) = (unknown, rule, label) else {
        return false;
    };
    let end = label.offset().saturating_add(label.len());
    let read = text_of(files, &rule.file).get(label.offset()..end);
    let asked = read.and_then(|read| read.split_once('.'));
    asked.is_some_and(|(object, claim)| {
        let word = |character: char| !(character.is_alphanumeric() || character == '_');
        let claim = claim.split(word).next().unwrap_or_default();
        places::says(rule, &format!("{object} has {claim}"))
    })
}
