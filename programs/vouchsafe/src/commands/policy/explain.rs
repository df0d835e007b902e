//! `vouchsafe policy explain`: allow or deny, and which rule or which condition decided.

use super::{EnvironmentArgs, read_folder};
use crate::commands::Failure;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};
use vouchsafe_json::{Json, JsonObject};
use vouchsafe_policy::explain::{Condition, Explanation, Kind, RuleExplanation, Verdict};
use vouchsafe_policy::{
    Audience, Bundle, Effect, Issuer, Principal, TokenRequest, parse_unix_seconds, to_rfc3339,
};
use vouchsafe_providers::spiffe::SpiffeId;

/// Say whether a token would be issued, and which rule or which condition decides.
///
/// Verifies nothing: the token's signature, issuer and times are the broker's to check.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 a token would be issued, 1 it would be refused, by the rules or before they are
asked, or the bundle does not load, 2 wrong use.

Examples:
  vouchsafe policy explain policies --claims claims.json --audience https://deploy.example --scope deploy:write
  vouchsafe policy explain policies --token token.jwt --audience https://api.example --development
  vouchsafe policy explain policies --claims - --issuer-name github --audience https://api.example --at 2027-01-01T00:00:00Z")]
pub struct Args {
    /// The folder that holds `bundle.toml`.
    dir: PathBuf,
    #[command(flatten)]
    subject: SubjectArgs,
    /// What the token would be for.
    #[arg(long, value_name = "A")]
    audience: String,
    /// A scope that would be asked for; may be repeated.
    #[arg(long = "scope", value_name = "S")]
    scopes: Vec<String>,
    /// The lifetime that would be asked for; else the audience's default.
    #[arg(long, value_name = "SECONDS")]
    requested_expires_in: Option<u64>,
    /// Take the claims as of this issuer, whatever their `iss`.
    #[arg(long, value_name = "NAME")]
    issuer_name: Option<String>,
    /// When: Unix seconds, or a date such as 2027-01-01T00:00:00Z; else now.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    #[command(flatten)]
    environment: EnvironmentArgs,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct SubjectArgs {
    /// A file with a subject token, which is decoded without being verified; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// A file with claims as a JSON object; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let (text, issued) = explain(args)?;
    print!("{text}");
    Ok(ExitCode::from(u8::from(!issued)))
}

/// What to print, and whether a token would be issued.
pub(super) fn explain(args: &Args) -> Result<(String, bool), Failure> {
    let environment = args.environment.environment();
    let bundle = read_folder(&args.dir)?
        .and_then(|files| Bundle::load(&files, &environment))
        .map_err(|invalid| {
            Failure::refused(format!("the bundle does not load\n{invalid}")).hint(format!(
                "run `vouchsafe policy check {}`",
                args.dir.display()
            ))
        })?;
    let claims = args.subject.claims()?;
    let issuer = issuer(args, &bundle, &claims)?;
    let audience = audience(args, &bundle)?;
    let now = moment(args.at.as_deref())?;
    let principal = bundle
        .principal_of_claims(issuer, &claims)
        .map_err(|error| Failure::refused(format!("the broker would refuse the token: {error}")))?;
    let request = TokenRequest {
        audience: audience.id.clone(),
        scopes: args.scopes.clone(),
        requested_lifetime_seconds: args
            .requested_expires_in
            .unwrap_or(audience.default_lifetime_seconds),
        client_ip: None,
        proof_of_possession: false,
    };
    let explanation = bundle
        .explain(&principal, &request, now)
        .map_err(|error| Failure::refused(error.to_string()))?;
    let mut text = String::new();
    if args.subject.token.is_some() {
        text.push_str("note: the token was decoded only; its signature was not verified\n");
    }
    let refusals = refusals(&claims, issuer, audience, &request, now);
    for refusal in &refusals {
        text.push_str(&format!("note: {refusal}\n"));
    }
    text.push_str(&as_text(&explanation, &principal, &request, now));
    let issued = refusals.is_empty() && explanation.decision.effect == Effect::Permit;
    Ok((text, issued))
}

impl SubjectArgs {
    /// Read as strictly as the broker reads a token's.
    fn claims(&self) -> Result<JsonObject, Failure> {
        let (path, text) = match (&self.token, &self.claims) {
            (Some(path), _) => (path, decode(&read(path)?)?),
            (None, Some(path)) => (path, read(path)?),
            (None, None) => return Err(Failure::usage("give `--token` or `--claims`")),
        };
        JsonObject::parse(text.as_bytes()).map_err(|error| {
            Failure::usage(format!("`{}` holds no claims: {error}", path.display()))
        })
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| Failure::usage(format!("cannot read `{}`: {error}", path.display())))?;
    Ok(text)
}

/// The payload of a compact JWS (RFC 7515 §7.1), which nothing vouches for.
fn decode(token: &str) -> Result<String, Failure> {
    let not_a_jwt = || Failure::usage("the token is not a compact JWT");
    let mut parts = token.trim().split('.');
    let (Some(_), Some(payload), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(not_a_jwt());
    };
    let bytes = URL_SAFE_NO_PAD.decode(payload).map_err(|_| not_a_jwt())?;
    String::from_utf8(bytes).map_err(|_| not_a_jwt())
}

fn issuer<'a>(args: &Args, bundle: &'a Bundle, claims: &JsonObject) -> Result<&'a Issuer, Failure> {
    let iss = claims.get("iss").and_then(Json::as_text);
    // As the broker does: `iss` first, then the trust domain of a SPIFFE ID.
    let sub = claims.get("sub").and_then(Json::as_text);
    let trust_domain = sub
        .and_then(|sub| SpiffeId::parse(sub).ok())
        .map(SpiffeId::issuer);
    let iss = match (iss, &trust_domain) {
        (Some(iss), Some(domain)) if bundle.issuer(iss).is_none() => bundle
            .issuer(domain)
            .map_or(Some(iss), |_| Some(domain.as_str())),
        (None, Some(domain)) => Some(domain.as_str()),
        (iss, _) => iss,
    };
    let (found, asked) = match (&args.issuer_name, iss) {
        (Some(name), _) => (
            bundle.issuers().find(|issuer| &issuer.name == name),
            name.as_str(),
        ),
        (None, Some(iss)) => (bundle.issuer(iss), iss),
        (None, None) => {
            return Err(
                Failure::usage("the claims have no `iss`").hint("give `--issuer-name NAME`")
            );
        }
    };
    found.ok_or_else(|| {
        let failure = Failure::refused(format!("the bundle does not trust issuer `{asked}`"));
        let mut left_out = bundle
            .issuers_of_all_environments()
            .filter(|issuer| !args.environment.development && issuer.development);
        match left_out.any(|issuer| issuer.issuer == asked || issuer.name == asked) {
            true => failure.hint("it is marked `development = true`: add `--development`"),
            false => failure,
        }
    })
}

fn audience<'a>(args: &Args, bundle: &'a Bundle) -> Result<&'a Audience, Failure> {
    bundle.audience(&args.audience).ok_or_else(|| {
        let known: Vec<String> = bundle
            .audiences()
            .map(|audience| format!("`{}`", audience.id))
            .collect();
        Failure::refused(format!("the bundle has no audience `{}`", args.audience))
            .hint(format!("it has {}", known.join(", ")))
    })
}

fn moment(at: Option<&str>) -> Result<u64, Failure> {
    match at {
        None => Ok(SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())),
        Some(text) => text
            .parse()
            .ok()
            .or_else(|| parse_unix_seconds(text))
            .ok_or_else(|| {
                Failure::usage(format!("`{text}` is not a time"))
                    .hint("write Unix seconds, or a date such as 2027-01-01T00:00:00Z")
            }),
    }
}

/// What the broker would refuse before it asks the rules.
fn refusals(
    claims: &JsonObject,
    issuer: &Issuer,
    audience: &Audience,
    request: &TokenRequest,
    now: u64,
) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(aud) = claims.get("aud")
        && !aud
            .as_array()
            .and_then(|only| if let [aud] = only { Some(aud) } else { None })
            .unwrap_or(aud)
            .as_text()
            .is_some_and(|aud| issuer.audiences.iter().any(|known| known == aud))
    {
        let accepted = issuer.audiences.join("`, `");
        notes.push(format!(
            "the broker would refuse the token: its `aud` is not `{accepted}`"
        ));
    }
    let expired = match claims.get("exp") {
        Some(Json::Integer(exp)) => i128::from(now) >= exp + i128::from(issuer.leeway_seconds),
        _ => false,
    };
    if expired {
        notes.push("the broker would refuse the token: it has expired".to_owned());
    }
    for scope in request
        .scopes
        .iter()
        .filter(|scope| !audience.scopes.contains(scope))
    {
        notes.push(format!(
            "the broker would refuse scope `{scope}`: the audience does not offer it"
        ));
    }
    let (asked, max) = (
        request.requested_lifetime_seconds,
        audience.max_lifetime_seconds,
    );
    if asked > max {
        notes.push(format!(
            "the broker would refuse {asked} s: the audience's ceiling is {max} s"
        ));
    }
    if asked == 0 {
        notes.push("the broker would refuse 0 s: a token lives at least 1 s".to_owned());
    }
    notes
}

fn as_text(
    explanation: &Explanation,
    principal: &Principal,
    request: &TokenRequest,
    now: u64,
) -> String {
    let Principal {
        entity_type,
        id,
        issuer_name,
        ..
    } = principal;
    let mut text = format!("principal: {entity_type}::{id:?} in Issuer::{issuer_name:?}\n");
    let scopes = match request.scopes.as_slice() {
        [] => "no scopes".to_owned(),
        scopes => format!("scopes {}", scopes.join(" ")),
    };
    let (lifetime, at) = (
        request.requested_lifetime_seconds,
        to_rfc3339(now).unwrap_or_default(),
    );
    text.push_str(&format!(
        "request: {}, {scopes}, {lifetime} s, at {at}\n",
        request.audience
    ));
    text.push_str(&format!("decision: {}\n", verdict(explanation)));
    let (near, far): (Vec<&RuleExplanation>, Vec<&RuleExplanation>) = explanation
        .rules
        .iter()
        .partition(|rule| rule.scope_matches());
    text.extend(near.into_iter().map(rule_text));
    if !far.is_empty() {
        text.push_str("\nrules for another principal, issuer or audience:\n");
    }
    for rule in far {
        text.push_str(&format!(
            "  {}: another {}\n",
            rule.id,
            rule.scope_mismatches.join(", ")
        ));
    }
    text
}

fn verdict(explanation: &Explanation) -> String {
    let decision = &explanation.decision;
    let by = decision.determining_rules.join("`, `");
    match (decision.effect, decision.determining_rules.is_empty()) {
        (Effect::Permit, _) => format!("permit, by `{by}`"),
        (Effect::Deny, true) => "deny: no rule permits".to_owned(),
        (Effect::Deny, false) => format!("deny: forbidden by `{by}`"),
    }
}

fn rule_text(rule: &RuleExplanation) -> String {
    let effect = if rule.forbid { "forbid" } else { "permit" };
    let matches = if rule.matches() {
        "matches"
    } else {
        "does not match"
    };
    let line = rule.position.map_or(0, |position| position.line);
    let mut text = format!("\n{effect} {} ({}:{line}): {matches}\n", rule.id, rule.file);
    text.extend(rule.conditions.iter().map(condition_text));
    text
}

fn condition_text(condition: &Condition) -> String {
    let word = match &condition.verdict {
        Verdict::Errs(_) => "errs ",
        Verdict::Fails => "FAILS",
        Verdict::Holds => "holds",
        Verdict::NotReached => "-    ",
    };
    let unless = if condition.kind == Kind::Unless {
        "unless "
    } else {
        ""
    };
    let mut text = format!("  {word} {unless}{}\n", condition.text);
    match &condition.verdict {
        Verdict::Errs(reason) => text.push_str(&format!("        {reason}\n")),
        Verdict::Fails => {
            for (name, value) in &condition.inputs {
                let value = value.as_deref().unwrap_or("absent");
                text.push_str(&format!("        {name} is {value}\n"));
            }
        }
        Verdict::Holds | Verdict::NotReached => {}
    }
    text
}
