//! What one line has: values by their shape, and names of variables that are set or read from a secret.

use crate::kinds::{KINDS, Kind, Shape};

/// Kinds of the secrets that the line itself has.
pub(crate) fn values(line: &str) -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().filter(move |kind| kind.shapes.iter().any(|shape| is_in(shape, line)))
}

fn is_in(shape: &Shape, line: &str) -> bool {
    match shape {
        Shape::Contains(part) => line.contains(part),
        Shape::Prefix(prefix, more) => words(line).any(|(_, word)| {
            let rest = word.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.len() >= *more)
        }),
    }
}

/// Kinds of the variables that the line sets to something lasting, or reads from a secret, with their names.
pub(crate) fn names(line: &str) -> impl Iterator<Item = (&'static Kind, &str)> {
    words(line).filter_map(move |(at, word)| {
        let (before, after) = (line.get(..at)?, line.get(at.checked_add(word.len())?..)?);
        let name = word.strip_prefix("secrets.").unwrap_or(word);
        let kind = KINDS.iter().find(|kind| kind.names.contains(&name))?;
        let found = name.len() < word.len() || names_a_secret(before) || sets(after);
        found.then_some((kind, name))
    })
}

/// Whether what follows a name sets it, to something that is not made while a job runs.
fn sets(after: &str) -> bool {
    let after = after.trim_start_matches(['"', '\'', ' ']);
    let Some(value) = after.strip_prefix(['=', ':']) else {
        return false;
    };
    let value = value.trim().trim_start_matches(['"', '\'']);
    !value.is_empty() && !value.starts_with(['$', '`'])
}

/// Whether a manifest names a variable, or the key of a Secret, after this.
fn names_a_secret(before: &str) -> bool {
    let before = before.trim_end_matches(['"', '\'', ' ']);
    ["key:", "name:"].iter().any(|part| before.ends_with(part))
}

/// Words of letters, digits, `-`, `_` and `.`, with their places in bytes.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    line.split(move |character| !is_part(character)).filter(|word| !word.is_empty()).map(move |word| {
        // A word is part of the line.
        (word.as_ptr().addr().saturating_sub(line.as_ptr().addr()), word)
    })
}
