//! Test cases of a bundle: `tests/<policy-id>/{allow,deny}/<sentence>.toml`.
//!
//! A case has a principal, a request, and exactly the policies that must determine the decision. Its folder says which
//! decision is expected. `tests/<issuer>.toml` has default claims for the cases of an issuer, so that a case contains
//! only what matters to it. The broker never reads these files.

mod actor;
mod described;
pub(crate) mod undecidable;
pub mod written;

use crate::claims::principal_of_claims;
use crate::error::CheckError;
use crate::limits::lacks_requirement;
use actor::ActorEntry;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
pub use described::BaseFile;
use described::{Described, attribute_value, base, issuer_named};
use std::collections::BTreeMap;
use toml::Value;
use vouchsafe_json::JsonObject;
use vouchsafe_policy::authoring::{Spanned, TomlFile, suggest};
use vouchsafe_policy::{
    Bundle, BundleFiles, DecideError, Decision, Diagnostic, Effect, Issuer, Principal, TokenRequest, parse_unix_seconds,
};
use vouchsafe_providers::Attribute;

/// The time of a case that does not set one: 2027-01-01T00:00:00Z.
pub(crate) const AT_DEFAULT: u64 = 1_798_761_600;
/// The lifetime of a request that does not set one.
const LIFETIME_SECONDS_DEFAULT: u64 = 300;

/// A request and its expected decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub path: String,
    /// The policy whose folder contains the case.
    pub policy: String,
    pub principal: Principal,
    /// The token that the principal was read from, if the case has one. It is not verified here.
    pub token: Option<CaseToken>,
    pub request: TokenRequest,
    /// Who acts for the principal.
    pub actor: Option<Principal>,
    pub now: u64,
    /// The profile to decide in, if not that of the environment.
    pub profile: Option<String>,
    pub effect: Effect,
    /// Sorted `@id`s of exactly the policies that must determine the decision.
    pub policies: Vec<String>,
    /// Sorted `@id`s of exactly the policies that must fail to evaluate.
    pub erring: Vec<String>,
    /// The slug with which verification must refuse the token, before any policy is evaluated.
    pub refused: Option<String>,
}

/// A real token as the subject of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseToken {
    /// A compact JWS (RFC 7515 §7.1).
    pub jwt: String,
    /// The issuer's keys as a JWK Set; none if the issuer's file pins them.
    pub keys: Option<String>,
}

impl Case {
    /// Decides the case; [`Case::is_met_by`] compares the result.
    pub fn decide(&self, bundle: &Bundle) -> Result<Decision, DecideError> {
        self.decide_for(&self.principal, bundle)
    }

    /// Decides the case for the principal of its verified token. The broker refuses a request without scopes or proof of
    /// possession if the audience requires them, so that a permit by policies counts as a denial by none.
    pub(crate) fn decide_for(&self, principal: &Principal, bundle: &Bundle) -> Result<Decision, DecideError> {
        let mut decision = match &self.actor {
            Some(actor) => bundle.decide_actor(actor, principal, &self.request, self.now)?,
            None => bundle.decide(principal, &self.request, self.now)?,
        };
        if decision.effect == Effect::Permit && lacks_requirement(bundle, &self.request) {
            decision.effect = Effect::Deny;
            decision.determining_rules.clear();
        }
        Ok(decision)
    }

    pub fn is_met_by(&self, decision: &Decision) -> bool {
        decision.effect == self.effect
            && decision.determining_rules == self.policies
            && decision.erring_rules == self.erring
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseFile {
    issuer: Spanned<String>,
    id: Option<String>,
    at: Option<Spanned<String>>,
    profile: Option<Spanned<String>>,
    /// A real token instead of claims, which is verified at time `at`.
    token: Option<Spanned<String>>,
    keys: Option<String>,
    refused: Option<Spanned<String>>,
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    claims: BTreeMap<String, Value>,
    /// Default claims that this token does not have.
    #[serde(default)]
    absent: Vec<String>,
    /// The workload that acts for the principal.
    actor: Option<ActorEntry>,
    request: RequestEntry,
    #[serde(rename = "rules")]
    policies: Vec<String>,
    #[serde(default)]
    erring: Vec<String>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
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

/// The policy and the expected effect in the path of a case.
fn of_path(path: &str) -> Option<(&str, Effect)> {
    let (policy, rest) = path.strip_prefix("tests/")?.split_once('/')?;
    match rest.split_once('/')? {
        ("allow", _) => Some((policy, Effect::Permit)),
        ("deny", _) => Some((policy, Effect::Deny)),
        _ => None,
    }
}

/// The principal that cases of an issuer start from; none if the bundle has no file with default claims for them.
pub fn default_principal(files: &BundleFiles, bundle: &Bundle, issuer_name: &str) -> Option<Principal> {
    files.content(&format!("tests/{issuer_name}.toml"))?;
    let base = base(issuer_name, files).ok()?;
    let issuer = bundle.issuers_of_all_environments().find(|issuer| issuer.name == issuer_name)?;
    let claims = base.claims.into_iter();
    let attributes = claims.map(|(name, value)| Some(Attribute { name, value: attribute_value(value)? }));
    Some(Principal {
        entity_type: issuer.entity_type(),
        id: base.id,
        issuer_name: issuer_name.to_owned(),
        attributes: attributes.collect::<Option<_>>()?,
    })
}

/// Reads every case of the bundle in path order.
pub fn read(files: &BundleFiles, bundle: &Bundle) -> Result<Vec<Case>, Vec<Diagnostic<CheckError>>> {
    let mut cases = Vec::new();
    let mut diagnostics = Vec::new();
    for read in files.iter().filter_map(|(path, _)| read_one(files, bundle, path)) {
        match read {
            Ok(case) => cases.push(case),
            Err(more) => diagnostics.extend(more),
        }
    }
    if diagnostics.is_empty() { Ok(cases) } else { Err(diagnostics) }
}

/// Reads the case at `path`; none if the bundle has no case there.
pub fn read_one(files: &BundleFiles, bundle: &Bundle, path: &str) -> Option<Result<Case, Vec<Diagnostic<CheckError>>>> {
    let (policy, effect) = of_path(path)?;
    let read = read_case(path, files.content(path)?, files, bundle);
    Some(read.map(|case| Case { policy: policy.to_owned(), effect, ..case }))
}

fn read_case(
    path: &str,
    content: &[u8],
    files: &BundleFiles,
    bundle: &Bundle,
) -> Result<Case, Vec<Diagnostic<CheckError>>> {
    let invalid = |diagnostic: Diagnostic| vec![diagnostic.map(CheckError::from)];
    let (mut file, entries): (_, CaseFile) = TomlFile::parse(path, content).map_err(invalid)?;
    let issuer_name = entries.issuer.get_ref().clone();
    let base = base(&issuer_name, files).map_err(|diagnostic| invalid(*diagnostic))?;
    let Some(issuer) = issuer_named(&mut file, &entries.issuer, bundle) else {
        return Err(file.diagnostics);
    };
    let now = moment(&mut file, &entries);
    if let Some(profile) = &entries.profile
        && bundle.profile(profile.get_ref()).is_none()
    {
        let error = CheckError::CaseProfileUnknown {
            name: profile.get_ref().clone(),
            suggestion: suggest(profile.get_ref(), bundle.profile_names()),
        };
        file.refuse(profile.span(), error);
    }
    let keys = entries.keys.clone().or_else(|| base.keys.clone());
    let (principal, token) = match &entries.token {
        Some(token) => {
            let principal = principal_of_token(&mut file, &entries, token, issuer);
            let jwt = token.get_ref().trim().to_owned();
            (principal, Some(CaseToken { jwt, keys }))
        }
        None => {
            if let Some(refused) = &entries.refused {
                file.refuse(refused.span(), CheckError::CaseRefusalWithoutToken);
            }
            let described = Described { id: &entries.id, claims: &entries.claims, absent: &entries.absent };
            let principal = described.principal(&mut file, &[], base, issuer);
            (principal, None)
        }
    };
    let actor = match &entries.actor {
        Some(entry) => actor::read(&mut file, entry, files, bundle)?,
        None => None,
    };
    let lifetime = entries.request.lifetime.as_ref();
    let case = Case {
        path: path.to_owned(),
        policy: String::new(),
        principal,
        token,
        request: TokenRequest {
            requested_lifetime_seconds: file.seconds("lifetime", lifetime, 0..=u64::MAX, LIFETIME_SECONDS_DEFAULT),
            audience: entries.request.audience,
            scopes: entries.request.scopes,
            client_ip: entries.request.client_ip,
            proof_of_possession: entries.request.proof_of_possession,
        },
        actor,
        now,
        profile: entries.profile.map(Spanned::into_inner),
        effect: Effect::Deny,
        policies: sorted(entries.policies),
        erring: sorted(entries.erring),
        refused: entries.refused.map(Spanned::into_inner),
    };
    file.finish(case)
}

fn moment(file: &mut TomlFile<'_, CheckError>, entries: &CaseFile) -> u64 {
    let Some(at) = &entries.at else {
        if let Some(token) = &entries.token {
            file.refuse(token.span(), CheckError::CaseTokenWithoutTime);
        }
        return AT_DEFAULT;
    };
    parse_unix_seconds(at.get_ref()).unwrap_or_else(|| {
        file.refuse(at.span(), CheckError::CaseTimeInvalid);
        AT_DEFAULT
    })
}

/// The principal of a token. The claims are decoded here; whoever runs the case verifies the token.
fn principal_of_token(
    file: &mut TomlFile<'_, CheckError>,
    entries: &CaseFile,
    token: &Spanned<String>,
    issuer: &Issuer,
) -> Principal {
    if entries.id.is_some() || !entries.claims.is_empty() || !entries.absent.is_empty() {
        file.refuse(token.span(), CheckError::CaseTokenAndClaims);
    }
    let principal = payload(token.get_ref())
        .and_then(|bytes| JsonObject::parse(&bytes).ok())
        .ok_or(CheckError::CaseTokenMalformed)
        .and_then(|claims| {
            let principal = principal_of_claims(issuer, &claims);
            principal.map_err(CheckError::CaseTokenClaims)
        });
    match principal {
        Ok(principal) => principal,
        Err(error) => {
            // A token that must be refused can have unusable claims.
            if entries.refused.is_none() || error == CheckError::CaseTokenMalformed {
                file.refuse(token.span(), error);
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

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort_unstable();
    ids
}
