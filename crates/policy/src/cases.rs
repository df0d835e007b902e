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
use crate::listing::text_of;
use crate::nearest::nearest;
use crate::records::Issuer;
use crate::spanned::Spanned;
use crate::toml_file::TomlFile;
use crate::toml_places;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::BTreeMap;
use toml::Value;
use vouchsafe_json::JsonObject;
use vouchsafe_providers::{Attribute, AttributeValue, ClaimType};

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
    /// The token that the principal was read from, where the case has one. Nothing here verifies it.
    pub token: Option<CaseToken>,
    pub request: TokenRequest,
    pub now: u64,
    /// The profile that the case is decided in; else that of the environment.
    pub profile: Option<String>,
    pub effect: Effect,
    /// Sorted `@id`s; exactly these must determine the decision.
    pub rules: Vec<String>,
    /// Sorted `@id`s; exactly these must err.
    pub erring: Vec<String>,
    /// The slug with which verification must refuse the token, so that no rule is asked.
    pub refused: Option<String>,
}

/// A real token as the subject of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseToken {
    /// A compact JWS (RFC 7515 §7.1).
    pub jwt: String,
    /// The keys of its issuer as a JWK Set; none where the issuer's file pins them.
    pub keys: Option<String>,
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

#[derive(Default, serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct BaseFile {
    #[serde(default)]
    id: String,
    #[serde(default)]
    #[cfg_attr(
        feature = "json-schema",
        schemars(with = "BTreeMap<String, serde_json::Value>")
    )]
    claims: BTreeMap<String, Value>,
    /// The issuer's keys as a JWK Set, for cases with a token.
    keys: Option<String>,
}

#[derive(serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct CaseFile {
    issuer: Spanned<String>,
    id: Option<String>,
    at: Option<Spanned<String>>,
    profile: Option<Spanned<String>>,
    /// A real token in place of claims; `at` is the clock by which it is verified.
    token: Option<Spanned<String>>,
    keys: Option<String>,
    refused: Option<Spanned<String>>,
    #[serde(default)]
    #[cfg_attr(
        feature = "json-schema",
        schemars(with = "BTreeMap<String, serde_json::Value>")
    )]
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
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
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
            Problem::CaseIssuerUnknown {
                nearest: nearest(
                    &issuer_name,
                    bundle
                        .issuers_of_all_environments()
                        .map(|it| it.name.as_str()),
                ),
                name: issuer_name,
            },
        );
        return Err(file.findings);
    };
    let now = moment(&mut file, &entries);
    if let Some(profile) = &entries.profile
        && bundle.profile(profile.get_ref()).is_none()
    {
        let problem = Problem::CaseProfileUnknown {
            name: profile.get_ref().clone(),
            nearest: nearest(profile.get_ref(), bundle.profile_names()),
        };
        file.refuse(profile.span(), problem);
    }
    let keys = entries.keys.clone().or_else(|| base.keys.clone());
    let (principal, token) = match &entries.token {
        Some(token) => {
            let principal = principal_of_token(&mut file, &entries, token, bundle, issuer);
            let jwt = token.get_ref().trim().to_owned();
            (principal, Some(CaseToken { jwt, keys }))
        }
        None => {
            if let Some(refused) = &entries.refused {
                file.refuse(refused.span(), Problem::CaseRefusalWithoutToken);
            }
            let principal = principal_of_claims(&mut file, &entries, base, issuer);
            (principal, None)
        }
    };
    let lifetime = entries.request.lifetime.as_ref();
    let case = Case {
        path: path.to_owned(),
        rule: String::new(),
        principal,
        token,
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
        profile: entries.profile.map(Spanned::into_inner),
        effect: Effect::Deny,
        rules: sorted(entries.rules),
        erring: sorted(entries.erring),
        refused: entries.refused.map(Spanned::into_inner),
    };
    file.finish(case)
}

fn moment(file: &mut TomlFile<'_>, entries: &CaseFile) -> u64 {
    let Some(at) = &entries.at else {
        if let Some(token) = &entries.token {
            file.refuse(token.span(), Problem::CaseTokenWithoutTime);
        }
        return AT_DEFAULT;
    };
    parse_unix_seconds(at.get_ref()).unwrap_or_else(|| {
        file.refuse(at.span(), Problem::CaseTimeInvalid);
        AT_DEFAULT
    })
}

fn principal_of_claims(
    file: &mut TomlFile<'_>,
    entries: &CaseFile,
    base: BaseFile,
    issuer: &Issuer,
) -> Principal {
    let mut claims = base.claims;
    claims.retain(|name, _| !entries.absent.contains(name));
    claims.extend(entries.claims.clone());
    Principal {
        entity_type: issuer.entity_type(),
        id: entries.id.clone().unwrap_or(base.id),
        issuer_name: issuer.name.clone(),
        attributes: attributes(file, claims),
    }
}

/// The principal that the token's claims make; they are decoded here, and verified by whoever runs the
/// case with keys at hand.
fn principal_of_token(
    file: &mut TomlFile<'_>,
    entries: &CaseFile,
    token: &Spanned<String>,
    bundle: &Bundle,
    issuer: &Issuer,
) -> Principal {
    if entries.id.is_some() || !entries.claims.is_empty() || !entries.absent.is_empty() {
        file.refuse(token.span(), Problem::CaseTokenAndClaims);
    }
    let principal = payload(token.get_ref())
        .and_then(|bytes| JsonObject::parse(&bytes).ok())
        .ok_or(Problem::CaseTokenMalformed)
        .and_then(|claims| {
            let principal = bundle.principal_of_claims(issuer, &claims);
            principal.map_err(Problem::CaseTokenClaims)
        });
    match principal {
        Ok(principal) => principal,
        Err(problem) => {
            // A token that must be refused may be refused for its claims.
            if entries.refused.is_none() || problem == Problem::CaseTokenMalformed {
                file.refuse(token.span(), problem);
            }
            Principal {
                entity_type: issuer.entity_type(),
                id: String::new(),
                issuer_name: issuer.name.clone(),
                attributes: Vec::new(),
            }
        }
    }
}

/// The payload of a compact JWS (RFC 7515 §7.1).
fn payload(token: &str) -> Option<Vec<u8>> {
    let mut parts = token.trim().split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    match parts.next() {
        None => URL_SAFE_NO_PAD.decode(payload).ok(),
        Some(_) => None,
    }
}

/// What the cases of an issuer start from; nothing, where there is no such file.
fn base(issuer_name: &str, files: &BundleFiles) -> Result<BaseFile, Finding> {
    let path = format!("tests/{issuer_name}.toml");
    match files.content(&path) {
        Some(content) => TomlFile::parse(&path, content).map(|(_, base)| base),
        None => Ok(BaseFile::default()),
    }
}

fn attributes(file: &mut TomlFile<'_>, claims: BTreeMap<String, Value>) -> Vec<Attribute> {
    let mut attributes = Vec::with_capacity(claims.len());
    for (name, value) in claims {
        match attribute_value(value) {
            Some(value) => attributes.push(Attribute { name, value }),
            None => {
                let place = file.place(&["claims", &name]);
                file.refuse(place, Problem::CaseClaimInvalid(name));
            }
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

/// Why a case can't be decided, at the place in its file, or in that which it starts from.
pub(crate) fn undecidable(
    files: &BundleFiles,
    bundle: &Bundle,
    case: &Case,
    error: DecideError,
) -> Finding {
    let path = match &error {
        DecideError::AttributesInvalid { entity_type } => {
            let misfit = misfit(bundle, entity_type, &case.principal.attributes);
            if let Some((claim, problem)) = misfit {
                return at_claim(files, case, &claim, problem);
            }
            &["issuer"][..]
        }
        DecideError::AudienceUnknown => {
            let name = case.request.audience.clone();
            let known = bundle.audiences().map(|audience| audience.id.as_str());
            let nearest = nearest(&name, known);
            let problem = Problem::CaseAudienceUnknown { name, nearest };
            let text = text_of(files, &case.path);
            let place = toml_places::value(text, &["request", "audience"]);
            return Finding::found(&case.path, text, place, problem);
        }
        DecideError::ClientIpInvalid => &["request", "client_ip"],
        DecideError::LifetimeInvalid => &["request", "lifetime"],
        DecideError::TimeInvalid => &["at"],
        DecideError::EntityTypeMismatch { .. } | DecideError::IssuerUnknown => &["issuer"],
        DecideError::RequestInvalid | DecideError::RulesInvalid => &["request"],
    };
    let text = text_of(files, &case.path);
    let place = toml_places::value(text, path);
    Finding::found(&case.path, text, place, Problem::CaseUndecidable(error))
}

/// At a claim of the case, or of the file that it starts from; at the case's issuer, where it is in neither.
fn at_claim(files: &BundleFiles, case: &Case, claim: &str, problem: Problem) -> Finding {
    let base = format!("tests/{}.toml", case.principal.issuer_name);
    for path in [&case.path, &base] {
        let text = text_of(files, path);
        if toml_places::value(text, &["claims", claim]).is_some() {
            let place = toml_places::key_of(text, "claims", claim);
            return Finding::found(path, text, place, problem);
        }
    }
    let text = text_of(files, &case.path);
    let place = toml_places::value(text, &["issuer"]);
    Finding::found(&case.path, text, place, problem)
}

/// The first claim that does not fit the principal's type.
fn misfit(
    bundle: &Bundle,
    entity_type: &str,
    attributes: &[Attribute],
) -> Option<(String, Problem)> {
    let known = bundle.attributes_of(entity_type)?;
    let entity_type = entity_type.to_owned();
    for Attribute { name, value } in attributes {
        let claim = name.clone();
        let Some(expected) = known.get(name) else {
            let nearest = nearest(name, known.keys().map(String::as_str));
            let problem = Problem::CaseClaimUnknown {
                claim,
                entity_type,
                nearest,
            };
            return Some((name.clone(), problem));
        };
        let (found, found_type) = type_of(value);
        if let Some(expected) = expected.claim_type.filter(|it| *it != found_type) {
            let problem = Problem::CaseClaimMistyped {
                claim,
                entity_type,
                expected: expected.expected(),
                found,
            };
            return Some((name.clone(), problem));
        }
    }
    let given = |name: &String| attributes.iter().any(|attribute| &attribute.name == name);
    let mut missing = known
        .iter()
        .filter(|(name, it)| it.required && !given(name));
    let (claim, _) = missing.next()?;
    let problem = Problem::CaseClaimMissing {
        claim: claim.clone(),
        entity_type,
    };
    Some((claim.clone(), problem))
}

fn type_of(value: &AttributeValue) -> (&'static str, ClaimType) {
    match value {
        AttributeValue::Boolean(_) => ("a boolean", ClaimType::Boolean),
        AttributeValue::Integer(_) => ("an integer", ClaimType::Integer),
        AttributeValue::Text(_) => ("a text", ClaimType::Text),
        AttributeValue::TextSet(_) => ("an array of texts", ClaimType::TextSet),
    }
}
