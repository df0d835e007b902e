//! Principals as cases describe them: by what differs from the default claims of their issuer.

use crate::error::CheckError;
use std::collections::BTreeMap;
use toml::Value;
use vouchsafe_policy::authoring::{Spanned, TomlFile, suggest};
use vouchsafe_policy::{Bundle, BundleError, BundleFiles, Diagnostic, Issuer, Principal};
use vouchsafe_providers::{Attribute, AttributeValue};

#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BaseFile {
    #[serde(default)]
    pub(super) id: String,
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub(super) claims: BTreeMap<String, Value>,
    /// The issuer's keys as a JWK Set, for cases with a token.
    pub(super) keys: Option<String>,
}

/// The issuer with this name; reports it if there is none.
pub(super) fn issuer_named<'b>(
    file: &mut TomlFile<'_, CheckError>,
    name: &Spanned<String>,
    bundle: &'b Bundle,
) -> Option<&'b Issuer> {
    let found = bundle.issuers_of_all_environments().find(|issuer| issuer.name == *name.get_ref());
    if found.is_none() {
        let known = bundle.issuers_of_all_environments().map(|it| it.name.as_str());
        let suggestion = suggest(name.get_ref(), known);
        file.refuse(name.span(), CheckError::CaseIssuerUnknown { suggestion, name: name.get_ref().clone() });
    }
    found
}

/// A principal as a case describes it: by what differs from the default claims of its issuer.
pub(super) struct Described<'a> {
    pub(super) id: &'a Option<String>,
    pub(super) claims: &'a BTreeMap<String, Value>,
    pub(super) absent: &'a [String],
}

impl Described<'_> {
    /// The principal; `place` is where the case has its claims.
    pub(super) fn principal(
        &self,
        file: &mut TomlFile<'_, CheckError>,
        place: &[&str],
        base: BaseFile,
        issuer: &Issuer,
    ) -> Principal {
        let mut claims = base.claims;
        claims.retain(|name, _| !self.absent.contains(name));
        claims.extend(self.claims.clone());
        Principal {
            entity_type: issuer.entity_type(),
            id: self.id.clone().unwrap_or(base.id),
            issuer_name: issuer.name.clone(),
            attributes: attributes(file, place, claims),
        }
    }
}

/// The default claims for cases of an issuer; empty if there is no such file.
pub(super) fn base(issuer_name: &str, files: &BundleFiles) -> Result<BaseFile, Box<Diagnostic>> {
    let path = format!("tests/{issuer_name}.toml");
    match files.content(&path) {
        Some(content) => TomlFile::<BundleError>::parse(&path, content).map(|(_, base)| base).map_err(Box::new),
        None => Ok(BaseFile::default()),
    }
}

fn attributes(file: &mut TomlFile<'_, CheckError>, place: &[&str], claims: BTreeMap<String, Value>) -> Vec<Attribute> {
    let mut attributes = Vec::with_capacity(claims.len());
    for (name, value) in claims {
        match attribute_value(value) {
            Some(value) => attributes.push(Attribute { name, value }),
            None => {
                let path: Vec<&str> = place.iter().copied().chain(["claims", &name]).collect();
                let place = file.span_of(&path);
                file.refuse(place, CheckError::CaseClaimInvalid(name));
            }
        }
    }
    attributes
}

pub(super) fn attribute_value(value: Value) -> Option<AttributeValue> {
    match value {
        Value::Boolean(value) => Some(AttributeValue::Boolean(value)),
        Value::Integer(value) => Some(AttributeValue::Integer(value)),
        Value::String(value) => Some(AttributeValue::Text(value)),
        Value::Array(values) => {
            let texts: Option<Vec<String>> =
                values.into_iter().map(|value| value.as_str().map(str::to_owned)).collect();
            texts.map(AttributeValue::TextSet)
        }
        Value::Datetime(_) | Value::Float(_) | Value::Table(_) => None,
    }
}
