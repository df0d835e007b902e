//! Sample values for cases.

use super::known::claims_of;
use vouchsafe_policy::{Claim, ClaimType, Issuer};

/// `text` as a basic string of TOML.
pub(super) fn toml_text(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\u{0}'..='\u{1f}' | '\u{7f}' => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(character)));
            }
            plain => quoted.push(plain),
        }
    }
    quoted + "\""
}

/// `text` as a string literal of Cedar.
pub(super) fn cedar_text(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}

/// The file with default claims for cases of `issuer`: each required claim with a placeholder value.
pub(super) fn base_file(issuer: &Issuer) -> String {
    let required = claims_of(issuer).iter().filter(|claim| claim.required);
    let claims: String = required.map(|claim| claim_line(claim, sample(claim)) + "\n").collect();
    let (name, id) = (&issuer.name, "id = \"workload\"");
    format!("# What the cases of issuer `{name}` start from.\n{id}\n\n[claims]\n{claims}")
}

fn sample(claim: &Claim) -> &'static str {
    match claim.claim_type {
        ClaimType::Boolean => "false",
        ClaimType::Integer => "1",
        ClaimType::Text | ClaimType::TextMap | ClaimType::TextOrSet | ClaimType::TextSet => "example",
    }
}

/// `name = value` in TOML.
pub(super) fn claim_line(claim: &Claim, value: &str) -> String {
    let value = match claim.claim_type {
        ClaimType::Boolean | ClaimType::Integer => value.to_owned(),
        ClaimType::Text => toml_text(value),
        ClaimType::TextMap | ClaimType::TextOrSet | ClaimType::TextSet => {
            format!("[{}]", toml_text(value))
        }
    };
    format!("{} = {value}", toml_key(&claim.name))
}

fn toml_key(name: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    match !name.is_empty() && name.chars().all(plain) {
        true => name.to_owned(),
        false => toml_text(name),
    }
}

/// A different value.
pub(super) fn other_value(claim: &Claim, value: &str) -> Option<String> {
    match claim.claim_type {
        ClaimType::Boolean => Some((value != "true").to_string()),
        ClaimType::Integer => {
            let number: i64 = value.parse().ok()?;
            number.checked_add(1).map(|other| other.to_string())
        }
        ClaimType::Text | ClaimType::TextMap | ClaimType::TextOrSet | ClaimType::TextSet => {
            Some(format!("{value}-other"))
        }
    }
}

/// The condition that the claim has the value.
pub(super) fn comparison(claim: &Claim, value: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let is_name = claim.name.chars().all(plain) && !claim.name.starts_with(|it: char| it.is_ascii_digit());
    let (attribute, has) = match is_name {
        true => (format!("principal.{}", claim.name), claim.name.to_string()),
        false => {
            let name = cedar_text(&claim.name);
            (format!("principal[{name}]"), name)
        }
    };
    let compared = match claim.claim_type {
        ClaimType::Boolean | ClaimType::Integer => format!("{attribute} == {value}"),
        ClaimType::Text => format!("{attribute} == {}", cedar_text(value)),
        ClaimType::TextMap | ClaimType::TextOrSet | ClaimType::TextSet => {
            format!("{attribute}.contains({})", cedar_text(value))
        }
    };
    match claim.required {
        true => compared,
        false => format!("principal has {has} && {compared}"),
    }
}
