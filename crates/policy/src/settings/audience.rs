//! `audiences/<name>.toml`: what may be issued.

use crate::bundle::files::BundleFiles;
use crate::diagnostics::spanned::Spanned;
use crate::diagnostics::{BundleError, Diagnostic};
use crate::limits::*;
use crate::settings::records::{Audience, Environment, ReplayMode, Tier, View};
use crate::settings::replay;
use crate::settings::toml_file::TomlFile;
use vouchsafe_claims::ClaimNames;

/// JWS algorithms of issued tokens.
const ALGORITHMS: [&str; 3] = ["EdDSA", "ES256", "RS256"];

#[derive(serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AudienceFile {
    id: Spanned<String>,
    kind: Option<Kind>,
    view: Option<View>,
    tier: Option<Tier>,
    algorithm: Option<Spanned<String>>,
    default_lifetime: Option<Spanned<String>>,
    max_lifetime: Option<Spanned<String>>,
    scopes: Option<Spanned<Vec<String>>>,
    scopes_required: Option<Spanned<bool>>,
    claims: Option<Spanned<Vec<String>>>,
    replay: Option<Spanned<String>>,
    #[serde(default)]
    outlive_subject: bool,
    proof_of_possession: Option<ProofOfPossession>,
    /// Whether actors get tokens (RFC 8693 §4.1), if a policy with `Action::"act_for"` permits them to act.
    #[serde(default)]
    allow_act: bool,
    /// Whether each token names its place in a status list (draft-ietf-oauth-status-list), which says whether it is
    /// revoked.
    status_list: Option<Spanned<bool>>,
}

/// What takes the tokens: an API, or another authorization server, which issues its own token for it. The `id` is then its
/// issuer URL.
#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum Kind {
    AuthorizationServer,
    ResourceServer,
}

/// Whether callers must prove possession of a key (RFC 9449).
#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum ProofOfPossession {
    Optional,
    Required,
}

/// Reads the audience file `path`.
pub(crate) fn read(path: &str, files: &BundleFiles, environment: &Environment) -> Result<Audience, Vec<Diagnostic>> {
    let content = files.content(path).unwrap_or_default();
    let (mut file, entries): (_, AudienceFile) =
        TomlFile::parse(path, content).map_err(|diagnostic| vec![diagnostic])?;
    let id_bytes_max = entries.view.and_then(|view| view.preset().audience_bytes_max).unwrap_or(ID_BYTES_MAX);
    file.check_value("id", entries.id.get_ref(), entries.id.span(), id_bytes_max.min(ID_BYTES_MAX));
    let tier = entries.tier.unwrap_or(Tier::Delegated);
    let (default_lifetime_seconds, max_lifetime_seconds) = lifetimes(&mut file, &entries, environment);
    let audience = Audience {
        id: entries.id.get_ref().clone(),
        view: entries.view,
        tier,
        algorithm: algorithm(&mut file, &entries, tier),
        default_lifetime_seconds,
        max_lifetime_seconds,
        scopes: scopes(&mut file, entries.scopes.as_ref()),
        scopes_required: scopes_required(&mut file, &entries),
        claims: claims(&mut file, entries.claims.as_ref()),
        replay: replay::mode(&mut file, entries.replay.as_ref(), ReplayMode::Allow),
        outlive_subject: entries.outlive_subject,
        proof_required: entries.proof_of_possession == Some(ProofOfPossession::Required),
        allow_act: entries.allow_act,
        authorization_server: entries.kind == Some(Kind::AuthorizationServer),
        status_list: status_list(&mut file, &entries),
    };
    file.finish(audience)
}

/// The algorithm of an audience's tokens, which the relying parties of its view must know.
fn algorithm(file: &mut TomlFile<'_>, entries: &AudienceFile, tier: Tier) -> String {
    let algorithm = algorithm_of_tier(file, entries.algorithm.as_ref(), tier);
    let preset = entries.view.map(View::preset);
    if let Some(preset) = preset.filter(|preset| !preset.algorithms.contains(&algorithm.as_str())) {
        let span = entries.algorithm.as_ref().map_or(entries.id.span(), Spanned::span);
        let (algorithm, allowed) = (algorithm.clone(), preset.algorithms.join("`, `"));
        file.refuse(span, BundleError::AlgorithmNotOfView { algorithm, view: preset.name, allowed });
    }
    algorithm
}

fn algorithm_of_tier(file: &mut TomlFile<'_>, entry: Option<&Spanned<String>>, tier: Tier) -> String {
    let Some(entry) = entry else {
        return "ES256".to_owned();
    };
    let algorithm = entry.get_ref().clone();
    if !ALGORITHMS.contains(&algorithm.as_str()) {
        let algorithm = algorithm.clone();
        let allowed = "`EdDSA`, `ES256`, `RS256`".to_owned();
        file.refuse(entry.span(), BundleError::AlgorithmUnknown { algorithm, allowed });
    } else if algorithm == "RS256" && tier != Tier::Hsm {
        file.refuse(entry.span(), BundleError::AlgorithmNeedsHsm(algorithm.clone()));
    }
    algorithm
}

/// Default and longest lifetime in seconds. An absent default gives way to a shorter ceiling.
fn lifetimes(file: &mut TomlFile<'_>, entries: &AudienceFile, environment: &Environment) -> (u64, u64) {
    // A grant is exchanged at once.
    let is_grant = entries.kind == Some(Kind::AuthorizationServer);
    let longest = if is_grant { GRANT_SECONDS_MAX } else { u64::MAX };
    let bounds = LIFETIME_SECONDS_MIN..=longest;
    let max_entry = entries.max_lifetime.as_ref();
    let max = file.seconds("max_lifetime", max_entry, bounds.clone(), LIFETIME_SECONDS_MAX_DEFAULT.min(longest));
    let default =
        file.seconds("default_lifetime", entries.default_lifetime.as_ref(), bounds, LIFETIME_SECONDS_DEFAULT.min(max));
    // INVARIANT: I3, a token ends 60 s before its epoch's key leaves the JWKS.
    let seconds_max = environment.epoch_seconds.saturating_sub(EPOCH_MARGIN_SECONDS);
    let span = max_entry.map_or(entries.id.span(), Spanned::span);
    if max > seconds_max {
        file.refuse(span.clone(), BundleError::LifetimeOverEpoch { seconds: max, seconds_max });
    }
    if default > max {
        let span = entries.default_lifetime.as_ref().map_or(span, Spanned::span);
        let error = BundleError::LifetimeDefaultOverMax { default_seconds: default, max_seconds: max };
        file.refuse(span, error);
    }
    (default, max)
}

fn scopes(file: &mut TomlFile<'_>, entry: Option<&Spanned<Vec<String>>>) -> Vec<String> {
    let Some(entry) = entry else {
        return Vec::new();
    };
    file.check_list("scopes", entry, SCOPES_PER_AUDIENCE_MAX);
    for scope in entry.get_ref() {
        if !is_scope_token(scope) {
            file.refuse_within(entry.span(), scope, BundleError::ScopeInvalid(scope.clone()));
        }
    }
    entry.get_ref().clone()
}

/// Whether requests need a scope. An audience without scopes can't require one: nobody would get a token.
fn scopes_required(file: &mut TomlFile<'_>, entries: &AudienceFile) -> bool {
    let Some(entry) = &entries.scopes_required else {
        return false;
    };
    let required = *entry.get_ref();
    if required && entries.scopes.as_ref().is_none_or(|scopes| scopes.get_ref().is_empty()) {
        file.refuse(entry.span(), BundleError::ScopesRequiredButNone);
    }
    required
}

/// Whether tokens name their place in a status list. Clouds know no such claim.
fn status_list(file: &mut TomlFile<'_>, entries: &AudienceFile) -> bool {
    let Some(entry) = entries.status_list.as_ref().filter(|entry| *entry.get_ref()) else {
        return false;
    };
    if let Some(view) = entries.view {
        file.refuse(entry.span(), BundleError::StatusListOfView(view.preset().name));
    }
    true
}

/// RFC 6749 §3.3: printable ASCII except space, `"` and `\`.
fn is_scope_token(scope: &str) -> bool {
    (1..=SCOPE_BYTES_MAX).contains(&scope.len())
        && scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

fn claims(file: &mut TomlFile<'_>, entry: Option<&Spanned<Vec<String>>>) -> Vec<String> {
    let Some(entry) = entry else {
        return Vec::new();
    };
    file.check_list("claims", entry, CLAIMS_PER_AUDIENCE_MAX);
    let listed = entry.get_ref();
    let mut names = ClaimNames::of_issued_token();
    for (at, claim) in listed.iter().enumerate() {
        // `check_list` reports duplicates.
        if !listed.iter().take(at).any(|earlier| earlier == claim) {
            file.check_claim_name(&mut names, claim, entry.span());
        }
    }
    listed.clone()
}
