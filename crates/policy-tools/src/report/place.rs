//! The line that a finding is about, and how much of it.

use crate::report::Place;
use vouchsafe_policy::{BundleFiles, Position};

/// The place of a finding in `file`: at `position`, or where `anchor` comes first from there on, within
/// the same rule. None where nothing is known but the file.
pub(super) fn place(
    files: &BundleFiles,
    file: &str,
    position: Option<Position>,
    anchor: Option<&str>,
) -> Option<Place> {
    let text = std::str::from_utf8(files.content(file)?).ok()?;
    let start = position.map_or(Some(0), |position| offset(text, position))?;
    let found = anchor.and_then(|anchor| find(text, start, anchor));
    let (position, length) = match (found, position) {
        (Some((at, length)), _) => (Position::of(text, at), length),
        (None, Some(position)) => (position, token_length(text.get(start..)?)),
        (None, None) => return None,
    };
    let line = text.lines().nth(position.line.saturating_sub(1));
    let line = line.unwrap_or_default().to_owned();
    // Nothing is pointed at beyond the line's end but what follows it.
    let left = line
        .chars()
        .count()
        .saturating_sub(position.column.saturating_sub(1));
    Some(Place {
        position,
        length: length.min(left).max(1),
        line,
    })
}

/// Byte offset and characters of `anchor`, before the next rule begins.
fn find(text: &str, start: usize, anchor: &str) -> Option<(usize, usize)> {
    let rest = text.get(start..)?;
    let after_id = rest.find("@id(").map_or(0, |at| at.saturating_add(1));
    let end = rest
        .get(after_id..)
        .and_then(|rest| rest.find("\n@id("))
        .map_or(rest.len(), |at| at.saturating_add(after_id));
    let at = rest.get(..end)?.find(anchor)?;
    Some((start.saturating_add(at), anchor.chars().count()))
}

fn offset(text: &str, position: Position) -> Option<usize> {
    let lines = text.split_inclusive('\n');
    let before = position.line.checked_sub(1)?;
    let start: usize = lines.clone().take(before).map(str::len).sum();
    let line = lines.clone().nth(before).unwrap_or_default();
    let columns = line.char_indices().map(|(at, _)| at);
    let within = columns
        .chain([line.len()])
        .nth(position.column.checked_sub(1)?);
    Some(start.saturating_add(within?))
}

/// Characters of the word, the text or the sign that `rest` begins with.
fn token_length(rest: &str) -> usize {
    let word = |character: &char| character.is_alphanumeric() || "_.-@".contains(*character);
    match rest.chars().next() {
        Some('"') => {
            let mut escaped = false;
            let inner = rest.chars().skip(1).take_while(|character| {
                let end = (*character == '"' && !escaped) || *character == '\n';
                escaped = *character == '\\' && !escaped;
                !end
            });
            inner.count().saturating_add(2)
        }
        Some(first) if word(&first) => rest.chars().take_while(word).count(),
        Some(_) | None => 1,
    }
}
