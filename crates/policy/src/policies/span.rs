//! The byte spans of parts of a policy, from the locations that Cedar's parser keeps.
//!
//! Of a template-linked policy only the values of the slots have spans: the rest is in another file.

use crate::bundle::files::{BundleFiles, text_of};
use crate::diagnostics::Diagnostic;
use crate::policies::policy::NamedPolicy;
use cedar_policy::{EntityUid, Policy, Template};
use std::ops::Range;

/// A diagnostic at `span` in the file of `policy`, or at its `@id` if there is no span.
pub fn diagnostic_in<E>(
    files: &BundleFiles,
    policy: &NamedPolicy,
    span: Option<Range<usize>>,
    error: E,
) -> Diagnostic<E> {
    let id = || match &policy.link {
        Some(_) => None,
        None => annotation(&policy.cedar, "id"),
    };
    match span.or_else(id) {
        Some(span) => Diagnostic::within(&policy.file, text_of(files, &policy.file), span, error),
        None => Diagnostic { file: policy.file.clone(), position: policy.position, length: None, kind: error },
    }
}

/// The span of the first entity in a policy that `matches` accepts.
pub fn entity(policy: &NamedPolicy, matches: impl Fn(&EntityUid) -> bool) -> Option<Range<usize>> {
    if let Some(link) = &policy.link {
        return link.span(matches);
    }
    let named = policy.cedar.entity_literals();
    let spans = named.iter().filter(|uid| matches(uid)).filter_map(span_of);
    spans.min_by_key(|span| span.start)
}

fn span_of(uid: &EntityUid) -> Option<Range<usize>> {
    let loc = uid.as_ref().loc()?;
    Some(loc.start()..loc.end())
}

/// The span of the first expression that `matches` accepts, which gets each as Cedar writes it.
pub fn expression(policy: &NamedPolicy, matches: impl Fn(&str) -> bool) -> Option<Range<usize>> {
    expressions(policy, matches).into_iter().next()
}

/// The spans of all such expressions in the order of the text, as [`expression`].
pub fn expressions(policy: &NamedPolicy, matches: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let body = policy.cedar.as_ref().non_scope_constraints();
    let Some(body) = body.filter(|_| policy.link.is_none()) else {
        return found;
    };
    for part in body.subexpressions() {
        let written = part.to_string();
        let Some(loc) = part.source_loc().filter(|_| matches(&written)) else {
            continue;
        };
        // The location of an attribute access extends over all further accesses.
        let starts = loc.snippet().is_some_and(|text| text.starts_with(&written));
        let end = match starts {
            true => loc.start().saturating_add(written.len()),
            false => loc.end(),
        };
        found.push(loc.start()..end);
    }
    found.sort_by_key(|span| (span.start, span.end));
    found.dedup();
    found
}

/// Whether the policy contains `expression`, written like this.
pub fn contains(policy: &NamedPolicy, expression: &str) -> bool {
    let body = policy.cedar.as_ref().non_scope_constraints();
    body.is_some_and(|body| body.subexpressions().any(|part| part.to_string() == expression))
}

/// The span of the value of an annotation such as `@id("…")`.
pub fn annotation(policy: &Policy, name: &str) -> Option<Range<usize>> {
    let mut annotations = policy.as_ref().annotations();
    let (_, value) = annotations.find(|(key, _)| AsRef::<str>::as_ref(*key) == name)?;
    let loc = value.loc.as_ref()?;
    Some(loc.start()..loc.end())
}

/// Like [`annotation`], for a template.
pub fn annotation_of_template(template: &Template, name: &str) -> Option<Range<usize>> {
    let mut annotations = template.as_ref().annotations();
    let (_, value) = annotations.find(|(key, _)| AsRef::<str>::as_ref(*key) == name)?;
    let loc = value.loc.as_ref()?;
    Some(loc.start()..loc.end())
}

/// The span of the word `principal` in the scope of the policy that starts at `start` in `text`.
pub fn principal(text: &str, start: usize) -> Option<Range<usize>> {
    let mut at = start;
    loop {
        let rest = text.get(at..)?;
        let first = rest.chars().next()?;
        at = at.saturating_add(match first {
            '"' => literal_bytes(rest),
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if first.is_alphabetic() || first == '_' => {
                let word = |character: char| !(character.is_alphanumeric() || character == '_');
                let length = rest.find(word).unwrap_or(rest.len());
                if rest.get(..length) == Some("principal") {
                    return Some(at..at.saturating_add(length));
                }
                length
            }
            _ => first.len_utf8(),
        });
    }
}

/// The length of the string literal at the start of `rest`.
fn literal_bytes(rest: &str) -> usize {
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|(_, character)| {
        let ends = *character == '"' && !escaped;
        escaped = *character == '\\' && !escaped;
        ends
    });
    end.map_or(rest.len(), |(at, _)| at.saturating_add(1))
}
