//! Where the rules of a file begin and end, and which issuer and audience their scopes name, without parsing
//! them.
//!
//! Knows as much of Cedar's lexer as that takes. Whatever is not written plainly is either of any issuer and
//! any audience, or makes the whole text one that is not scanned: Cedar's parser decides then.

use std::ops::Range;

/// The text of a rule. `issuer` and `audience` are there if only requests of that issuer and for that
/// audience can match. All are bytes of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// From the first token to behind the semicolon.
    pub rule: Range<usize>,
    pub issuer: Option<Range<usize>>,
    pub audience: Option<Range<usize>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// An identifier, a keyword or a number.
    Word(Range<usize>),
    /// What is between the quotes, as it is written.
    Text(Range<usize>),
    /// Any other character.
    Mark(u8),
}

/// The rules of `text`; none where it holds templates, or anything that only Cedar's parser may judge.
pub(crate) fn rules(text: &str) -> Option<Vec<Place>> {
    let mut places = Vec::new();
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    let mut start = None;
    while let Some((place, token)) = lexer.next()? {
        let start_of_rule = *start.get_or_insert(place.start);
        if token != Token::Mark(b';') {
            tokens.push(token);
            continue;
        }
        let (issuer, audience) = scope(text, &tokens)?;
        places.push(Place {
            rule: start_of_rule..place.end,
            issuer,
            audience,
        });
        tokens.clear();
        start = None;
    }
    tokens.is_empty().then_some(places)
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

    /// The next token with its place, or, within, that there is none left; nothing where it is not plain.
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
            // Control characters, and what is not ASCII.
            _ => return None,
        };
        Some(Some((start..self.at, token)))
    }

    /// Goes behind the closing quote, and gives its place.
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

/// Issuer and audience that the scope of a rule of these `tokens` names.
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
        [
            _,
            kind @ ..,
            word,
            entity,
            Token::Mark(b':'),
            Token::Mark(b':'),
            Token::Text(name),
        ] if is(word, "in")
            && is(entity, "Issuer")
            && kind.first().is_none_or(|it| is(it, "is"))
            && is_path(kind) =>
        {
            Some(name.clone())
        }
        _ => None,
    };
    let audience = match resource {
        [
            _,
            Token::Mark(b'='),
            Token::Mark(b'='),
            entity,
            Token::Mark(b':'),
            Token::Mark(b':'),
            Token::Text(id),
        ] if is(entity, "Audience") => Some(id.clone()),
        _ => None,
    };
    let is_plain =
        |range: &Range<usize>| text.get(range.clone()).is_some_and(|it| !it.contains('\\'));
    Some((issuer.filter(is_plain), audience.filter(is_plain)))
}

/// What follows after `@name` and `@name("…")`.
fn without_annotations(mut tokens: &[Token]) -> Option<&[Token]> {
    while let [Token::Mark(b'@'), Token::Word(_), rest @ ..] = tokens {
        tokens = match rest {
            [
                Token::Mark(b'('),
                Token::Text(_),
                Token::Mark(b')'),
                rest @ ..,
            ] => rest,
            rest => rest,
        };
    }
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rule with its issuer and its audience.
    type Found<'t> = (&'t str, Option<&'t str>, Option<&'t str>);

    fn found(text: &str) -> Option<Vec<Found<'_>>> {
        let of = |range: &Option<Range<usize>>| range.clone().map(|range| &text[range]);
        let place = |place: &Place| {
            (
                &text[place.rule.clone()],
                of(&place.issuer),
                of(&place.audience),
            )
        };
        Some(rules(text)?.iter().map(place).collect())
    }

    #[test]
    fn rules_end_at_semicolons_that_are_neither_in_texts_nor_in_comments() {
        let one = r#"@id("a;b") permit (principal, action, resource) when { principal.x == "\";// no" };"#;
        let two = "@a @id(\"b\")\n@c(\"\") forbid // ; \"\r(principal // ,\n, action, resource);";
        let text = format!("// ; \"\n\n{one} // end;\n{two}\n// over");
        let any = |rule| (rule, None, None);
        assert_eq!(found(&text), Some(vec![any(one), any(two)]));
        assert_eq!(found(" // nothing"), Some(vec![]));
        assert_eq!(found(""), Some(vec![]));
    }

    #[test]
    fn an_issuer_and_an_audience_are_seen_where_they_are_written_plainly() {
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
                (
                    r#"resource == Audience::"https://a.example""#,
                    Some("https://a.example"),
                ),
                (r#"resource == Audience::"\u{61}""#, None),
                (r#"resource == N::Audience::"a""#, None),
                (r#"resource is Audience in AudienceGroup::"a""#, None),
                (r#"resource in Audience::"a""#, None),
                ("resource", None),
            ] {
                let rule = format!(
                    "permit ({principal}, action in [Action::\"issue\", Action::\"b\"], {resource}) unless {{ true }};"
                );
                let expected = (rule.as_str(), issuer, audience);
                assert_eq!(found(&rule), Some(vec![expected]));
            }
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_cedar() {
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
