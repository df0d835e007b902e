//! Pieces of Cedar text.

use vouchsafe_policy::AttributeValue;

/// `text` as a string literal.
pub(crate) fn text(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}

/// A set of string literals; must not be empty in a policy.
pub(crate) fn texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let literals: Vec<String> = texts.into_iter().map(text).collect();
    format!("[{}]", literals.join(", "))
}

/// `principal.name`, or `principal["name"]` if the name is no identifier.
pub(crate) fn attribute(name: &str) -> String {
    match is_identifier(name) {
        true => format!("principal.{name}"),
        false => format!("principal[{}]", text(name)),
    }
}

/// `principal has name`.
pub(crate) fn has(name: &str) -> String {
    match is_identifier(name) {
        true => format!("principal has {name}"),
        false => format!("principal has {}", text(name)),
    }
}

fn is_identifier(name: &str) -> bool {
    let plain = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let reserved = ["true", "false", "if", "then", "else", "in", "is", "like", "has", "__cedar"];
    name.chars().all(plain) && !name.starts_with(|it: char| it.is_ascii_digit()) && !reserved.contains(&name)
}

/// `one || two || …`, nested so that the depth grows with the logarithm of their number; `false` if there are none.
pub(crate) fn any(mut parts: Vec<String>) -> String {
    if parts.is_empty() {
        return "false".to_owned();
    }
    while parts.len() > 1 {
        let pair = |pair: &[String]| match pair {
            [one, next] => format!("({one} || {next})"),
            others => others.concat(),
        };
        parts = parts.chunks(2).map(pair).collect();
    }
    parts.concat()
}

/// A claim's value as people read it.
pub(crate) fn shown(value: &AttributeValue) -> String {
    match value {
        AttributeValue::Boolean(value) => value.to_string(),
        AttributeValue::Integer(value) => value.to_string(),
        AttributeValue::Text(value) => text(value),
        AttributeValue::TextSet(values) => texts(values.iter().map(String::as_str)),
    }
}
