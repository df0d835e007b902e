//! A new policy, with a case that it permits and a case for each condition that denies.

use super::error::{ScaffoldError, invalid, listed};
use super::known::{NewFiles, check_scope, known_audience, known_claim, known_issuer, replaced, with};
use super::limits::{Hours, Network, address_outside};
use super::samples::{base_file, cedar_text, claim_line, comparison, other_value, toml_text};
use crate::cases::{self, AT_DEFAULT};
use crate::format::format_policies;
use crate::suite::{CaseResult, Verdict, run};
use vouchsafe_policy::{Audience, Bundle, BundleFiles, Claim, Effect, Environment, Issuer, to_rfc3339};

/// The content of a new policy: which workloads may have which scopes for an audience.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewPolicy {
    pub id: String,
    pub issuer: String,
    pub audience: String,
    pub scopes: Vec<String>,
    /// Names and values that are compared exactly; a set of texts must contain the value.
    pub claims: Vec<(String, String)>,
    /// The networks that requests may come from; any if there are none.
    pub networks: Vec<Network>,
    /// The hours in which tokens are issued; any if absent.
    pub hours: Option<Hours>,
    /// The purpose of the policy, in a sentence.
    pub intent: Option<String>,
    /// Whether to replace the policy and those of its cases that have the same names.
    pub replace: bool,
}

impl NewPolicy {
    pub fn path(&self) -> String {
        format!("rules/{}.cedar", self.id)
    }
}

/// The files of a new policy, and what other policies permit regardless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadePolicy {
    pub files: NewFiles,
    /// Denials that have no effect, such as `another ref`, with the policies that permit the request.
    pub wider: Vec<(String, Vec<String>)>,
}

/// What differs from case to case.
#[derive(Clone)]
struct Sample {
    /// A line for each claim of the policy.
    claims: Vec<String>,
    /// A claim that the token does not have.
    absent: Option<String>,
    scopes: Vec<String>,
    at: Option<u64>,
    client_ip: Option<String>,
}

/// Creates a policy file, a case that it permits, and a case for each condition that denies.
///
/// A denial is left out if another policy permits the request.
///
/// # Errors
/// A file exists, the values are not those of the bundle, or the policy would permit nothing.
pub fn policy(files: &BundleFiles, environment: &Environment, new: &NewPolicy) -> Result<MadePolicy, ScaffoldError> {
    let bundle = Bundle::load(files, environment).map_err(invalid)?;
    let issuer = known_issuer(&bundle, &new.issuer)?;
    let audience = known_audience(&bundle, &new.audience)?;
    check_scopes(audience, &new.scopes)?;
    if new.replace {
        must_be_alone(files, new)?;
    }
    let known = new.claims.iter().map(|(name, value)| Ok((known_claim(issuer, name, value)?, value.clone())));
    let claims = known.collect::<Result<Vec<(&Claim, String)>, ScaffoldError>>()?;
    let mut made = NewFiles::from([(new.path(), policy_text(new, issuer, &claims)?)]);
    let base = format!("tests/{}.toml", new.issuer);
    let base_text = match files.content(&base) {
        Some(content) => String::from_utf8_lossy(content).into_owned(),
        None => made.entry(base).or_insert(base_file(issuer)).clone(),
    };
    let whole = Sample {
        claims: claims.iter().map(|(claim, value)| claim_line(claim, value)).collect(),
        absent: None,
        scopes: new.scopes.clone(),
        at: new.hours.as_ref().and_then(|hours| moment(&bundle, hours, |weekday, hour| hours.contain(weekday, hour))),
        client_ip: new.networks.first().map(|network| network.address.to_string()),
    };
    let allow = format!("tests/{}/allow/what the rule is for.toml", new.id);
    made.insert(allow.clone(), case(new, &whole, &base_text));
    for (name, denied) in denials(&bundle, audience, new, &claims, &whole) {
        made.insert(format!("tests/{}/deny/{name}.toml", new.id), case(new, &denied, &base_text));
    }
    settle(files, environment, new, made, &allow)
}

fn check_scopes(audience: &Audience, scopes: &[String]) -> Result<(), ScaffoldError> {
    if scopes.is_empty() && audience.scopes_required {
        let offered = listed(audience.scopes.iter().map(String::as_str));
        return Err(ScaffoldError::ScopeRequired { audience: audience.id.clone(), offered });
    }
    scopes.iter().try_for_each(|scope| check_scope(audience, scope))
}

/// Checks that the file of the policy to replace holds nothing else.
fn must_be_alone(files: &BundleFiles, new: &NewPolicy) -> Result<(), ScaffoldError> {
    let path = new.path();
    let Some(text) = files.content(&path).and_then(|content| std::str::from_utf8(content).ok()) else {
        return Ok(());
    };
    let set: Result<cedar_policy::PolicySet, _> = text.parse();
    let number = set.map(|set| set.policies().count().saturating_add(set.templates().count()));
    if number.is_ok_and(|number| number > 1) { Err(ScaffoldError::OthersInFile(path)) } else { Ok(()) }
}

/// A request for each condition that does not hold, by name.
fn denials(
    bundle: &Bundle,
    audience: &Audience,
    new: &NewPolicy,
    claims: &[(&Claim, String)],
    whole: &Sample,
) -> Vec<(String, Sample)> {
    let mut denials = Vec::new();
    for (at, (claim, value)) in claims.iter().enumerate() {
        let name = file_name(&claim.name);
        let mut denied = whole.clone();
        if let (Some(line), Some(other)) = (denied.claims.get_mut(at), other_value(claim, value)) {
            *line = claim_line(claim, &other);
            denials.push((format!("another {name}"), denied));
        }
        if !claim.required {
            let mut denied = whole.clone();
            denied.claims.remove(at);
            denied.absent = Some(claim.name.to_string());
            denials.push((format!("without {name}"), denied));
        }
    }
    let mut beyond = whole.clone();
    let other = audience.scopes.iter().find(|scope| !new.scopes.contains(scope));
    beyond.scopes.push(other.cloned().unwrap_or_else(|| "beyond".to_owned()));
    denials.push(("a scope beyond".to_owned(), beyond));
    if !new.networks.is_empty() {
        let elsewhere = address_outside(&new.networks).map(str::to_owned);
        denials.push(("from another network".to_owned(), Sample { client_ip: elsewhere, ..whole.clone() }));
        denials.push(("without an address".to_owned(), Sample { client_ip: None, ..whole.clone() }));
    }
    for (name, is_denied) in new.hours.iter().flat_map(Hours::denials) {
        if let Some(at) = new.hours.as_ref().and_then(|hours| moment(bundle, hours, is_denied)) {
            denials.push((name.to_owned(), Sample { at: Some(at), ..whole.clone() }));
        }
    }
    denials
}

/// The name of a claim as part of a file's name.
fn file_name(claim: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
    claim.chars().map(|character| if plain(character) { character } else { '-' }).collect()
}

/// The first full hour, from the default time of cases on, whose local time is wanted.
fn moment(bundle: &Bundle, hours: &Hours, is_wanted: impl Fn(&str, u64) -> bool) -> Option<u64> {
    let hours_ahead = 0..=8 * 24_u64;
    let mut moments = hours_ahead.map(|ahead| AT_DEFAULT.saturating_add(ahead.saturating_mul(3600)));
    moments.find(|at| {
        let times = bundle.local_times(*at);
        let there = times.as_ref().and_then(|times| times.get(&hours.zone));
        let weekday = there.and_then(|there| there.get("weekday")?.as_str());
        let hour = there.and_then(|there| there.get("hour")?.as_u64());
        weekday.zip(hour).is_some_and(|(weekday, hour)| is_wanted(weekday, hour))
    })
}

/// Runs the cases, adds the policies that determine them, and drops denials that are permitted by others.
fn settle(
    files: &BundleFiles,
    environment: &Environment,
    new: &NewPolicy,
    mut made: NewFiles,
    allow: &str,
) -> Result<MadePolicy, ScaffoldError> {
    let with_made = |made: &NewFiles| if new.replace { replaced(files, made) } else { with(files, made) };
    let mut wider = Vec::new();
    let development = Environment { development: true, ..environment.clone() };
    let all = with_made(&made)?;
    let bundle = Bundle::load(&all, &development).map_err(invalid)?;
    let cases = cases::read(&all, &bundle);
    let cases = cases.map_err(|diagnostics| ScaffoldError::Invalid(diagnostics.into()))?;
    for case in cases.iter().filter(|case| made.contains_key(&case.path)).collect::<Vec<_>>() {
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
    let suite = run(&with_made(&made)?, environment).map_err(ScaffoldError::Invalid)?;
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

fn case(new: &NewPolicy, sample: &Sample, base: &str) -> String {
    let scopes: Vec<String> = sample.scopes.iter().map(|scope| toml_text(scope)).collect();
    let mut lines = format!("issuer = {}\n{UNDECIDED}\n", toml_text(&new.issuer));
    if let Some(at) = sample.at.and_then(to_rfc3339) {
        lines.push_str(&format!("at = {}\n", toml_text(&at)));
    }
    lines.extend(sample.claims.iter().map(|line| format!("claims.{line}\n")));
    // Claims of the issuer's default file are there unless they are taken away.
    let base: toml::Table = toml::from_str(base).unwrap_or_default();
    let defaults = base.get("claims").and_then(toml::Value::as_table);
    let absent = sample.absent.as_ref().filter(|claim| defaults.is_some_and(|it| it.contains_key(claim.as_str())));
    lines.extend(absent.map(|claim| format!("absent = [{}]\n", toml_text(claim))));
    lines.push_str(&format!(
        "\n[request]\naudience = {}\nscopes = [{}]\n",
        toml_text(&new.audience),
        scopes.join(", ")
    ));
    lines.extend(sample.client_ip.as_ref().map(|address| format!("client_ip = {}\n", toml_text(address))));
    lines
}

fn policy_text(new: &NewPolicy, issuer: &Issuer, claims: &[(&Claim, String)]) -> Result<String, ScaffoldError> {
    let mut conditions: Vec<String> = claims.iter().map(|(claim, value)| comparison(claim, value)).collect();
    let scopes: Vec<String> = new.scopes.iter().map(|scope| cedar_text(scope)).collect();
    conditions.push(match scopes.as_slice() {
        [] => "context.scopes.isEmpty()".to_owned(),
        scopes => format!("[{}].containsAll(context.scopes)", scopes.join(", ")),
    });
    let in_range = |network: &Network| format!("context.client_ip.isInRange(ip({}))", cedar_text(&network.text));
    let ranges: Vec<String> = new.networks.iter().map(in_range).collect();
    if !ranges.is_empty() {
        conditions.extend(["context has client_ip".to_owned(), format!("({})", ranges.join(" || "))]);
    }
    conditions.extend(new.hours.iter().flat_map(Hours::conditions));
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
