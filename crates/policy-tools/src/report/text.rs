//! Diagnostics for people: position, message, the line with carets, and the fix.

use crate::report::item::{Item, Place, Severity};
use vouchsafe_providers::is_unprintable;

/// Whether parts of the text are coloured.
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

/// One block per diagnostic. Its first line alone has the position and the message.
pub fn text(items: &[Item], colours: bool) -> String {
    items.iter().map(|item| block(item, Paint(colours))).collect()
}

fn block(item: &Item, paint: Paint) -> String {
    let kind = match item.severity {
        Severity::Error => paint.paint("1;31", "error"),
        Severity::Warning => paint.paint("1;33", "warning"),
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

/// A character as it is safe to print: invisible ones would shift the carets or control the terminal.
fn displayed(character: char) -> char {
    match character {
        '\t' => '\t',
        hidden if is_unprintable(hidden) => char::REPLACEMENT_CHARACTER,
        shown => shown,
    }
}

/// The line and carets below it. Tabs are kept, so that both lines are aligned.
fn excerpt(place: &Place, paint: Paint) -> String {
    let number = place.position.line.to_string();
    let margin = " ".repeat(number.len());
    let before = place.line.chars().take(place.position.column.saturating_sub(1));
    let blank: String = before.map(|character| if character == '\t' { '\t' } else { ' ' }).collect();
    let carets = paint.paint("1;31", &"^".repeat(place.length));
    let bar = paint.paint("1;34", "|");
    let number = paint.paint("1;34", &number);
    let line: String = place.line.chars().map(displayed).collect();
    format!("  {number} {bar} {line}\n  {margin} {bar} {blank}{carets}\n")
}
