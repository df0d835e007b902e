//! Helpers for the output and input of policy commands.

use std::path::Path;
use vouchsafe_cli::Failure;
use vouchsafe_policy::parse_unix_seconds;

/// Formats of findings in a bundle.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FindingFormat {
    /// Workflow commands of GitHub Actions, which annotate the lines of a pull request.
    Github,
    Json,
    /// SARIF 2.1.0, for code scanners.
    Sarif,
    Text,
}

/// `1 case`, `2 cases`, `2 policies`.
pub fn count(number: usize, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {noun}s"),
    }
}

/// `path` as one word of a shell command.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    match !text.is_empty() && text.bytes().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

pub fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| Failure::usage(format!("cannot write `{}`: {error}", path.display())))
}

/// Parses Unix seconds or a date.
pub fn parse_moment(text: &str) -> Result<u64, Failure> {
    let seconds = text.parse().ok().or_else(|| parse_unix_seconds(text));
    seconds.ok_or_else(|| {
        Failure::usage(format!("`{text}` is not a time"))
            .hint("write Unix seconds, or a date such as 2027-01-01T00:00:00Z")
    })
}
