//! Characters that are displayed as nothing or as a space, although Unicode counts them as letters, marks or symbols.
//!
//! Format characters are errors of the bundle. These also occur in ordinary texts: emoji have variation selectors.

use super::warning::Warning;
use vouchsafe_policy::{BundleFiles, Diagnostic};

/// Fillers, joiners and selectors, as inclusive ranges.
const INVISIBLE: [(char, char); 10] = [
    ('\u{34f}', '\u{34f}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180d}'),
    ('\u{180f}', '\u{180f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{e0100}', '\u{e01ef}'),
];

/// A warning about the first such character of each file.
pub(super) fn warnings(files: &BundleFiles) -> Vec<Diagnostic<Warning>> {
    let warning = |(path, content): (&str, &[u8])| {
        let text = std::str::from_utf8(content).ok()?;
        let (at, character) = first(text)?;
        let place = at..at.saturating_add(character.len_utf8());
        let code = format!("U+{:04X}", u32::from(character));
        Some(Diagnostic::in_file(path, text, Some(place), Warning::CharacterInvisible(code)))
    };
    files.iter().filter_map(warning).collect()
}

fn first(text: &str) -> Option<(usize, char)> {
    let mut before = ' ';
    text.char_indices().find(|(_, character)| {
        let is_invisible = INVISIBLE.iter().any(|(first, last)| (*first..=*last).contains(character));
        // The emoji before it is a symbol, and looks different with it.
        let is_of_emoji = *character == '\u{fe0f}' && !before.is_alphanumeric() && !before.is_ascii();
        before = *character;
        is_invisible && !is_of_emoji
    })
}

#[cfg(test)]
mod tests {
    use super::first;

    #[test]
    fn finds_what_looks_like_nothing() {
        for hidden in ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}', '\u{2800}', '\u{fe00}', '\u{e01ef}'] {
            assert_eq!(first(&format!("prod{hidden}")), Some((4, hidden)));
        }
        assert_eq!(first("prod\u{fe0f}"), Some((4, '\u{fe0f}')));
        for fine in ["", "prod", "\u{26a0}\u{fe0f} careful", "\u{d55c}\u{ae00}", "\u{1161}\u{2801}\u{3163}"] {
            assert_eq!(first(fine), None, "{fine:?}");
        }
    }
}
