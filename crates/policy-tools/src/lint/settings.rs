//! Warnings about issuer, audience and group files.

use super::reach;
use super::warning::Warning;
use vouchsafe_policy::authoring::{placeholders, text_of, toml_span};
use vouchsafe_policy::{
    Audience, Bundle, BundleFiles, Diagnostic, Environment, Group, Issuer, KeySource, ReplayMode, View, Workload,
};
use vouchsafe_providers::{Provider, Replay};

const HOUR_SECONDS: u64 = 3600;

/// Audiences that platforms put into tokens for themselves or for another service.
const AUDIENCES_OF_OTHERS: [&str; 9] = [
    "https://github.com/",
    "https://gitlab.com",
    "https://iam.googleapis.com/",
    "https://kubernetes.default.svc",
    "//iam.googleapis.com/",
    "api://AzureADTokenExchange",
    "sigstore",
    "sts.amazonaws.com",
    "vault",
];

/// Hosts beside the issuer's own on which a platform publishes its keys.
const KEY_HOSTS: [(&str, &str); 3] =
    [("azure", "login.microsoftonline.com"), ("azure", "login.windows.net"), ("google", "www.googleapis.com")];

/// Providers whose issuers run on the platform, which publishes where their keys are.
const ON_PLATFORM: [&str; 8] = ["aws", "azure", "buildkite", "circleci", "github", "gitlab", "google", "terraform"];

/// All warnings about settings; `dead` are the policies that never match.
pub(super) fn warnings(
    files: &BundleFiles,
    bundle: &Bundle,
    environment: &Environment,
    dead: &[&str],
) -> Vec<Diagnostic<Warning>> {
    let mut diagnostics = Vec::new();
    let found = |file: &str, path: &[&str], warning: Warning| {
        let text = text_of(files, file);
        Diagnostic::in_file(file, text, toml_span::value(text, path), warning)
    };
    for issuer in bundle.issuers_of_all_environments() {
        let path = format!("issuers/{}.toml", issuer.name);
        let warnings = of_issuer(issuer).into_iter();
        diagnostics.extend(warnings.map(|(key, warning)| found(&path, &[key], warning)));
    }
    for group in bundle.groups() {
        let path = format!("entities/{}.toml", group.name);
        for (at, workload) in group.workloads.iter().enumerate() {
            let at = at.to_string();
            for (key, warning) in of_workload(group, workload, bundle) {
                let place = match key {
                    "issuer" => vec!["workloads", &at, "issuer"],
                    claim => vec!["workloads", &at, "claims", claim],
                };
                diagnostics.push(found(&path, &place, warning));
            }
        }
    }
    let unreachable = reach::unreachable_audiences(bundle, dead);
    // Both are in path order.
    let paths = files.iter().map(|(path, _)| path).filter(|path| path.starts_with("audiences/"));
    for (path, audience) in paths.zip(bundle.audiences()) {
        let mut add = |key, warning| diagnostics.push(found(path, &[key], warning));
        if unreachable.contains(&audience.id) {
            add("id", Warning::AudienceUnreachable(audience.id.clone()));
        }
        for (key, warning) in of_audience(audience, bundle, environment) {
            add(key, warning);
        }
    }
    diagnostics
}

/// Warnings about a workload that someone else's workload can come to match, by the key or claim that allows it.
fn of_workload(group: &Group, workload: &Workload, bundle: &Bundle) -> Vec<(&'static str, Warning)> {
    let mut issuers = bundle.issuers_of_all_environments();
    let Some(issuer) = issuers.find(|issuer| issuer.name == workload.issuer) else {
        return Vec::new();
    };
    let has = |claim: &str| workload.claims.contains_key(claim);
    let is_required = |claim: &str| issuer.require.iter().any(|required| required.name == claim);
    let provider = issuer.provider;
    let open = provider.open_issuers.contains(&issuer.issuer.as_str());
    let mut tenants = provider.tenant_claims.iter().chain(&["sub"]);
    let is_told = tenants.any(|claim| has(claim) || is_required(claim));
    let untold = (open && !is_told).then(|| Warning::GroupAnyTenant {
        group: group.name.clone(),
        issuer: issuer.name.clone(),
        claims: provider.tenant_claims.join("`, `"),
    });
    let untold = untold.map(|warning| ("issuer", warning));
    let names = provider.names_with_ids.iter();
    let without = names.filter(|(name, ids)| has(name) && !ids.iter().any(|id| has(id)));
    let without = without.filter_map(|(name, ids)| {
        let (group, id) = (group.name.clone(), ids.first()?);
        Some((*name, Warning::GroupNameWithoutId { group, name, id }))
    });
    untold.into_iter().chain(without).collect()
}

/// Warnings about an issuer, by key.
fn of_issuer(issuer: &Issuer) -> Vec<(&'static str, Warning)> {
    let mut warnings = Vec::new();
    let subject = ambiguous_subject(issuer).or_else(|| shared_subject(issuer));
    warnings.extend(subject.map(|warning| ("subject", warning)));
    // Tokens of development issuers are made by hand.
    if issuer.development {
        return warnings;
    }
    if issuer.replay == ReplayMode::Allow && issuer.provider.replay == Replay::SingleUse {
        warnings.push(("replay", Warning::ReplayAllowed(issuer.provider.name)));
    }
    let others = issuer.audiences.iter().filter(|audience| is_of_others(audience));
    warnings.extend(others.map(|audience| ("audiences", Warning::AudienceOfOthers(audience.clone()))));
    warnings.extend(keys_elsewhere(issuer).map(|host| ("keys", Warning::KeysElsewhere(host))));
    let (age, stale) = (issuer.max_token_age_seconds, issuer.stale_keys_max_seconds);
    // Entra's tokens live up to a day, and the platform caches them for as long.
    if age > HOUR_SECONDS && issuer.provider.name != "azure" {
        warnings.push(("max_token_age", Warning::TokenAgeLong(age)));
    }
    if stale > HOUR_SECONDS {
        warnings.push(("stale_keys_max", Warning::StaleKeysLong(stale)));
    }
    warnings
}

/// Whether a platform makes tokens with this audience for itself or for another service.
fn is_of_others(audience: &str) -> bool {
    AUDIENCES_OF_OTHERS.iter().any(|other| match other.strip_suffix('/') {
        Some(_) => audience.starts_with(other),
        None => audience.trim_end_matches('/') == *other,
    })
}

/// The host of the keys of a platform's issuer, if it is not one of the platform's.
fn keys_elsewhere(issuer: &Issuer) -> Option<String> {
    let KeySource::JwksUri(url) = &issuer.keys else {
        return None;
    };
    let (own, host) = (host_of(&issuer.issuer)?, host_of(url)?);
    let provider: &Provider = issuer.provider;
    let of_platform = KEY_HOSTS.contains(&(provider.name, host));
    let elsewhere = ON_PLATFORM.contains(&provider.name) && host != own && !of_platform;
    elsewhere.then(|| host.to_owned())
}

fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.split(['/', '?', '#']).next()
}

/// Warnings about an audience, by key.
fn of_audience(audience: &Audience, bundle: &Bundle, environment: &Environment) -> Vec<(&'static str, Warning)> {
    let mut warnings = Vec::new();
    let same = |url: &str| url.trim_end_matches('/') == audience.id.trim_end_matches('/');
    let profiles = bundle.profile_names().filter_map(|name| bundle.profile(name));
    if std::iter::once(environment.issuer.as_str()).chain(profiles).any(same) {
        warnings.push(("id", Warning::AudienceIsBroker));
    }
    if audience.id.contains('*') {
        warnings.push(("id", Warning::AudienceIsPattern(audience.id.clone())));
    }
    if audience.max_lifetime_seconds > HOUR_SECONDS {
        warnings.push(("max_lifetime", Warning::LifetimeLong(audience.max_lifetime_seconds)));
    }
    if audience.outlive_subject {
        warnings.push(("outlive_subject", Warning::OutlivesSubject));
    }
    warnings.extend(of_view(audience, environment).into_iter().map(|warning| ("view", warning)));
    warnings
}

/// Warnings about what the relying parties of an audience's view do.
fn of_view(audience: &Audience, environment: &Environment) -> Vec<Warning> {
    let Some(preset) = audience.view.map(View::preset) else {
        return Vec::new();
    };
    let view = preset.name;
    // A key set that is fetched in the last second of an epoch has the keys of the next two.
    let published_seconds = environment.epoch_seconds.saturating_mul(2);
    let late = preset.key_cache_seconds.filter(|cache| *cache >= published_seconds);
    let late = late.map(|cache_seconds| Warning::ViewCachesTooLong { view, cache_seconds, published_seconds });
    let unproven = audience.proof_required.then_some(Warning::ViewIgnoresProof(view));
    late.into_iter().chain(unproven).collect()
}

/// A warning about a subject template that does not identify a workload, so that several share one `sub`.
fn shared_subject(issuer: &Issuer) -> Option<Warning> {
    let template = issuer.subject_template.as_deref()?;
    let names: Vec<&str> = placeholders(template).collect();
    let workloads = issuer.provider.workload_claims;
    let named = |claims: &&[&str]| claims.iter().all(|claim| names.contains(claim));
    if names.contains(&"sub") || workloads.iter().any(named) {
        return None;
    }
    let first = workloads.first().copied().unwrap_or(&["sub"]);
    let placeholders = format!("{{{}}}", first.join("}` and `{"));
    Some(Warning::SubjectShared(placeholders))
}

/// A warning about a subject template with ambiguous values: adjacent placeholders, or one before the last whose values
/// can be any text.
fn ambiguous_subject(issuer: &Issuer) -> Option<Warning> {
    let template = issuer.subject_template.as_deref()?;
    let mut names: Vec<&str> = placeholders(template).collect();
    let last = names.pop()?;
    let plain = issuer.provider.plain_claims;
    let open = names.iter().find(|name| !plain.contains(name));
    let claim = match (template.contains("}{"), open) {
        (_, Some(name)) => name,
        (true, None) => last,
        (false, None) => return None,
    };
    Some(Warning::SubjectAmbiguous((*claim).to_owned()))
}
