//! Test cases of a bundle: `tests/<rule-id>/{allow,deny}/<sentence>.toml`.
//!
//! A case holds a principal, a request, and exactly which rules must have determined the decision;
//! its folder says which decision. `tests/<issuer>.toml` holds the claims that the cases of an
//! issuer start from, so that a case shows only what matters to it. The broker never reads them.

use crate::bundle::Bundle;
use crate::calendar::parse_unix_seconds;
use crate::decide::{DecideError, Decision, Effect, Principal, TokenRequest};
use crate::error::{Finding, Problem};
use crate::files::BundleFiles;
use crate::toml_file::TomlFile;
use std::collections::BTreeMap;
use toml::{Spanned, Value};
use vouchsafe_providers::{Attribute, AttributeValue};

/// When a case happens that does not say so: 2027-01-01T00:00:00Z.
const AT_DEFAULT: u64 = 1_798_761_600;
/// Lifetime of a request that does not say so.
const LIFETIME_SECONDS_DEFAULT: u64 = 300;

/// One decision that must come out as said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub path: String,
    /// The rule whose folder the case is in.
    pub rule: String,
    pub principal: Principal,
    pub request: TokenRequest,
    pub now: u64,
    pub effect: Effect,
    /// Sorted `@id`s; exactly these must determine the decision.
    pub rules: Vec<String>,
    /// Sorted `@id`s; exactly these must err.
    pub erring: Vec<String>,
}

impl Case {
    /// Decides the case. Whether it came out right is for [`Case::is_met_by`].
    pub fn decide(&self, bundle: &Bundle) -> Result<Decision, DecideError> {
        bundle.decide(&self.principal, &self.request, self.now)
    }

    pub fn is_met_by(&self, decision: &Decision) -> bool {
        decision.effect == self.effect
            && decision.determining_rules == self.rules
            && decision.erring_rules == self.erring
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct BaseFile {
    id: String,
    claims: BTreeMap<String, Value>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    issuer: Spanned<String>,
    id: Option<String>,
    at: Option<Spanned<String>>,
    #[serde(default)]
    claims: BTreeMap<String, Value>,
    /// Claims of the base that this token does not have.
    #[serde(default)]
    absent: Vec<String>,
    request: RequestEntry,
    rules: Vec<String>,
    #[serde(default)]
    erring: Vec<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestEntry {
    audience: String,
    #[serde(default)]
    scopes: Vec<String>,
    lifetime: Option<Spanned<String>>,
    client_ip: Option<String>,
    #[serde(default)]
    proof_of_possession: bool,
}

/// Whether `path`, which is relative to `tests/`, is one that a bundle may have.
pub(crate) fn is_case_path(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    path.ends_with(".toml") && matches!(parts.as_slice(), [_] | [_, "allow" | "deny", _])
}

/// The rule and the expected effect that a case's path says.
fn of_path(path: &str) -> Option<(&str, Effect)> {
    let (rule, rest) = path.strip_prefix("tests/")?.split_once('/')?;
    match rest.split_once('/')? {
        ("allow", _) => Some((rule, Effect::Permit)),
        ("deny", _) => Some((rule, Effect::Deny)),
        _ => None,
    }
}

/// Every case of the bundle in path order.
pub fn read(files: &BundleFiles, bundle: &Bundle) -> Result<Vec<Case>, Vec<Finding>> {
    let mut cases = Vec::new();
    let mut findings = Vec::new();
    for (path, content) in files.iter() {
        let Some((rule, effect)) = of_path(path) else {
            continue;
        };
        match read_case(path, content, files, bundle) {
            Ok(case) => cases.push(Case {
                rule: rule.to_owned(),
                effect,
                ..case
            }),
            Err(more) => findings.extend(more),
        }
    }
    if findings.is_empty() {
        Ok(cases)
    } else {
        Err(findings)
    }
}

fn read_case(
    path: &str,
    content: &[u8],
    files: &BundleFiles,
    bundle: &Bundle,
) -> Result<Case, Vec<Finding>> {
    let (mut file, entries): (_, CaseFile) =
        TomlFile::parse(path, content).map_err(|finding| vec![finding])?;
    let issuer_name = entries.issuer.get_ref().clone();
    let base = base(&issuer_name, files).map_err(|finding| vec![finding])?;
    let mut known = bundle.issuers_of_all_environments();
    let Some(issuer) = known.find(|issuer| issuer.name == issuer_name) else {
        file.refuse(
            entries.issuer.span(),
            Problem::CaseIssuerUnknown(issuer_name),
        );
        return Err(file.findings);
    };
    let mut claims = base.claims;
    claims.retain(|name, _| !entries.absent.contains(name));
    claims.extend(entries.claims);
    let lifetime = entries.request.lifetime.as_ref();
    let now = match &entries.at {
        None => AT_DEFAULT,
        Some(at) => parse_unix_seconds(at.get_ref()).unwrap_or_else(|| {
            file.refuse(at.span(), Problem::CaseTimeInvalid);
            AT_DEFAULT
        }),
    };
    let case = Case {
        path: path.to_owned(),
        rule: String::new(),
        principal: Principal {
            entity_type: issuer.entity_type(),
            id: entries.id.unwrap_or(base.id),
            issuer_name,
            attributes: attributes(&mut file, entries.issuer.span().start, claims),
        },
        request: TokenRequest {
            requested_lifetime_seconds: file.seconds(
                "lifetime",
                lifetime,
                0..=u64::MAX,
                LIFETIME_SECONDS_DEFAULT,
            ),
            audience: entries.request.audience,
            scopes: entries.request.scopes,
            client_ip: entries.request.client_ip,
            proof_of_possession: entries.request.proof_of_possession,
        },
        now,
        effect: Effect::Deny,
        rules: sorted(entries.rules),
        erring: sorted(entries.erring),
    };
    file.finish(case)
}

/// What the cases of an issuer start from; nothing, where there is no such file.
fn base(issuer_name: &str, files: &BundleFiles) -> Result<BaseFile, Finding> {
    let path = format!("tests/{issuer_name}.toml");
    match files.content(&path) {
        Some(content) => TomlFile::parse(&path, content).map(|(_, base)| base),
        None => Ok(BaseFile {
            id: String::new(),
            claims: BTreeMap::new(),
        }),
    }
}

fn attributes(
    file: &mut TomlFile<'_>,
    offset: usize,
    claims: BTreeMap<String, Value>,
) -> Vec<Attribute> {
    let mut attributes = Vec::with_capacity(claims.len());
    for (name, value) in claims {
        match attribute_value(value) {
            Some(value) => attributes.push(Attribute { name, value }),
            None => file.refuse(offset..offset, Problem::CaseClaimInvalid(name)),
        }
    }
    attributes
}

fn attribute_value(value: Value) -> Option<AttributeValue> {
    match value {
        Value::Boolean(value) => Some(AttributeValue::Boolean(value)),
        Value::Integer(value) => Some(AttributeValue::Integer(value)),
        Value::String(value) => Some(AttributeValue::Text(value)),
        Value::Array(values) => {
            let texts: Option<Vec<String>> = values
                .into_iter()
                .map(|value| value.as_str().map(str::to_owned))
                .collect();
            texts.map(AttributeValue::TextSet)
        }
        Value::Datetime(_) | Value::Float(_) | Value::Table(_) => None,
    }
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort_unstable();
    ids
}
