//! Characters in a bundle's files that a reviewer can't see, or that change the order of what they see.
//!
//! With them a text displays otherwise than it is, in rules and in comments (CVE-2021-42574, "trojan source"). A text
//! that needs such a character has it as an escape.

use crate::error::{Finding, Problem};
use crate::files::BundleFiles;
use vouchsafe_providers::is_unprintable;

/// The first such character of each file that is UTF-8.
pub(crate) fn findings(files: &BundleFiles) -> Vec<Finding> {
    let finding = |(path, content): (&str, &[u8])| {
        let text = std::str::from_utf8(content).ok()?;
        let (at, character) = hidden(text)?;
        let problem = Problem::CharacterHidden(format!("U+{:04X}", u32::from(character)));
        let end = at.saturating_add(character.len_utf8());
        Some(Finding::within(path, text, at..end, problem))
    };
    files.iter().filter_map(finding).collect()
}

/// The first hidden character of `text` with its place. Tabs and line ends, `\n` or `\r\n`, are none.
fn hidden(text: &str) -> Option<(usize, char)> {
    // Every instance of a component reads its bundle so, and most files are ASCII.
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
