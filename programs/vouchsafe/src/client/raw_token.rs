//! Tokens as files, variables and commands have them: with white space around them, or not tokens at all.

use super::text::is_bearer_token;
use std::io::Read;
use std::path::Path;
use vouchsafe_cli::Failure;

/// The broker's limit; tokens of platforms have a few KiB.
const TOKEN_BYTES_MAX: u64 = 16 * 1024;
/// Room for some white space around a token.
const FILE_BYTES_MAX: u64 = TOKEN_BYTES_MAX + 1024;

/// An environment variable that is set and not empty.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Takes the token out of a text, without the white space around it.
pub fn validate(text: &str) -> Result<String, Failure> {
    let token = text.trim();
    let wrong = |what: &str, hint: &str| Err(Failure::usage(format!("the subject token {what}")).hint(hint));
    if token.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer ")) {
        return wrong("begins with `Bearer `", "use the token alone");
    }
    if token.contains(char::is_whitespace) {
        return wrong(
            "has white space or a line break in it",
            "a token is one word: use one token, as the platform issued it, and not wrapped into lines",
        );
    }
    if token.len() as u64 > TOKEN_BYTES_MAX {
        return wrong("is longer than 16 KiB", "no broker accepts it; is this the right file?");
    }
    if token.is_empty() {
        return wrong("is empty", "check that the platform issued one");
    }
    if !is_bearer_token(token) {
        return wrong("has characters that no token has", "use the token alone, without quotes or JSON around it");
    }
    Ok(token.to_owned())
}

pub fn read_file(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = |source: &mut dyn Read, text: &mut String| source.take(FILE_BYTES_MAX + 1).read_to_string(text);
    let outcome = if file == Path::new("-") {
        read(&mut std::io::stdin(), &mut text)
    } else {
        std::fs::File::open(file).and_then(|mut file| read(&mut file, &mut text))
    };
    outcome
        .map_err(|error| Failure::usage(format!("cannot read the subject token from {}: {error}", file.display())))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::usage(format!("the subject token in {} is longer than 16 KiB", file.display())));
    }
    if text.trim().is_empty() {
        let (source, hint) = if file == Path::new("-") {
            ("standard input".to_owned(), "the command before the pipe wrote nothing; run it alone to see why")
        } else {
            (format!("`{}`", file.display()), "check that the platform writes its token to this file")
        };
        return Err(Failure::usage(format!("no subject token in {source}")).hint(hint));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignores_white_space_around_a_token() {
        for text in ["a.b.c", "a.b.c\n", " a.b.c\r\n", "\t\na.b.c\n\n"] {
            assert_eq!(validate(text).unwrap(), "a.b.c", "{text:?}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_token() {
        let long = "a".repeat(16 * 1024);
        assert_eq!(validate(&long).unwrap(), long);
        for (text, expected) in [
            ("Bearer a.b.c", "the subject token begins with `Bearer `"),
            ("bearer a.b.c\n", "the subject token begins with `Bearer `"),
            ("a.b\n.c", "the subject token has white space or a line break in it"),
            ("a.b.c d.e.f", "the subject token has white space or a line break in it"),
            ("\"a.b.c\"", "the subject token has characters that no token has"),
            ("", "the subject token is empty"),
            (&format!("{long}a"), "the subject token is longer than 16 KiB"),
        ] {
            let failure = validate(text).unwrap_err();
            assert_eq!((failure.code, failure.message.as_str()), (2, expected));
            assert!(failure.hint.is_some());
        }
    }
}
