//! Findings for people: where, what, the line with a caret, and what to do.

use crate::report::{Item, Place};
use vouchsafe_providers::is_unprintable;

/// How a part of the text is shown; without colours all are as they are.
#[derive(Debug, Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn paint(self, code: &str, text: &str) -> String {
        match self.0 {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// One block per finding, of which the first line alone says what, where and why.
pub fn text(items: &[Item], colours: bool) -> String {
    items
        .iter()
        .map(|item| block(item, Paint(colours)))
        .collect()
}

fn block(item: &Item, paint: Paint) -> String {
    let kind = match item.severity {
        crate::report::Severity::Error => paint.paint("1;31", "error"),
        crate::report::Severity::Warning => paint.paint("1;33", "warning"),
    };
    let at = match &item.place {
        Some(Place { position, .. }) => format!(":{}:{}", position.line, position.column),
        None => String::new(),
    };
    let (code, file, message) = (item.code, &item.file, paint.paint("1", &item.message));
    let mut text = format!("{kind}[{code}]: {file}{at}: {message}\n");
    if let Some(place) = &item.place {
        text.push_str(&excerpt(place, paint));
    }
    if let Some(fix) = &item.fix {
        text.push_str(&format!("  {} {fix}\n", paint.paint("1;32", "fix:")));
    }
    text
}

/// A character of a file as a terminal may have it: what is not displayed would move the carets, or act.
fn displayed(character: char) -> char {
    match character {
        '\t' => '\t',
        hidden if is_unprintable(hidden) => char::REPLACEMENT_CHARACTER,
        shown => shown,
    }
}

/// The line and, below it, carets under what it is about. Tabs are kept, so that both lines are as wide.
fn excerpt(place: &Place, paint: Paint) -> String {
    let number = place.position.line.to_string();
    let margin = " ".repeat(number.len());
    let before = place
        .line
        .chars()
        .take(place.position.column.saturating_sub(1));
    let blank: String = before
        .map(|character| if character == '\t' { '\t' } else { ' ' })
        .collect();
    let carets = paint.paint("1;31", &"^".repeat(place.length));
    let bar = paint.paint("1;34", "|");
    let number = paint.paint("1;34", &number);
    let line: String = place.line.chars().map(displayed).collect();
    format!("  {number} {bar} {line}\n  {margin} {bar} {blank}{carets}\n")
}
