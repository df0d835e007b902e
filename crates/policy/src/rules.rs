//! `rules/<concern>.cedar`: parsing, names and strict validation.

use crate::error::{Finding, Position, Problem};
use crate::files::{BundleFiles, is_plain_name};
use crate::limits::RULES_MAX;
use crate::records::{Audience, Issuer};
use crate::schema::located;
use crate::toml_file::utf8;
use cedar_policy::{
    Effect, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint, Schema, ValidationMode,
    Validator,
};
use std::collections::BTreeMap;

/// One rule. Its Cedar policy id is its `@id`, so that Cedar's diagnostics name it.
#[derive(Debug, Clone)]
pub struct Rule {
    pub id: String,
    pub file: String,
    pub position: Option<Position>,
    pub policy: Policy,
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
}

/// Every rule of the bundle in path order, parsed and strictly validated.
pub(crate) fn read(
    files: &BundleFiles,
    paths: &[&str],
    issuers: &[Issuer],
    audiences: &[Audience],
    schema: &Schema,
) -> Result<Vec<Rule>, Vec<Finding>> {
    let mut findings = Vec::new();
    let mut rules: Vec<Rule> = Vec::new();
    for path in paths {
        match read_file(path, files.content(path).unwrap_or_default()) {
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
    findings.extend(duplicates(&rules));
    findings.extend(
        rules
            .iter()
            .filter_map(|rule| permit_without_issuer(rule, issuers)),
    );
    findings.extend(
        rules
            .iter()
            .flat_map(|rule| unknown_names(rule, issuers, audiences)),
    );
    if findings.is_empty() {
        findings = validation_errors(files, &rules, schema);
    }
    if findings.is_empty() {
        Ok(rules)
    } else {
        Err(findings)
    }
}

fn read_file(path: &str, content: &[u8]) -> Result<Vec<Rule>, Vec<Finding>> {
    let text = utf8(path, content).map_err(|finding| vec![finding])?;
    let parsed: PolicySet = text.parse().map_err(|errors: cedar_policy::ParseErrors| {
        errors
            .iter()
            .map(|error| located(path, text, error, error.to_string()))
            .collect::<Vec<_>>()
    })?;
    let mut findings: Vec<Finding> = parsed
        .templates()
        .map(|template| {
            let offset = template.as_ref().loc().map_or(0, |place| place.start());
            Finding::at(path, text, offset, Problem::TemplateUnsupported)
        })
        .collect();
    let mut rules = Vec::new();
    for policy in parsed.policies() {
        match named(path, text, policy) {
            Ok(rule) => rules.push(rule),
            Err(finding) => findings.push(finding),
        }
    }
    rules.sort_by_key(|rule| rule.position);
    if findings.is_empty() {
        Ok(rules)
    } else {
        Err(findings)
    }
}

fn named(path: &str, text: &str, policy: &Policy) -> Result<Rule, Finding> {
    let offset = policy.as_ref().loc().map_or(0, |place| place.start());
    let refuse = |problem| Err(Finding::at(path, text, offset, problem));
    match policy.annotation("id") {
        None => refuse(Problem::RuleWithoutId),
        Some(id) if !is_plain_name(id) => refuse(Problem::RuleIdInvalid(id.to_owned())),
        Some(id) => Ok(Rule {
            id: id.to_owned(),
            file: path.to_owned(),
            position: Some(Position::of(text, offset)),
            policy: policy.new_id(PolicyId::new(id)),
        }),
    }
}

fn duplicates(rules: &[Rule]) -> Vec<Finding> {
    let mut first: BTreeMap<&str, &Rule> = BTreeMap::new();
    let mut findings = Vec::new();
    for rule in rules {
        match first.get(rule.id.as_str()) {
            Some(earlier) => findings.push(of_rule(
                rule,
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
    findings
}

pub(crate) fn of_rule(rule: &Rule, problem: Problem) -> Finding {
    Finding {
        file: rule.file.clone(),
        position: rule.position,
        problem,
    }
}

/// Ids of principals are unique within their issuer only, so a `permit` must name one. A rule for a
/// single principal (`principal == …`) names one only while one issuer alone has principals of
/// that type.
fn permit_without_issuer(rule: &Rule, issuers: &[Issuer]) -> Option<Finding> {
    let names_issuer = match rule.policy.principal_constraint() {
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => is_issuer(&uid),
        PrincipalConstraint::Eq(uid) => {
            let type_name = uid.type_name().to_string();
            issuers
                .iter()
                .filter(|issuer| issuer.entity_type() == type_name)
                .count()
                == 1
        }
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => false,
    };
    (!names_issuer && !rule.is_forbid())
        .then(|| of_rule(rule, Problem::PermitWithoutIssuer(rule.id.clone())))
}

/// Issuers and audiences that a rule names anywhere, and the bundle does not have. Such a `permit`
/// lets nobody in, which is a nuisance; such a `forbid` keeps nobody out, which is a hole.
fn unknown_names(rule: &Rule, issuers: &[Issuer], audiences: &[Audience]) -> Vec<Finding> {
    let mut named: Vec<EntityUid> = rule.policy.entity_literals();
    named.sort_by_key(ToString::to_string);
    named.dedup();
    let problem = |uid: EntityUid| {
        let (id, rule) = (uid.id().unescaped().to_owned(), rule.id.clone());
        if is_issuer(&uid) {
            let known = issuers.iter().any(|issuer| issuer.name == id);
            (!known).then_some(Problem::RuleIssuerUnknown { rule, issuer: id })
        } else if uid.type_name().to_string() == "Audience" {
            let known = audiences.iter().any(|audience| audience.id == id);
            (!known).then_some(Problem::RuleAudienceUnknown { rule, audience: id })
        } else {
            None
        }
    };
    let problems = named.into_iter().filter_map(problem);
    problems.map(|problem| of_rule(rule, problem)).collect()
}

pub(crate) fn is_issuer(uid: &EntityUid) -> bool {
    uid.type_name().to_string() == "Issuer"
}

/// Strict validation of all rules together.
fn validation_errors(files: &BundleFiles, rules: &[Rule], schema: &Schema) -> Vec<Finding> {
    let set = match PolicySet::from_policies(rules.iter().map(|rule| rule.policy.clone())) {
        Ok(set) => set,
        Err(error) => {
            let (message, help) = (error.to_string(), None);
            return vec![Finding::of_file("rules", Problem::Cedar { message, help })];
        }
    };
    let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    let mut findings: Vec<Finding> = result
        .validation_errors()
        .map(|error| {
            let id: &str = error.policy_id().as_ref();
            let file = rules
                .iter()
                .find(|rule| rule.id == id)
                .map_or("rules", |rule| &rule.file);
            let text = std::str::from_utf8(files.content(file).unwrap_or_default());
            located(file, text.unwrap_or_default(), error, error.to_string())
        })
        .collect();
    findings.sort_by(|one, next| (&one.file, one.position).cmp(&(&next.file, next.position)));
    findings
}
