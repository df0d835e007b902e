//! Creates issuers, audiences and policies with everything that they need: a policy comes with its cases.
//!
//! Everything is loaded and run before it is returned, so [`policy`] never returns one that fails its own cases.

mod samples;

use crate::cases;
use crate::error::SuiteError;
use crate::format::format_policies;
use crate::suite::{CaseResult, Verdict, run};
use samples::{base_file, cedar_text, claim_line, comparison, other_value, toml_text};
use std::collections::BTreeMap;
use vouchsafe_policy::{Bundle, BundleFiles, Claim, ClaimType, Effect, Environment, Issuer, LoadError, Provider};

/// Files to add to a bundle, by path.
pub type NewFiles = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScaffoldError {
    #[error("`{0}` already exists")]
    AlreadyExists(String),
    #[error("{entity_type} has no claim `{claim}`; it has {known}")]
    ClaimUnknown { claim: String, entity_type: String, known: String },
    #[error("claim `{claim}` is {wanted}, not `{value}`")]
    ClaimValue { claim: String, wanted: &'static str, value: String },
    #[error("the result would not load\n{0}")]
    Invalid(SuiteError),
    #[error("the bundle has no issuer `{0}`")]
    IssuerUnknown(String),
    #[error("the policy would not permit its own case: {0}")]
    NeverPermits(String),
    #[error("unknown provider `{name}`; known providers: `{known}`")]
    ProviderUnknown { name: String, known: String },
}

/// The content of a new issuer file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewIssuer {
    pub name: String,
    pub url: String,
    pub provider: String,
    /// Names and values for `require`.
    pub require: Vec<(String, String)>,
    /// Text claims of an `oidc` issuer's tokens.
    pub claims: Vec<String>,
    pub keys: NewKeys,
}

/// The key source of a new issuer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NewKeys {
    #[default]
    Discovery,
    /// For SPIFFE and other issuers without discovery.
    JwksUri(String),
    /// A JWK Set, which is copied next to the issuer file, and its expiry date.
    Pinned { document: String, expires: String },
}

/// Creates an issuer file and a file with default claims for its cases.
///
/// # Errors
/// The file exists or would not load.
pub fn issuer(files: &BundleFiles, environment: &Environment, new: &NewIssuer) -> Result<NewFiles, ScaffoldError> {
    let Some(provider) = Provider::named(&new.provider) else {
        let known: Vec<&str> = vouchsafe_policy::providers().map(|one| one.name).collect();
        return Err(ScaffoldError::ProviderUnknown { name: new.provider.clone(), known: known.join("`, `") });
    };
    let mut text = format!("issuer = {}\n", toml_text(&new.url));
    text.push_str(&format!("provider = {}\n", toml_text(provider.name)));
    let mut made = NewFiles::new();
    match &new.keys {
        NewKeys::Discovery => {}
        NewKeys::JwksUri(uri) => {
            text.push_str(&format!("keys = {{ jwks_uri = {} }}\n", toml_text(uri)));
        }
        NewKeys::Pinned { document, expires } => {
            let file = format!("{}.json", new.name);
            let (name, expires) = (toml_text(&file), toml_text(expires));
            text.push_str(&format!("keys = {{ pinned = {name}, expires = {expires} }}\n"));
            made.insert(format!("issuers/{file}"), document.clone());
        }
    }
    if !new.require.is_empty() {
        let pairs = new.require.iter();
        let pairs: Vec<String> =
            pairs.map(|(name, value)| format!("{} = {}", toml_text(name), toml_text(value))).collect();
        text.push_str(&format!("require = {{ {} }}\n", pairs.join(", ")));
    }
    if !new.claims.is_empty() {
        text.push_str("\n[claims]\n");
    }
    for claim in &new.claims {
        text.push_str(&format!("{} = {{ type = \"text\" }}\n", toml_text(claim)));
    }
    made.insert(format!("issuers/{}.toml", new.name), text);
    let bundle = load_with(files, environment, &made)?;
    if let Some(issuer) = named(&bundle, &new.name) {
        let path = format!("tests/{}.toml", new.name);
        if files.content(&path).is_none() {
            made.insert(path, base_file(issuer));
        }
    }
    Ok(made)
}

/// The content of a new audience file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewAudience {
    pub name: String,
    pub id: String,
    pub scopes: Vec<String>,
    pub max_lifetime: Option<String>,
    pub single_use: bool,
}

/// Creates an audience file.
///
/// # Errors
/// The file exists or would not load.
pub fn audience(files: &BundleFiles, environment: &Environment, new: &NewAudience) -> Result<NewFiles, ScaffoldError> {
    let mut text = format!("id = {}\n", toml_text(&new.id));
    if let Some(lifetime) = &new.max_lifetime {
        text.push_str(&format!("max_lifetime = {}\n", toml_text(lifetime)));
    }
    let scopes: Vec<String> = new.scopes.iter().map(|scope| toml_text(scope)).collect();
    text.push_str(&format!("scopes = [{}]\n", scopes.join(", ")));
    if new.single_use {
        text.push_str("replay = \"single-use\"\n");
    }
    let made = NewFiles::from([(format!("audiences/{}.toml", new.name), text)]);
    load_with(files, environment, &made)?;
    Ok(made)
}

/// The content of a new policy: which workloads may have which scopes for an audience.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewPolicy {
    pub id: String,
    pub issuer: String,
    pub audience: String,
    pub scopes: Vec<String>,
    /// Names and values that are compared exactly; a set of texts must contain the value.
    pub claims: Vec<(String, String)>,
    /// The purpose of the policy, in a sentence.
    pub intent: Option<String>,
}

/// The files of a new policy, and what other policies permit regardless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadePolicy {
    pub files: NewFiles,
    /// Denials that have no effect, such as `another ref`, with the policies that permit the request.
    pub wider: Vec<(String, Vec<String>)>,
}

/// Creates a policy file, a case that it permits, and a case for each condition that denies.
///
/// A denial is left out if another policy permits the request.
///
/// # Errors
/// A file exists, the claims are not those of the issuer's tokens, or the policy would permit nothing.
pub fn policy(files: &BundleFiles, environment: &Environment, new: &NewPolicy) -> Result<MadePolicy, ScaffoldError> {
    let bundle = load_with(files, environment, &NewFiles::new())?;
    let issuer = named(&bundle, &new.issuer).ok_or_else(|| ScaffoldError::IssuerUnknown(new.issuer.clone()))?;
    let claims = typed(new, issuer)?;
    let text = policy_text(new, issuer, &claims)?;
    let mut made = NewFiles::from([(format!("rules/{}.cedar", new.id), text)]);
    let base = format!("tests/{}.toml", new.issuer);
    if files.content(&base).is_none() {
        made.insert(base, base_file(issuer));
    }
    let whole: Vec<String> = claims.iter().map(|(claim, value)| claim_line(claim, value)).collect();
    let allow = format!("tests/{}/allow/what the rule is for.toml", new.id);
    made.insert(allow.clone(), case(new, &whole, &new.scopes));
    for (at, (claim, value)) in claims.iter().enumerate() {
        let mut lines = whole.clone();
        if let (Some(line), Some(other)) = (lines.get_mut(at), other_value(claim, value)) {
            *line = claim_line(claim, &other);
            let path = format!("tests/{}/deny/another {}.toml", new.id, claim.name);
            made.insert(path, case(new, &lines, &new.scopes));
        }
    }
    let mut beyond = new.scopes.clone();
    beyond.push(another_scope(&bundle, new));
    let path = format!("tests/{}/deny/a scope beyond.toml", new.id);
    made.insert(path, case(new, &whole, &beyond));
    settle(files, environment, new, made, &allow)
}

/// Runs the cases, adds the policies that determine them, and drops denials that are permitted by others.
fn settle(
    files: &BundleFiles,
    environment: &Environment,
    new: &NewPolicy,
    mut made: NewFiles,
    allow: &str,
) -> Result<MadePolicy, ScaffoldError> {
    let mut wider = Vec::new();
    let development = Environment { development: true, ..environment.clone() };
    let bundle = load_with(files, &development, &made)?;
    let all = with(files, &made)?;
    let cases = cases::read(&all, &bundle);
    let cases = cases.map_err(|diagnostics| ScaffoldError::Invalid(diagnostics.into()))?;
    for case in &cases {
        if !made.contains_key(&case.path) {
            continue;
        }
        let decided = case.decide(&bundle);
        let decision = decided.map_err(|error| ScaffoldError::NeverPermits(error.to_string()))?;
        if decision.effect != case.effect {
            if case.path == allow {
                let by = decision.determining_rules.join("`, `");
                let reason = format!("another policy denies it: `{by}`");
                return Err(ScaffoldError::NeverPermits(reason));
            }
            made.remove(&case.path);
            let (_, name) = case.path.rsplit_once('/').unwrap_or_default();
            let name = name.trim_end_matches(".toml").to_owned();
            wider.push((name, decision.determining_rules));
            continue;
        }
        if let Some(text) = made.get_mut(&case.path) {
            let policies = decision.determining_rules.iter();
            let policies: Vec<String> = policies.map(|id| toml_text(id)).collect();
            let line = format!("rules = [{}]", policies.join(", "));
            *text = text.replacen(UNDECIDED, &line, 1);
        }
    }
    let suite = run(&with(files, &made)?, environment).map_err(ScaffoldError::Invalid)?;
    let failed = |result: &&CaseResult| made.contains_key(&result.case.path) && result.verdict != Verdict::Met;
    let permits = |result: &CaseResult| result.case.effect == Effect::Permit && result.case.policies.contains(&new.id);
    match suite.results.iter().find(failed) {
        None if suite.results.iter().any(permits) => Ok(MadePolicy { files: made, wider }),
        None => Err(ScaffoldError::NeverPermits("it does not determine its case".to_owned())),
        Some(result) => Err(ScaffoldError::NeverPermits(format!("{:?}", result.verdict))),
    }
}

/// The line of a case before it is known which policies determine it.
const UNDECIDED: &str = "rules = []";

fn case(new: &NewPolicy, claims: &[String], scopes: &[String]) -> String {
    let scopes: Vec<String> = scopes.iter().map(|scope| toml_text(scope)).collect();
    let claims: String = claims.iter().map(|line| format!("claims.{line}\n")).collect();
    format!(
        "issuer = {}\n{UNDECIDED}\n{claims}\n[request]\naudience = {}\nscopes = [{}]\n",
        toml_text(&new.issuer),
        toml_text(&new.audience),
        scopes.join(", "),
    )
}

/// A scope that the policy does not list, preferably one that the audience offers.
fn another_scope(bundle: &Bundle, new: &NewPolicy) -> String {
    let offered = bundle.audience(&new.audience);
    let mut offered = offered.iter().flat_map(|audience| &audience.scopes);
    let other = offered.find(|scope| !new.scopes.contains(scope));
    other.cloned().unwrap_or_else(|| "beyond".to_owned())
}

/// The claims and their types.
fn typed<'a>(new: &NewPolicy, issuer: &'a Issuer) -> Result<Vec<(&'a Claim, String)>, ScaffoldError> {
    let table = match issuer.provider.declares_claims() {
        true => &issuer.claims,
        false => issuer.provider.claims,
    };
    let find = |(name, value): &(String, String)| {
        let claim = table.iter().find(|claim| &claim.name == name);
        let claim = claim.ok_or_else(|| ScaffoldError::ClaimUnknown {
            claim: name.clone(),
            entity_type: issuer.entity_type(),
            known: table.iter().map(|claim| format!("`{}`", claim.name)).collect::<Vec<_>>().join(", "),
        })?;
        let wanted = match claim.claim_type {
            ClaimType::Boolean if !matches!(value.as_str(), "true" | "false") => "true or false",
            ClaimType::Integer if value.parse::<i64>().is_err() => "an integer",
            _ => return Ok((claim, value.clone())),
        };
        Err(ScaffoldError::ClaimValue { claim: name.clone(), wanted, value: value.clone() })
    };
    new.claims.iter().map(find).collect()
}

fn policy_text(new: &NewPolicy, issuer: &Issuer, claims: &[(&Claim, String)]) -> Result<String, ScaffoldError> {
    let mut conditions: Vec<String> = claims.iter().map(|(claim, value)| comparison(claim, value)).collect();
    let scopes: Vec<String> = new.scopes.iter().map(|scope| cedar_text(scope)).collect();
    conditions.push(match scopes.as_slice() {
        [] => "context.scopes.isEmpty()".to_owned(),
        scopes => format!("[{}].containsAll(context.scopes)", scopes.join(", ")),
    });
    let intent = new.intent.as_deref().unwrap_or_default();
    let comment = match intent.trim() {
        "" => String::new(),
        intent => format!("// {}\n\n", intent.replace('\n', " ")),
    };
    let text = format!(
        "@id({})\npermit (\n  principal is {} in Issuer::{},\n  action == Action::\"issue\",\n  \
         resource == Audience::{}\n)\nwhen {{ {} }};\n",
        cedar_text(&new.id),
        issuer.entity_type(),
        cedar_text(&issuer.name),
        cedar_text(&new.audience),
        conditions.join(" && "),
    );
    let text = format_policies(&text).map_err(|error| ScaffoldError::NeverPermits(error.to_string()))?;
    Ok(comment + &text)
}

fn named<'b>(bundle: &'b Bundle, name: &str) -> Option<&'b Issuer> {
    let mut issuers = bundle.issuers_of_all_environments();
    issuers.find(|issuer| issuer.name == name)
}

fn with(files: &BundleFiles, made: &NewFiles) -> Result<BundleFiles, ScaffoldError> {
    let mut all = files.clone();
    for (path, content) in made {
        if files.content(path).is_some() {
            return Err(ScaffoldError::AlreadyExists(path.clone()));
        }
        all.add(path, content.clone().into_bytes()).map_err(|diagnostic| invalid(diagnostic.into()))?;
    }
    Ok(all)
}

fn load_with(files: &BundleFiles, environment: &Environment, made: &NewFiles) -> Result<Bundle, ScaffoldError> {
    Bundle::load(&with(files, made)?, environment).map_err(invalid)
}

fn invalid(error: LoadError) -> ScaffoldError {
    ScaffoldError::Invalid(error.into())
}
