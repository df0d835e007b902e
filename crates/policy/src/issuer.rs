//! `issuers/<name>.toml`: who is trusted, and how their tokens are checked.

use crate::error::{Finding, Problem};
use crate::files::BundleFiles;
use crate::keys::{KeysEntry, key_source};
use crate::limits::*;
use crate::records::{ClaimType, DeclaredClaim, Environment, Issuer, Provider, ReplayMode};
use crate::schema::Attributes;
use crate::toml_file::TomlFile;
use crate::url;
use std::collections::BTreeMap;
use toml::Spanned;

/// JWS algorithms of inbound tokens.
const ALGORITHMS: [&str; 3] = ["RS256", "ES256", "EdDSA"];

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerFile {
    issuer: Spanned<String>,
    provider: Spanned<String>,
    audiences: Option<Spanned<Vec<String>>>,
    algorithms: Option<Spanned<Vec<String>>>,
    keys: Option<Spanned<KeysEntry>>,
    keys_max_age: Option<Spanned<String>>,
    max_token_age: Option<Spanned<String>>,
    leeway: Option<Spanned<String>>,
    replay: Option<ReplayMode>,
    claims: Option<Spanned<BTreeMap<String, ClaimEntry>>>,
    subject: Option<Spanned<String>>,
    #[serde(default)]
    development: bool,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimEntry {
    #[serde(rename = "type")]
    claim_type: ClaimType,
    #[serde(default = "yes")]
    required: bool,
}

fn yes() -> bool {
    true
}

/// Reads the issuer file `path`, whose name without `.toml` is `name`.
pub(crate) fn read(
    path: &str,
    name: &str,
    files: &BundleFiles,
    environment: &Environment,
) -> Result<Issuer, Vec<Finding>> {
    let content = files.content(path).unwrap_or_default();
    let (mut file, entries): (_, IssuerFile) =
        TomlFile::parse(path, content).map_err(|finding| vec![finding])?;
    let provider = provider(&mut file, &entries.provider);
    check_issuer_url(&mut file, &entries, environment);
    let keys_bounds = KEYS_MAX_AGE_SECONDS_MIN..=KEYS_MAX_AGE_SECONDS_MAX;
    let age_bounds = TOKEN_AGE_SECONDS_MIN..=TOKEN_AGE_SECONDS_MAX;
    let issuer = Issuer {
        name: name.to_owned(),
        issuer: entries.issuer.get_ref().clone(),
        provider,
        audiences: audiences(&mut file, entries.audiences.as_ref(), environment),
        algorithms: algorithms(&mut file, entries.algorithms.as_ref()),
        keys: key_source(&mut file, entries.keys.as_ref(), entries.development, files),
        keys_max_age_seconds: file.seconds(
            "keys_max_age",
            entries.keys_max_age.as_ref(),
            keys_bounds,
            KEYS_MAX_AGE_SECONDS_DEFAULT,
        ),
        max_token_age_seconds: file.seconds(
            "max_token_age",
            entries.max_token_age.as_ref(),
            age_bounds,
            provider.max_token_age_seconds(),
        ),
        leeway_seconds: file.seconds(
            "leeway",
            entries.leeway.as_ref(),
            0..=LEEWAY_SECONDS_MAX,
            LEEWAY_SECONDS_DEFAULT,
        ),
        replay: entries.replay.unwrap_or(provider.replay()),
        claims: declared_claims(&mut file, entries.claims.as_ref(), provider),
        subject_template: subject_template(&mut file, entries.subject.as_ref()),
        development: entries.development,
    };
    file.finish(issuer)
}

fn provider(file: &mut TomlFile<'_>, entry: &Spanned<String>) -> Provider {
    Provider::from_name(entry.get_ref()).unwrap_or_else(|| {
        let name = entry.get_ref().clone();
        file.refuse(
            entry.span(),
            Problem::UnknownProvider {
                name,
                known: Provider::NAMES,
            },
        );
        Provider::Oidc
    })
}

fn check_issuer_url(file: &mut TomlFile<'_>, entries: &IssuerFile, environment: &Environment) {
    let (url, span) = (entries.issuer.get_ref(), entries.issuer.span());
    file.check_value("issuer", url, span.clone(), ID_BYTES_MAX);
    if url.trim_end_matches('/') == environment.issuer.trim_end_matches('/') {
        file.refuse(span, Problem::IssuerIsOurs(url.clone()));
    } else if let Some(reason) = url::refusal(url, entries.development) {
        file.refuse(
            span,
            Problem::UrlRefused {
                key: "issuer",
                reason,
            },
        );
    }
}

fn audiences(
    file: &mut TomlFile<'_>,
    entry: Option<&Spanned<Vec<String>>>,
    environment: &Environment,
) -> Vec<String> {
    let Some(entry) = entry else {
        return vec![environment.issuer.clone()];
    };
    if entry.get_ref().is_empty() {
        file.refuse(entry.span(), Problem::Empty("audiences"));
    }
    file.check_list("audiences", entry, AUDIENCES_MAX);
    for audience in entry.get_ref() {
        file.check_value("audiences", audience, entry.span(), ID_BYTES_MAX);
    }
    entry.get_ref().clone()
}

fn algorithms(file: &mut TomlFile<'_>, entry: Option<&Spanned<Vec<String>>>) -> Vec<String> {
    let Some(entry) = entry else {
        return vec!["RS256".to_owned()];
    };
    if entry.get_ref().is_empty() {
        file.refuse(entry.span(), Problem::Empty("algorithms"));
    }
    file.check_list("algorithms", entry, ALGORITHMS.len());
    for algorithm in entry.get_ref() {
        if !ALGORITHMS.contains(&algorithm.as_str()) {
            let algorithm = algorithm.clone();
            let allowed = "`RS256`, `ES256`, `EdDSA`";
            file.refuse(
                entry.span(),
                Problem::AlgorithmUnknown { algorithm, allowed },
            );
        }
    }
    entry.get_ref().clone()
}

fn declared_claims(
    file: &mut TomlFile<'_>,
    entry: Option<&Spanned<BTreeMap<String, ClaimEntry>>>,
    provider: Provider,
) -> Vec<DeclaredClaim> {
    let Some(entry) = entry else {
        return Vec::new();
    };
    if provider != Provider::Oidc {
        file.refuse(
            entry.span(),
            Problem::ClaimsNotAllowed(provider.name().to_owned()),
        );
    }
    if entry.get_ref().len() > CLAIMS_MAX {
        file.refuse(
            entry.span(),
            Problem::TooMany {
                key: "claims",
                max: CLAIMS_MAX,
            },
        );
    }
    for name in entry.get_ref().keys() {
        file.check_value("claims", name, entry.span(), CLAIM_NAME_BYTES_MAX);
        if is_reserved(name) {
            file.refuse(entry.span(), Problem::ClaimReserved(name.clone()));
        }
    }
    let declared = |(name, claim): (&String, &ClaimEntry)| DeclaredClaim {
        name: name.clone(),
        claim_type: claim.claim_type,
        required: claim.required,
    };
    entry.get_ref().iter().map(declared).collect()
}

/// Claims that verification itself reads, and names that Cedar's JSON formats give a meaning.
/// `sub` may be declared: rules often name it.
fn is_reserved(name: &str) -> bool {
    matches!(name, "iss" | "aud" | "exp" | "nbf" | "iat" | "jti") || name.starts_with("__")
}

fn subject_template(file: &mut TomlFile<'_>, entry: Option<&Spanned<String>>) -> Option<String> {
    let entry = entry?;
    file.check_value(
        "subject",
        entry.get_ref(),
        entry.span(),
        SUBJECT_TEMPLATE_BYTES_MAX,
    );
    if !is_template(entry.get_ref()) {
        file.refuse(entry.span(), Problem::SubjectTemplateInvalid);
    }
    Some(entry.get_ref().clone())
}

/// Checks that the placeholders of every subject template are text claims of the issuer's
/// principals: the broker could not fill in any other.
pub(crate) fn check_subjects<'a>(
    files: &BundleFiles,
    issuers: impl Iterator<Item = (&'a str, &'a Issuer)>,
    attributes: &Attributes,
) -> Result<(), Vec<Finding>> {
    let mut findings = Vec::new();
    for (path, issuer) in issuers {
        let entity_type = issuer.entity_type();
        let texts: Vec<&str> = attributes
            .get(&entity_type)
            .into_iter()
            .flatten()
            .filter(|(_, attribute)| attribute.claim_type == Some(ClaimType::Text))
            .map(|(name, _)| name.as_str())
            .collect();
        let text = std::str::from_utf8(files.content(path).unwrap_or_default());
        let text = text.unwrap_or_default();
        for claim in placeholders(issuer.subject_template.as_deref().unwrap_or_default()) {
            if claim == "sub" || texts.contains(&claim) {
                continue;
            }
            let problem = Problem::SubjectClaimUnknown {
                claim: claim.to_owned(),
                entity_type: entity_type.clone(),
                known: format!("`sub`, `{}`", texts.join("`, `")),
            };
            let offset = text.find(&format!("{{{claim}}}")).unwrap_or_default();
            findings.push(Finding::at(path, text, offset, problem));
        }
    }
    if findings.is_empty() {
        Ok(())
    } else {
        Err(findings)
    }
}

fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    let pieces = template.split('{').skip(1);
    pieces.filter_map(|piece| piece.split_once('}').map(|(claim, _)| claim))
}

/// Whether every brace is part of a `{claim}`, and there is one at least.
fn is_template(text: &str) -> bool {
    let mut pieces = text.split('{');
    let head = pieces.next().unwrap_or_default();
    let mut placeholders = 0_usize;
    for piece in pieces {
        match piece.split_once('}') {
            Some((claim, tail)) if !claim.is_empty() && !tail.contains('}') => {
                placeholders = placeholders.saturating_add(1);
            }
            _ => return false,
        }
    }
    placeholders > 0 && !head.contains('}')
}
