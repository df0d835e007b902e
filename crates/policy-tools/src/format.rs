//! Policies in the layout of Cedar's formatter.

use cedar_policy::PolicySet;
use cedar_policy_formatter::{Config, policies_str_to_pretty};

/// Why policies cannot be formatted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error("Cedar's formatter would change the meaning of the policies")]
    Meaning,
    #[error("{0}")]
    Unreadable(String),
}

/// Formats a policy file in Cedar's layout: 80 columns, two spaces. Keeps comments.
///
/// # Errors
/// The text is not Cedar, or the formatter would change its meaning, which would be a bug in it.
pub fn format_policies(text: &str) -> Result<String, FormatError> {
    let before = meaning(text)?;
    if before.is_empty() {
        return Ok(text.to_owned());
    }
    let config = Config { line_width: 80, indent_width: 2 };
    let (head, rest) = split_head(text);
    let pretty = policies_str_to_pretty(rest, &config).map_err(|error| FormatError::Unreadable(error.to_string()))?;
    let pretty = format!("{head}{}\n", pretty.trim_end());
    match meaning(&pretty)? == before {
        true => Ok(pretty),
        false => Err(FormatError::Meaning),
    }
}

/// Splits off the comment at the start of a file if a blank line follows it. Cedar's formatter would attach it to the
/// first policy.
fn split_head(text: &str) -> (&str, &str) {
    let mut end = 0_usize;
    for line in text.split_inclusive('\n') {
        end = end.saturating_add(line.len());
        if line.trim().is_empty() {
            let (head, rest) = text.split_at_checked(end).unwrap_or(("", text));
            return if head.trim().is_empty() { ("", text) } else { (head, rest) };
        }
        if !line.starts_with("//") {
            break;
        }
    }
    ("", text)
}

/// Every policy and template of `text` in Cedar's JSON format, in the order of the text.
fn meaning(text: &str) -> Result<Vec<serde_json::Value>, FormatError> {
    let unreadable = |error: &dyn std::error::Error| FormatError::Unreadable(error.to_string());
    let set: PolicySet = text.parse().map_err(|error| unreadable(&error))?;
    let mut all = Vec::new();
    for policy in set.policies() {
        let json = policy.to_json().map_err(|error| unreadable(&error))?;
        all.push((order(policy.id().as_ref()), json));
    }
    for template in set.templates() {
        let json = template.to_json().map_err(|error| unreadable(&error))?;
        all.push((order(template.id().as_ref()), json));
    }
    all.sort_by_key(|(order, _)| *order);
    Ok(all.into_iter().map(|(_, json)| json).collect())
}

/// The index of a parsed policy: Cedar names them `policy0`, `policy1` and so on.
fn order(id: &str) -> usize {
    let digits = id.trim_start_matches(|character: char| !character.is_ascii_digit());
    digits.parse().unwrap_or(usize::MAX)
}
