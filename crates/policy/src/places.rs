//! Where in its file a rule says something, by the places that Cedar's parser keeps.
//!
//! Of a template that is filled only what fills it has a place: the rest is said in another file.

use crate::rules::Rule;
use cedar_policy::{EntityUid, Policy, Template};
use std::ops::Range;

/// The bytes of an entity that a rule names.
pub(crate) fn entity(rule: &Rule, is_it: impl Fn(&EntityUid) -> bool) -> Option<Range<usize>> {
    if let Some(link) = &rule.link {
        return link.place(is_it);
    }
    let named = rule.policy.entity_literals();
    let places = named.iter().filter(|uid| is_it(uid)).filter_map(place_of);
    places.min_by_key(|place| place.start)
}

fn place_of(uid: &EntityUid) -> Option<Range<usize>> {
    let place = uid.as_ref().loc()?;
    Some(place.start()..place.end())
}

/// The bytes of the first expression that `is_it` takes, which is given each as Cedar writes it.
pub(crate) fn expression(rule: &Rule, is_it: impl Fn(&str) -> bool) -> Option<Range<usize>> {
    expressions(rule, is_it).into_iter().next()
}

/// As [`expression`], of all such expressions in the order of the text.
pub(crate) fn expressions(rule: &Rule, is_it: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let body = rule.policy.as_ref().non_scope_constraints();
    let Some(body) = body.filter(|_| rule.link.is_none()) else {
        return found;
    };
    for part in body.subexpressions() {
        let written = part.to_string();
        let Some(place) = part.source_loc().filter(|_| is_it(&written)) else {
            continue;
        };
        // What is read of an object has the place of all that is read behind it.
        let starts = place
            .snippet()
            .is_some_and(|text| text.starts_with(&written));
        let end = match starts {
            true => place.start().saturating_add(written.len()),
            false => place.end(),
        };
        found.push(place.start()..end);
    }
    found.sort_by_key(|place| (place.start, place.end));
    found.dedup();
    found
}

/// Whether some expression of the rule is written so.
pub(crate) fn says(rule: &Rule, expression: &str) -> bool {
    let body = rule.policy.as_ref().non_scope_constraints();
    body.is_some_and(|body| {
        body.subexpressions()
            .any(|part| part.to_string() == expression)
    })
}

/// The bytes of an annotation such as `@id("…")`.
pub(crate) fn annotation(policy: &Policy, name: &str) -> Option<Range<usize>> {
    let mut annotations = policy.as_ref().annotations();
    let (_, value) = annotations.find(|(key, _)| AsRef::<str>::as_ref(*key) == name)?;
    let place = value.loc.as_ref()?;
    Some(place.start()..place.end())
}

/// As [`annotation`], of a template.
pub(crate) fn annotation_of_template(template: &Template, name: &str) -> Option<Range<usize>> {
    let mut annotations = template.as_ref().annotations();
    let (_, value) = annotations.find(|(key, _)| AsRef::<str>::as_ref(*key) == name)?;
    let place = value.loc.as_ref()?;
    Some(place.start()..place.end())
}

/// The bytes of the word `principal` in the scope of the rule that begins at `start` of `text`.
pub(crate) fn principal(text: &str, start: usize) -> Option<Range<usize>> {
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

/// Bytes of the text literal that `rest` begins with.
fn literal_bytes(rest: &str) -> usize {
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|(_, character)| {
        let ends = *character == '"' && !escaped;
        escaped = *character == '\\' && !escaped;
        ends
    });
    end.map_or(rest.len(), |(at, _)| at.saturating_add(1))
}
