//! Characters that a reader cannot see.

/// The general categories Cf (format), Zl and Zp (U+2028, U+2029), as inclusive ranges, in Unicode 16.0. They have no
/// glyph of their own, and some reorder the characters around them.
const INVISIBLE: [(char, char); 21] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{2064}'),
    ('\u{2066}', '\u{206f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0001}', '\u{e0001}'),
    ('\u{e0020}', '\u{e007f}'),
];

/// Whether `c` is a control character (Cc), a format character (Cf, as of Unicode 16.0), or a line or paragraph
/// separator (Zl, Zp). Newline and tab are control characters; multi-line texts must allow them explicitly.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    let within = |(first, last): &(char, char)| (*first..=*last).contains(&c);
    c.is_control() || INVISIBLE.iter().any(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before(c: char) -> char {
        char::from_u32(u32::from(c) - 1).unwrap()
    }

    fn after(c: char) -> char {
        char::from_u32(u32::from(c) + 1).unwrap()
    }

    #[test]
    fn detects_invisible_characters_at_range_bounds() {
        for (first, last) in INVISIBLE {
            assert!(is_unprintable(first), "{first:?}");
            assert!(is_unprintable(last), "{last:?}");
            assert!(!is_unprintable(before(first)), "{:?}", before(first));
            assert!(!is_unprintable(after(last)), "{:?}", after(last));
        }
    }

    #[test]
    fn detects_control_characters_at_range_bounds() {
        for c in ['\0', '\t', '\n', '\r', '\u{1f}', '\u{7f}', '\u{80}', '\u{9f}'] {
            assert!(is_unprintable(c), "{c:?}");
        }
        for c in [' ', '~', '\u{a0}', '\u{ac}', '\u{ae}', 'é', '日', '😀', char::MAX] {
            assert!(!is_unprintable(c), "{c:?}");
        }
    }

    #[test]
    fn counts_the_characters_of_unicode_16() {
        // 65 of Cc, 170 of Cf, 1 of Zl, 1 of Zp.
        let count = ('\0'..=char::MAX).filter(|c| is_unprintable(*c)).count();
        assert_eq!(count, 65 + 170 + 2);
    }
}
