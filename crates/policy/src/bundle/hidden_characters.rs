//! Characters in a bundle's files that are invisible or change the displayed order of others.
//!
//! They make a policy or comment display differently from what it says (CVE-2021-42574, "Trojan Source"). Strings
//! that need such a character can contain it as an escape.

use crate::bundle::files::BundleFiles;
use crate::diagnostics::{BundleError, Diagnostic};
use vouchsafe_providers::is_unprintable;

/// Reports the first hidden character of each file that is UTF-8.
pub(crate) fn find(files: &BundleFiles) -> Vec<Diagnostic> {
    let diagnostic = |(path, content): (&str, &[u8])| {
        let text = std::str::from_utf8(content).ok()?;
        let (at, character) = first_hidden(text)?;
        let error = BundleError::HiddenCharacter(format!("U+{:04X}", u32::from(character)));
        let end = at.saturating_add(character.len_utf8());
        Some(Diagnostic::within(path, text, at..end, error))
    };
    files.iter().filter_map(diagnostic).collect()
}

/// The first hidden character of `text` and its byte offset. Tabs, `\n` and `\r\n` are not hidden.
fn first_hidden(text: &str) -> Option<(usize, char)> {
    // The fast path: every instance of the component scans its bundle, and most files are ASCII.
    let plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    if text.bytes().all(plain) {
        return None;
    }
    let mut rest = text.char_indices().peekable();
    while let Some((at, character)) = rest.next() {
        let allowed = match character {
            '\n' | '\t' => true,
            '\r' => rest.peek().is_some_and(|(_, next)| *next == '\n'),
            _ => !is_unprintable(character),
        };
        if !allowed {
            return Some((at, character));
        }
    }
    None
}
