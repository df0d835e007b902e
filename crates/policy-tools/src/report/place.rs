//! The line and length of a diagnostic.

use crate::report::item::Place;
use vouchsafe_policy::{BundleFiles, Position};

/// The place of a diagnostic in `file`: `length` characters from `position`, or the token that is there.
pub(super) fn place(files: &BundleFiles, file: &str, position: Position, length: Option<usize>) -> Option<Place> {
    let text = std::str::from_utf8(files.content(file)?).ok()?;
    let start = offset(text, position)?;
    let length = length.or_else(|| text.get(start..).map(token_length))?;
    let line = text.lines().nth(position.line.saturating_sub(1));
    let line = line.unwrap_or_default().to_owned();
    // Carets never extend beyond one column after the end of the line.
    let left = line.chars().count().saturating_sub(position.column.saturating_sub(1));
    Some(Place { position, length: length.min(left).max(1), line })
}

fn offset(text: &str, position: Position) -> Option<usize> {
    let lines = text.split_inclusive('\n');
    let before = position.line.checked_sub(1)?;
    let start: usize = lines.clone().take(before).map(str::len).sum();
    let line = lines.clone().nth(before).unwrap_or_default();
    let columns = line.char_indices().map(|(at, _)| at);
    let within = columns.chain([line.len()]).nth(position.column.checked_sub(1)?);
    Some(start.saturating_add(within?))
}

/// The length in characters of the word, string or sign at the start of `rest`.
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
