//! `{{ variable }}` templates.

use crate::error::ManifestError;
use std::collections::BTreeMap;

/// Text that contains variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(String),
}

impl Template {
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let fail = |reason| ManifestError::Template { template: text.to_owned(), reason };
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or_else(|| fail("`{{` without `}}`"))?;
            let name = name.trim();
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(fail("invalid variable name between `{{` and `}}`"));
            }
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Variable(name.to_owned()));
            rest = after;
        }
        if rest.contains("}}") {
            return Err(fail("`}}` without `{{`"));
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// Names of the variables in the template.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Variable(name) => Some(name.as_str()),
        })
    }

    pub fn expand(&self, values: &BTreeMap<String, String>) -> Result<String, ManifestError> {
        let mut text = String::new();
        for part in &self.0 {
            text.push_str(match part {
                Part::Text(text) => text,
                Part::Variable(name) => {
                    values.get(name).ok_or_else(|| ManifestError::UnknownVariable { name: name.clone() })?
                }
            });
        }
        Ok(text)
    }
}
