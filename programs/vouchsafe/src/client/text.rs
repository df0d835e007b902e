//! Text from servers, made safe for terminals and for the logs of CI systems.

use vouchsafe_providers::is_unprintable;

const CHARACTERS_MAX: usize = 300;
const REPLACEMENT: char = '\u{fffd}';

/// Starts of log commands that count anywhere in a line: those of GitHub Actions and Azure Pipelines, then those of the
/// latter only.
const LOG_COMMANDS: [&str; 2] = ["##[", "##vso["];

/// Shortens text from a server, and removes what moves the cursor, reorders other text, or is a command to whatever
/// reads the log.
pub fn sanitize(text: &str) -> String {
    let visible = |c| if is_unprintable(c) { REPLACEMENT } else { c };
    let text: String = text.chars().take(CHARACTERS_MAX).map(visible).collect();
    let text = LOG_COMMANDS.iter().fold(text, |text, command| {
        let rest = command.trim_start_matches('#');
        text.replace(command, &format!("#{REPLACEMENT}{rest}"))
    });
    // A command of GitHub Actions is a whole line.
    if text.trim_start().starts_with("::") { format!("{REPLACEMENT}{text}") } else { text }
}

/// A URL for a message, without a user name and a password.
pub fn without_user_info(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, rest)) => format!("…@{}", sanitize(rest)),
        None => sanitize(url),
    }
}

/// Whether a token has only the characters of a bearer token (RFC 6750 §2.1), so that printing it to a shell or a
/// workflow can't be mistaken for anything else.
pub fn is_bearer_token(token: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    !token.is_empty() && token.bytes().all(is_allowed)
}

pub fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sanitizes_commands_and_invisible_characters() {
        for (text, expected) in [
            ("http://[::1]:3000 a#b [1] :x", "http://[::1]:3000 a#b [1] :x"),
            ("##[add-mask]x", "#\u{fffd}[add-mask]x"),
            ("a ##[set-env name=x]y", "a #\u{fffd}[set-env name=x]y"),
            ("####[x]", "###\u{fffd}[x]"),
            ("##vso[task.setvariable]x", "#\u{fffd}vso[task.setvariable]x"),
            ("::error::x", "\u{fffd}::error::x"),
            (" ::error::x", "\u{fffd} ::error::x"),
            ("a\r\n::b", "a\u{fffd}\u{fffd}::b"),
            ("#\u{200b}#[x]", "#\u{fffd}#[x]"),
            ("a\u{202e}b\u{2066}c\u{1b}[2J", "a\u{fffd}b\u{fffd}c\u{fffd}[2J"),
        ] {
            assert_eq!(sanitize(text), expected, "{text:?}");
        }
        assert_eq!(sanitize(&"a".repeat(301)).len(), 300);
    }

    #[test]
    fn rejects_tokens_that_could_be_commands() {
        for (token, expected) in [
            ("a.b-c_d~e+f/g=", true),
            ("", false),
            ("a\n::add-path::x", false),
            ("a;b", false),
            ("a b", false),
            ("ä", false),
        ] {
            assert_eq!(is_bearer_token(token), expected, "{token:?}");
        }
    }
}
