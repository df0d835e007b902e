//! Finds the policies of a file, and the issuer and audience in their scopes, without parsing them.
//!
//! Implements only the part of Cedar's lexer that this requires. A scope that is not written plainly counts as that of
//! any issuer and audience, and a text that may need more of the lexer is not scanned but left to Cedar's parser.

use std::ops::Range;

/// The byte ranges of a policy. `issuer` and `audience` are set if only requests of that issuer or for that audience can
/// match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScannedPolicy {
    /// From the first token to the semicolon, inclusive.
    pub text: Range<usize>,
    pub issuer: Option<Range<usize>>,
    pub audience: Option<Range<usize>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// An identifier, a keyword or a number.
    Word(Range<usize>),
    /// The source text between the quotes.
    Text(Range<usize>),
    /// Any other character.
    Mark(u8),
}

/// The policies of `text`; none if it has templates or anything else that is left to Cedar's parser.
pub(crate) fn policies(text: &str) -> Option<Vec<ScannedPolicy>> {
    let mut policies = Vec::new();
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    let mut start = None;
    while let Some((range, token)) = lexer.next()? {
        let start_of_policy = *start.get_or_insert(range.start);
        if token != Token::Mark(b';') {
            tokens.push(token);
            continue;
        }
        let (issuer, audience) = scope(text, &tokens)?;
        policies.push(ScannedPolicy { text: start_of_policy..range.end, issuer, audience });
        tokens.clear();
        start = None;
    }
    tokens.is_empty().then_some(policies)
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        let at = self.at.saturating_add(ahead);
        self.text.as_bytes().get(at).copied()
    }

    fn skip(&mut self, while_it: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&while_it) {
            self.at = self.at.saturating_add(1);
        }
    }

    /// The next token and its range; `Some(None)` at the end of the text, and `None` if the token is not plain.
    fn next(&mut self) -> Option<Option<(Range<usize>, Token)>> {
        loop {
            self.skip(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
            if (self.peek(0), self.peek(1)) != (Some(b'/'), Some(b'/')) {
                break;
            }
            self.skip(|byte| !matches!(byte, b'\r' | b'\n'));
        }
        let start = self.at;
        let Some(first) = self.peek(0) else {
            return Some(None);
        };
        self.at = self.at.saturating_add(1);
        let token = match first {
            b'"' => {
                let end = self.end_of_text()?;
                Token::Text(start.saturating_add(1)..end)
            }
            byte if is_of_word(byte) => {
                self.skip(is_of_word);
                Token::Word(start..self.at)
            }
            byte if byte.is_ascii_graphic() => Token::Mark(byte),
            // A control or non-ASCII character.
            _ => return None,
        };
        Some(Some((start..self.at, token)))
    }

    /// Skips to after the closing quote, and returns its position.
    fn end_of_text(&mut self) -> Option<usize> {
        loop {
            self.skip(|byte| !matches!(byte, b'"' | b'\\'));
            let end = self.at;
            let is_quote = self.peek(0)? == b'"';
            if !is_quote && matches!(self.peek(1)?, b'\r' | b'\n') {
                return None;
            }
            self.at = self.at.saturating_add(if is_quote { 1 } else { 2 });
            if is_quote {
                return Some(end);
            }
        }
    }
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

type Named = (Option<Range<usize>>, Option<Range<usize>>);

/// The issuer and the audience in the scope of a policy with these `tokens`.
fn scope(text: &str, tokens: &[Token]) -> Option<Named> {
    let is = |token: &Token, word: &str| matches!(token, Token::Word(range) if text.get(range.clone()) == Some(word));
    let tokens = without_annotations(tokens)?;
    let [effect, Token::Mark(b'('), rest @ ..] = tokens else {
        return None;
    };
    let end = rest.iter().position(|it| *it == Token::Mark(b')'))?;
    let inside = rest.get(..end)?;
    if !(is(effect, "permit") || is(effect, "forbid")) || inside.contains(&Token::Mark(b'?')) {
        return None;
    }
    let principal = inside.split(|it| *it == Token::Mark(b',')).next()?;
    let resource = inside.rsplit(|it| *it == Token::Mark(b',')).next()?;
    if !is(principal.first()?, "principal") || !is(resource.first()?, "resource") {
        return None;
    }
    let is_path = |tokens: &[Token]| {
        let mut tokens = tokens.iter();
        tokens.all(|it| matches!(it, Token::Word(_) | Token::Mark(b':')))
    };
    let issuer = match principal {
        [_, kind @ .., word, entity, Token::Mark(b':'), Token::Mark(b':'), Token::Text(name)]
            if is(word, "in")
                && is(entity, "Issuer")
                && kind.first().is_none_or(|it| is(it, "is"))
                && is_path(kind) =>
        {
            Some(name.clone())
        }
        _ => None,
    };
    let audience = match resource {
        [_, Token::Mark(b'='), Token::Mark(b'='), entity, Token::Mark(b':'), Token::Mark(b':'), Token::Text(id)]
            if is(entity, "Audience") =>
        {
            Some(id.clone())
        }
        _ => None,
    };
    let is_plain = |range: &Range<usize>| text.get(range.clone()).is_some_and(|it| !it.contains('\\'));
    Some((issuer.filter(is_plain), audience.filter(is_plain)))
}

/// The tokens after all `@name` and `@name("…")`.
fn without_annotations(mut tokens: &[Token]) -> Option<&[Token]> {
    while let [Token::Mark(b'@'), Token::Word(_), rest @ ..] = tokens {
        tokens = match rest {
            [Token::Mark(b'('), Token::Text(_), Token::Mark(b')'), rest @ ..] => rest,
            rest => rest,
        };
    }
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of a policy with its issuer and its audience.
    type Found<'t> = (&'t str, Option<&'t str>, Option<&'t str>);

    fn found(text: &str) -> Option<Vec<Found<'_>>> {
        let of = |range: &Option<Range<usize>>| range.clone().map(|range| &text[range]);
        let parts = |policy: &ScannedPolicy| (&text[policy.text.clone()], of(&policy.issuer), of(&policy.audience));
        Some(policies(text)?.iter().map(parts).collect())
    }

    #[test]
    fn splits_at_semicolons_outside_strings_and_comments() {
        let one = r#"@id("a;b") permit (principal, action, resource) when { principal.x == "\";// no" };"#;
        let two = "@a @id(\"b\")\n@c(\"\") forbid // ; \"\r(principal // ,\n, action, resource);";
        let text = format!("// ; \"\n\n{one} // end;\n{two}\n// over");
        let any = |policy| (policy, None, None);
        assert_eq!(found(&text), Some(vec![any(one), any(two)]));
        assert_eq!(found(" // nothing"), Some(vec![]));
        assert_eq!(found(""), Some(vec![]));
    }

    #[test]
    fn finds_plainly_written_issuer_and_audience() {
        for (principal, issuer) in [
            (r#"principal is A::B in Issuer::"x""#, Some("x")),
            (r#"principal is A in Issuer :: "x""#, Some("x")),
            ("principal in // why\nIssuer::\"x, y)\"", Some("x, y)")),
            (r#"principal in Issuer::"x\n""#, None),
            (r#"principal in N::Issuer::"x""#, None),
            (r#"principal == Issuer::"x""#, None),
            (r#"principal in WorkloadGroup::"x""#, None),
            ("principal is A", None),
            ("principal", None),
        ] {
            for (resource, audience) in [
                (r#"resource == Audience::"https://a.example""#, Some("https://a.example")),
                (r#"resource == Audience::"\u{61}""#, None),
                (r#"resource == N::Audience::"a""#, None),
                (r#"resource is Audience in AudienceGroup::"a""#, None),
                (r#"resource in Audience::"a""#, None),
                ("resource", None),
            ] {
                let policy = format!(
                    "permit ({principal}, action in [Action::\"issue\", Action::\"b\"], {resource}) unless {{ true }};"
                );
                let expected = (policy.as_str(), issuer, audience);
                assert_eq!(found(&policy), Some(vec![expected]));
            }
        }
    }

    #[test]
    fn leaves_everything_else_to_cedar() {
        for text in [
            "permit (principal, action, resource)",
            "permit (principal, action, resource); x",
            "permit (principal in ?principal, action, resource);",
            "permit (principal, action, resource == ?resource);",
            "allow (principal, action, resource);",
            "permit (resource, action, principal);",
            "permit ();",
            "permit;",
            ";",
            "permit (principal, action, resource) when { \"open };",
            "permit (principal, action, resource) when { \"\\\n\" };",
            "permit (principal, action, resource) when { \"\\",
            "permit\u{a0}(principal, action, resource);",
            "permit\u{c}(principal, action, resource);",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
