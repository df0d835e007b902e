//! Subject templates, which replace `sub` if an issuer's file says so.

use std::borrow::Cow;

use crate::error::{ClaimName, TokenError};

/// Longest template, in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 512;

/// Text with `{claim}` placeholders, such as `repo:{repository_id}:{ref}`.
///
/// Values are inserted unchanged. Distinct values give distinct subjects only if they cannot contain the text between
/// the placeholders: prefer ids, and put free text last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectTemplate {
    // INVARIANT: at least one placeholder; otherwise all workloads of an issuer would share one subject.
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Claim(String),
    Literal(String),
}

impl SubjectTemplate {
    /// Parses a template; `is_text_claim` says which names may be placeholders.
    ///
    /// # Errors
    /// The first problem found.
    pub fn parse(text: &str, is_text_claim: impl Fn(&str) -> bool) -> Result<Self, TemplateError> {
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err(TemplateError::TooLong);
        }
        let mut parts = Vec::new();
        let mut pieces = text.split('{');
        push_literal(&mut parts, pieces.next().unwrap_or_default())?;
        for piece in pieces {
            let (name, literal) = piece.split_once('}').ok_or(TemplateError::Brace)?;
            if !is_text_claim(name) {
                return Err(TemplateError::UnknownClaim);
            }
            parts.push(Part::Claim(name.to_owned()));
            push_literal(&mut parts, literal)?;
        }
        if parts.iter().any(|part| matches!(part, Part::Claim(_))) {
            Ok(Self { parts })
        } else {
            Err(TemplateError::NoClaim)
        }
    }

    /// Replaces the placeholders with the results of `value_of`.
    pub(crate) fn fill<'v>(&self, value_of: impl Fn(&str) -> Option<&'v str>) -> Result<String, TokenError> {
        let mut subject = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => subject.push_str(literal),
                Part::Claim(name) => {
                    let missing = || TokenError::ClaimMissing(ClaimName(Cow::Owned(name.clone())));
                    subject.push_str(value_of(name).ok_or_else(missing)?);
                }
            }
        }
        Ok(subject)
    }
}

/// Why a subject template is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("unbalanced brace")]
    Brace,
    #[error("the template has no placeholder")]
    NoClaim,
    #[error("the template is longer than {TEMPLATE_BYTES_MAX} bytes")]
    TooLong,
    #[error("a placeholder does not name a text claim of the provider")]
    UnknownClaim,
}

fn push_literal(parts: &mut Vec<Part>, literal: &str) -> Result<(), TemplateError> {
    if literal.contains('}') {
        return Err(TemplateError::Brace);
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SubjectTemplate, TemplateError> {
        SubjectTemplate::parse(text, |name| matches!(name, "a" | "b"))
    }

    fn value_of(name: &str) -> Option<&'static str> {
        (name == "a").then_some("A")
    }

    #[test]
    fn fills_placeholders_with_claims() {
        for (text, subject) in [("{a}", "A"), ("x:{a}", "x:A"), ("{a}:{a}y", "A:Ay")] {
            assert_eq!(parse(text).map(|template| template.fill(value_of)), Ok(Ok(subject.to_owned())), "{text}");
        }
    }

    #[test]
    fn names_missing_template_claim() {
        let missing = TokenError::ClaimMissing(ClaimName(Cow::Borrowed("b")));
        assert_eq!(parse("{a}{b}").map(|template| template.fill(value_of)), Ok(Err(missing)));
    }

    #[test]
    fn rejects_invalid_templates() {
        for (text, error) in [
            ("", TemplateError::NoClaim),
            ("constant", TemplateError::NoClaim),
            ("{a", TemplateError::Brace),
            ("a}", TemplateError::Brace),
            ("{a}}", TemplateError::Brace),
            ("{{a}}", TemplateError::Brace),
            ("{}", TemplateError::UnknownClaim),
            ("{ a}", TemplateError::UnknownClaim),
            ("{c}", TemplateError::UnknownClaim),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn bounds_the_template() {
        let longest = format!("{{a}}{}", "x".repeat(TEMPLATE_BYTES_MAX - 3));
        assert!(parse(&longest).is_ok());
        assert_eq!(parse(&format!("{longest}x")), Err(TemplateError::TooLong));
    }
}
