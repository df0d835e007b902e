//! `issuers/<name>.toml`: who is trusted, and how their tokens are checked.

use crate::bundle::files::BundleFiles;
use crate::diagnostics::spanned::Spanned;
use crate::diagnostics::suggestion::suggest;
use crate::diagnostics::{BundleError, Diagnostic};
use crate::limits::*;
use crate::settings::declared_claims::{self, ClaimEntries};
use crate::settings::key_source::{KeysEntry, credential_file, key_source};
use crate::settings::records::{Environment, Issuer, RequiredClaim, View, default_replay};
use crate::settings::toml_file::TomlFile;
use crate::settings::{replay, subject_template, url};
use std::collections::BTreeMap;
use vouchsafe_providers::spiffe::trust_domain_of;
use vouchsafe_providers::{PROVIDERS, Profile, Provider, oidc};

#[derive(serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct IssuerFile {
    issuer: Spanned<String>,
    provider: Spanned<String>,
    audiences: Option<Spanned<Vec<String>>>,
    algorithms: Option<Spanned<Vec<String>>>,
    keys: Option<Spanned<KeysEntry>>,
    keys_max_age: Option<Spanned<String>>,
    stale_keys_max: Option<Spanned<String>>,
    max_token_age: Option<Spanned<String>>,
    leeway: Option<Spanned<String>>,
    replay: Option<Spanned<String>>,
    require: Option<Spanned<BTreeMap<String, Values>>>,
    claims: Option<ClaimEntries>,
    subject: Option<Spanned<String>>,
    allow_act: Option<Spanned<bool>>,
    #[serde(default)]
    development: bool,
}

/// One string or several.
#[derive(serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected a string or an array of strings")]
enum Values {
    One(String),
    Several(Vec<String>),
}

impl Values {
    fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Several(texts) => texts,
        }
    }
}

/// Reads the issuer file `path`, whose name without `.toml` is `name`.
pub(crate) fn read(
    path: &str,
    name: &str,
    files: &BundleFiles,
    environment: &Environment,
) -> Result<Issuer, Vec<Diagnostic>> {
    let content = files.content(path).unwrap_or_default();
    let (mut file, entries): (_, IssuerFile) = TomlFile::parse(path, content).map_err(|diagnostic| vec![diagnostic])?;
    let provider = provider(&mut file, &entries.provider);
    check_issuer_url(&mut file, &entries, provider, environment);
    let keys_bounds = KEYS_MAX_AGE_SECONDS_MIN..=KEYS_MAX_AGE_SECONDS_MAX;
    let age_bounds = TOKEN_AGE_SECONDS_MIN..=TOKEN_AGE_SECONDS_MAX;
    let allow_act = declared_claims::allow_act(&mut file, entries.allow_act.as_ref(), provider);
    let issuer = Issuer {
        name: name.to_owned(),
        issuer: entries.issuer.get_ref().clone(),
        provider,
        audiences: audiences(&mut file, entries.audiences.as_ref(), environment),
        algorithms: algorithms(&mut file, entries.algorithms.as_ref(), provider),
        keys: key_source(&mut file, entries.keys.as_ref(), provider.profile, entries.development, files),
        credential_file: credential_file(&mut file, entries.keys.as_ref()),
        keys_max_age_seconds: file.seconds(
            "keys_max_age",
            entries.keys_max_age.as_ref(),
            keys_bounds,
            KEYS_MAX_AGE_SECONDS_DEFAULT,
        ),
        stale_keys_max_seconds: file.seconds(
            "stale_keys_max",
            entries.stale_keys_max.as_ref(),
            0..=STALE_KEYS_SECONDS_MAX,
            0,
        ),
        max_token_age_seconds: file.seconds(
            "max_token_age",
            entries.max_token_age.as_ref(),
            age_bounds,
            provider.max_token_age_seconds,
        ),
        leeway_seconds: file.seconds("leeway", entries.leeway.as_ref(), 0..=LEEWAY_SECONDS_MAX, LEEWAY_SECONDS_DEFAULT),
        replay: replay::mode(&mut file, entries.replay.as_ref(), default_replay(provider.replay)),
        claims: declared_claims::claims(&mut file, entries.claims.as_ref(), provider),
        allow_act,
        require: required_claims(&mut file, &entries, provider),
        subject_template: subject_template::read(&mut file, entries.subject.as_ref()),
        development: entries.development,
    };
    file.finish(issuer)
}

fn provider(file: &mut TomlFile<'_>, entry: &Spanned<String>) -> &'static Provider {
    Provider::named(entry.get_ref()).unwrap_or_else(|| {
        let name = entry.get_ref().clone();
        let known = PROVIDERS.map(|provider| provider.name).join("`, `");
        file.refuse(
            entry.span(),
            BundleError::UnknownProvider {
                suggestion: suggest(&name, PROVIDERS.map(|provider| provider.name)),
                name,
                known,
            },
        );
        &oidc::PROVIDER
    })
}

fn check_issuer_url(file: &mut TomlFile<'_>, entries: &IssuerFile, provider: &Provider, environment: &Environment) {
    let (url, span) = (entries.issuer.get_ref(), entries.issuer.span());
    file.check_value("issuer", url, span.clone(), ID_BYTES_MAX);
    if View::is_own_issuer(environment.issuer.trim_end_matches('/'), url.trim_end_matches('/')) {
        file.refuse(span, BundleError::IssuerIsBroker(url.clone()));
        return;
    }
    let refusal = match provider.profile {
        Profile::ClientAssertion | Profile::Jwt => url::refusal(url, entries.development),
        Profile::JwtSvid => {
            trust_domain_of(url).is_none().then_some("must be a trust domain such as `spiffe://example.org`")
        }
    };
    if let Some(reason) = refusal {
        let key = "issuer";
        file.refuse(span, BundleError::UrlRefused { key, reason });
        return;
    }
    if let Some(known) = Provider::of_shared_issuer(url)
        && known != provider
    {
        let error = BundleError::IssuerHasProvider { issuer: url.clone(), provider: known.name };
        file.refuse(entries.provider.span(), error);
        return;
    }
    let of_no_tenant = |part: &&&str| format!("{url}/").contains(**part);
    if let Some(part) = provider.never_issuers.iter().find(of_no_tenant) {
        file.refuse(span, BundleError::IssuerOfNoTenant((*part).to_owned()));
    }
}

fn audiences(file: &mut TomlFile<'_>, entry: Option<&Spanned<Vec<String>>>, environment: &Environment) -> Vec<String> {
    let Some(entry) = entry else {
        return vec![environment.issuer.clone()];
    };
    if entry.get_ref().is_empty() {
        file.refuse(entry.span(), BundleError::Empty("audiences"));
    }
    file.check_list("audiences", entry, AUDIENCES_MAX);
    for audience in entry.get_ref() {
        file.check_value("audiences", audience, entry.span(), ID_BYTES_MAX);
    }
    entry.get_ref().clone()
}

pub(crate) fn algorithms(
    file: &mut TomlFile<'_>,
    entry: Option<&Spanned<Vec<String>>>,
    provider: &Provider,
) -> Vec<String> {
    let Some(entry) = entry else {
        let names = provider.default_algorithms.iter();
        return names.map(|name| (*name).to_owned()).collect();
    };
    if entry.get_ref().is_empty() {
        file.refuse(entry.span(), BundleError::Empty("algorithms"));
    }
    file.check_list("algorithms", entry, provider.algorithms.len());
    for algorithm in entry.get_ref() {
        if !provider.algorithms.contains(&algorithm.as_str()) {
            let algorithm = algorithm.clone();
            let allowed = format!("`{}`", provider.algorithms.join("`, `"));
            let error = BundleError::AlgorithmUnknown { algorithm: algorithm.clone(), allowed };
            file.refuse_within(entry.span(), &algorithm, error);
        }
    }
    entry.get_ref().clone()
}

/// The required claims, which must identify the tenant of a shared issuer.
fn required_claims(file: &mut TomlFile<'_>, entries: &IssuerFile, provider: &Provider) -> Vec<RequiredClaim> {
    let claims = required_values(file, entries.require.as_ref());
    if let Some(names) = provider.unpinned_tenancy(entries.issuer.get_ref())
        && !claims.iter().any(|claim| names.contains(&claim.name.as_str()))
    {
        let error = BundleError::TenantNotPinned { provider: provider.name, names: names.join("`, `") };
        file.refuse(entries.issuer.span(), error);
    }
    claims
}

fn required_values(file: &mut TomlFile<'_>, entry: Option<&Spanned<BTreeMap<String, Values>>>) -> Vec<RequiredClaim> {
    let Some(entry) = entry else {
        return Vec::new();
    };
    let (key, span) = ("require", entry.span());
    if entry.get_ref().is_empty() {
        file.refuse(span.clone(), BundleError::Empty(key));
    }
    if entry.get_ref().len() > REQUIRED_CLAIMS_MAX {
        let max = REQUIRED_CLAIMS_MAX;
        file.refuse(span.clone(), BundleError::TooMany { key, max });
    }
    let mut claims = Vec::new();
    for (name, values) in entry.get_ref() {
        let values = values.texts();
        if values.is_empty() {
            file.refuse(span.clone(), BundleError::Empty(key));
        }
        if values.len() > REQUIRED_VALUES_MAX {
            let max = REQUIRED_VALUES_MAX;
            file.refuse(span.clone(), BundleError::TooMany { key, max });
        }
        for value in values {
            file.check_value(key, value, span.clone(), ID_BYTES_MAX);
        }
        claims.push(RequiredClaim { name: name.clone(), values: values.to_vec() });
    }
    claims
}
