//! Positions in text files.

use std::fmt;

/// A line and a column of a text, both counted from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    /// The position of the byte at `offset`, such as the start of a TOML error's span.
    pub fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let last_line = before.rsplit('\n').next().unwrap_or_default();
        Self {
            line: before.matches('\n').count().saturating_add(1),
            column: last_line.chars().count().saturating_add(1),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_characters_from_one() {
        let text = "a = 1\nä = x\n";
        for (offset, expected) in [(0, "1:1"), (4, "1:5"), (6, "2:1"), (11, "2:5"), (99, "3:1")] {
            assert_eq!(Position::of(text, offset).to_string(), expected, "{offset}");
        }
    }
}
