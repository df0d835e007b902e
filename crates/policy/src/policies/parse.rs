//! Parses the policies of a bundle: `rules/<concern>.cedar`, and the templates that link files instantiate.

use crate::bundle::files::{BundleFiles, is_plain_name, text_of, utf8};
use crate::bundle::layout::Layout;
use crate::diagnostics::cedar::cedar_diagnostic;
use crate::diagnostics::{BundleError, Diagnostic, Position};
use crate::limits::RULES_MAX;
use crate::policies::checker::PolicyChecker;
use crate::policies::policy::NamedPolicy;
use crate::policies::span::{self, diagnostic_in};
use crate::policies::templates::{self, NamedTemplate};
use crate::policies::validate::validation_errors;
use cedar_policy::{Policy, PolicyId, PolicySet};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The policies of a bundle in path order, static ones before template-linked ones.
#[derive(Default)]
pub(crate) struct Policies {
    pub policies: Vec<NamedPolicy>,
    /// Templates without a link.
    pub unused_templates: Vec<NamedTemplate>,
}

/// Parses, checks and strictly validates every policy of the bundle.
pub(crate) fn read(
    files: &BundleFiles,
    layout: &Layout<'_>,
    checker: &PolicyChecker,
) -> Result<Policies, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    let mut policies: Vec<NamedPolicy> = Vec::new();
    let mut templates: Vec<NamedTemplate> = Vec::new();
    for path in &layout.policies {
        match read_file(path, files.content(path).unwrap_or_default()) {
            Ok((more, of_file)) => {
                policies.extend(more);
                templates.extend(of_file);
            }
            Err(more) => diagnostics.extend(more),
        }
    }
    let mut linked = BTreeSet::new();
    for path in &layout.links {
        match templates::links(path, files, &templates, &mut linked) {
            Ok(more) => policies.extend(more),
            Err(more) => diagnostics.extend(more),
        }
    }
    if policies.len() > RULES_MAX {
        let error = BundleError::TooMany { key: "rules", max: RULES_MAX };
        diagnostics.push(Diagnostic::of_file("rules", error));
    }
    diagnostics.extend(duplicates(files, &policies, &templates));
    diagnostics.extend(policies.iter().filter_map(|policy| without_issuer(files, policy, checker)));
    for policy in &policies {
        let unknown = checker.unknown_references(policy).into_iter();
        diagnostics.extend(unknown.map(|(span, error)| diagnostic_in(files, policy, span, error)));
    }
    if diagnostics.is_empty() {
        diagnostics = validation_errors(files, &policies, &templates, &checker.validator);
    }
    if diagnostics.is_empty() {
        templates.retain(|template| !linked.contains(&template.id));
        Ok(Policies { policies, unused_templates: templates })
    } else {
        Err(diagnostics)
    }
}

type Parsed = (Vec<NamedPolicy>, Vec<NamedTemplate>);

fn read_file(path: &str, content: &[u8]) -> Result<Parsed, Vec<Diagnostic>> {
    let text = utf8(path, content).map_err(|diagnostic| vec![diagnostic])?;
    let parsed: PolicySet = text.parse().map_err(|errors: cedar_policy::ParseErrors| {
        errors.iter().map(|error| cedar_diagnostic(path, text, error)).collect::<Vec<_>>()
    })?;
    let mut diagnostics: Vec<Diagnostic> = Vec::new();
    let mut templates = Vec::new();
    for template in parsed.templates() {
        let offset = template.as_ref().loc().map_or(0, |loc| loc.start());
        let id_span = span::annotation_of_template(template, "id");
        match plain_id(path, text, id_span.unwrap_or(offset..offset), template.annotation("id")) {
            Ok(id) => templates.push(NamedTemplate {
                template: template.new_id(PolicyId::new(&id)),
                file: path.to_owned(),
                position: Some(Position::of(text, offset)),
                id,
            }),
            Err(diagnostic) => diagnostics.push(diagnostic),
        }
    }
    templates.sort_by_key(|template| template.position);
    let mut policies = Vec::new();
    for policy in parsed.policies() {
        match named(path, text, policy) {
            Ok(policy) => policies.push(policy),
            Err(diagnostic) => diagnostics.push(diagnostic),
        }
    }
    policies.sort_by_key(|policy: &NamedPolicy| policy.position);
    if diagnostics.is_empty() { Ok((policies, templates)) } else { Err(diagnostics) }
}

pub(crate) fn named(path: &str, text: &str, policy: &Policy) -> Result<NamedPolicy, Diagnostic> {
    let offset = policy.as_ref().loc().map_or(0, |loc| loc.start());
    let id_span = span::annotation(policy, "id").unwrap_or(offset..offset);
    let id = plain_id(path, text, id_span, policy.annotation("id"))?;
    Ok(NamedPolicy {
        file: path.to_owned(),
        position: Some(Position::of(text, offset)),
        cedar: policy.new_id(PolicyId::new(&id)),
        profiles: NamedPolicy::profiles_of(policy.annotation("profile")),
        link: None,
        id,
    })
}

fn plain_id(path: &str, text: &str, span: Range<usize>, id: Option<&str>) -> Result<String, Diagnostic> {
    let refuse = |error| Err(Diagnostic::within(path, text, span, error));
    match id {
        None => refuse(BundleError::PolicyWithoutId),
        Some(id) if !is_plain_name(id) => refuse(BundleError::PolicyIdInvalid(id.to_owned())),
        Some(id) => Ok(id.to_owned()),
    }
}

/// Duplicate ids. Policies and templates share one namespace, so that a link cannot be mistaken for its template.
pub(crate) fn duplicates(
    files: &BundleFiles,
    policies: &[NamedPolicy],
    templates: &[NamedTemplate],
) -> Vec<Diagnostic> {
    let mut first: BTreeMap<&str, &NamedPolicy> = BTreeMap::new();
    let mut diagnostics = Vec::new();
    for policy in policies {
        match first.get(policy.id.as_str()) {
            Some(earlier) => diagnostics.push(diagnostic_in(
                files,
                policy,
                None,
                BundleError::DuplicatePolicy { id: policy.id.clone(), other: earlier.file.clone() },
            )),
            None => {
                first.insert(&policy.id, policy);
            }
        }
    }
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    seen.extend(first.iter().map(|(id, policy)| (*id, policy.file.as_str())));
    for template in templates {
        if let Some(other) = seen.insert(&template.id, &template.file) {
            let (id, other) = (template.id.clone(), other.to_owned());
            diagnostics.push(template.diagnostic(files, BundleError::DuplicatePolicy { id, other }));
        }
    }
    diagnostics
}

/// An error at the principal of a `permit` that names no issuer.
fn without_issuer(files: &BundleFiles, policy: &NamedPolicy, checker: &PolicyChecker) -> Option<Diagnostic> {
    let error = checker.check_names_issuer(policy)?;
    let span = match &policy.link {
        Some(link) => link.span(|_| true),
        None => {
            let start = policy.cedar.as_ref().loc().map(|loc| loc.start());
            start.and_then(|start| span::principal(text_of(files, &policy.file), start))
        }
    };
    Some(diagnostic_in(files, policy, span, error))
}
