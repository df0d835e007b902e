//! `vouchsafe policy explain`: permit or deny, and which policy or condition decides.

mod show;

use super::audit;
use super::bundle::{EnvironmentArgs, load};
use super::output::{count, parse_moment};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use show::Shown;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format, clock};
use vouchsafe_json::{Json, JsonObject};
use vouchsafe_policy::{Audience, Bundle, Effect, Issuer, TokenRequest};
use vouchsafe_policy_tools::explain::explain as explain_request;
use vouchsafe_policy_tools::{RecordedRequest, principal_of_claims, smallest_change};
use vouchsafe_providers::spiffe::SpiffeId;

/// Show whether a token would be issued, and which policy or condition decides.
///
/// Does not verify the token: the broker checks its signature, issuer and times.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 a token would be issued, 1 the request would be refused, by policies or before they
are evaluated, or the bundle does not load, 2 usage error.

Examples:
  vouchsafe policy explain policies --claims claims.json --audience https://deploy.example --scope deploy:write
  vouchsafe policy explain policies --token token.jwt --audience https://api.example --development
  vouchsafe policy explain policies --claims - --issuer-name github --audience https://api.example --at 2027-01-01T00:00:00Z
  vouchsafe policy explain policies --decision 3q2-7w --state-dir .state --format json")]
pub struct Args {
    /// The folder that contains `bundle.toml`.
    dir: PathBuf,
    #[command(flatten)]
    subject: SubjectArgs,
    /// The requested audience.
    #[arg(long, value_name = "A", required_unless_present = "decision")]
    audience: Option<String>,
    /// A requested scope; repeatable.
    #[arg(long = "scope", value_name = "S")]
    scopes: Vec<String>,
    /// The requested lifetime; default: that of the audience.
    #[arg(long, value_name = "SECONDS")]
    requested_expires_in: Option<u64>,
    /// Treat the claims as those of this issuer, whatever their `iss`.
    #[arg(long, value_name = "NAME")]
    issuer_name: Option<String>,
    /// The time of the request: Unix seconds, or a date such as 2027-01-01T00:00:00Z; default: now.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The client's address, as a trusted proxy would report it.
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,
    /// Where the decision is recorded: a broker's state directory, a database, or an exported file.
    #[arg(long, value_name = "DIR", requires = "decision")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct SubjectArgs {
    /// A file with a subject token, which is decoded but not verified; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// A file with claims as a JSON object; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
    /// The id of a past decision, to be decided again with this bundle.
    #[arg(long, value_name = "ID", allow_hyphen_values = true, requires = "state_dir", conflicts_with_all = ["audience", "scopes", "requested_expires_in", "issuer_name", "at", "ip"])]
    decision: Option<String>,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let (text, issued) = explain(args)?;
    print!("{text}");
    Ok(ExitCode::from(u8::from(!issued)))
}

/// The request to explain, and notes about it.
struct Question {
    asked: RecordedRequest,
    notes: Vec<String>,
    /// Whether the broker would refuse it before evaluating policies.
    refused: bool,
}

/// The output, and whether a token would be issued.
pub(super) fn explain(args: &Args) -> Result<(String, bool), Failure> {
    let mut environment = args.environment.environment();
    // The issuers that were trusted at the time of the decision may be development ones.
    environment.development |= args.subject.decision.is_some();
    let (_, bundle) = load(&args.dir, &environment)?;
    let question = match &args.subject.decision {
        Some(id) => of_decision(args, id, &bundle)?,
        None => of_claims(args, &bundle)?,
    };
    let RecordedRequest { principal, request, now } = &question.asked;
    let explanation =
        explain_request(&bundle, principal, request, *now).map_err(|error| Failure::refused(error.to_string()))?;
    let change = match explanation.decision.effect {
        Effect::Deny => smallest_change(&bundle, principal, request, *now),
        Effect::Permit => None,
    };
    let shown = Shown {
        explanation: &explanation,
        principal,
        request,
        now: *now,
        notes: &question.notes,
        change: change.as_ref(),
    };
    let text = match args.format {
        Format::Json => format!("{}\n", show::as_json(&shown)),
        Format::Text => show::as_text(&shown),
    };
    let issued = !question.refused && explanation.decision.effect == Effect::Permit;
    Ok((text, issued))
}

fn of_claims(args: &Args, bundle: &Bundle) -> Result<Question, Failure> {
    let claims = args.subject.claims()?;
    let issuer = issuer(args, bundle, &claims)?;
    let audience = audience(args, bundle)?;
    let now = match &args.at {
        None => clock::unix_seconds()?,
        Some(text) => parse_moment(text)?,
    };
    let principal = principal_of_claims(issuer, &claims)
        .map_err(|error| Failure::refused(format!("the broker would refuse the token: {error}")))?;
    let request = TokenRequest {
        audience: audience.id.clone(),
        scopes: args.scopes.clone(),
        requested_lifetime_seconds: args.requested_expires_in.unwrap_or(audience.default_lifetime_seconds),
        client_ip: args.ip.clone(),
        proof_of_possession: false,
    };
    let mut notes = Vec::new();
    if args.subject.token.is_some() {
        notes.push("the token was only decoded; its signature was not verified".to_owned());
    }
    let refusals = refusals(&claims, issuer, audience, &request, now);
    let refused = !refusals.is_empty();
    notes.extend(refusals);
    let asked = RecordedRequest { principal, request, now };
    Ok(Question { asked, notes, refused })
}

/// A past decision, with notes on what has changed since.
fn of_decision(args: &Args, id: &str, bundle: &Bundle) -> Result<Question, Failure> {
    let state = args.state_dir.as_deref().unwrap_or(Path::new("."));
    let record = audit::find(state, id)?
        .ok_or_else(|| Failure::refused(format!("no decision `{id}` is recorded in `{}`", state.display())))?;
    let asked = RecordedRequest::parse(&record.cedar_request).map_err(|error| Failure::refused(error.to_string()))?;
    let by = match record.determining_rules.as_slice() {
        [] => "no policy".to_owned(),
        rules => format!("`{}`", rules.join("`, `")),
    };
    let mut notes = vec![format!("decision {id} was {} ({}), determined by {by}", record.outcome, record.slug)];
    if record.repeats > 0 {
        let repeats = count(usize::try_from(record.repeats).unwrap_or(usize::MAX), "further refusal");
        notes.push(format!("this record also counts {repeats} of the same kind"));
    }
    if record.bundle_digest != bundle.digest() {
        notes.push(format!(
            "another bundle made this decision: sha256 {}; the following is for the current one",
            record.bundle_digest
        ));
    }
    Ok(Question { asked, notes, refused: false })
}

impl SubjectArgs {
    /// The claims, parsed as strictly as in the broker.
    fn claims(&self) -> Result<JsonObject, Failure> {
        let (path, text) = match (&self.token, &self.claims) {
            (Some(path), _) => (path, decode(&read(path)?)?),
            (None, Some(path)) => (path, read(path)?),
            (None, None) => {
                return Err(Failure::usage("missing `--token`, `--claims` or `--decision`"));
            }
        };
        JsonObject::parse(text.as_bytes())
            .map_err(|error| Failure::usage(format!("`{}` does not contain claims: {error}", path.display())))
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

/// The unverified payload of a compact JWS (RFC 7515 §7.1).
fn decode(token: &str) -> Result<String, Failure> {
    let not_a_jwt = || Failure::usage("the token is not a compact JWT");
    let mut parts = token.trim().split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(not_a_jwt());
    };
    let bytes = URL_SAFE_NO_PAD.decode(payload).map_err(|_| not_a_jwt())?;
    String::from_utf8(bytes).map_err(|_| not_a_jwt())
}

fn issuer<'a>(args: &Args, bundle: &'a Bundle, claims: &JsonObject) -> Result<&'a Issuer, Failure> {
    let iss = claims.get("iss").and_then(Json::as_text);
    // Like the broker: `iss` first, then the trust domain of a SPIFFE ID.
    let sub = claims.get("sub").and_then(Json::as_text);
    let trust_domain = sub.and_then(|sub| SpiffeId::parse(sub).ok()).map(SpiffeId::issuer);
    let iss = match (iss, &trust_domain) {
        (Some(iss), Some(domain)) if bundle.issuer(iss).is_none() => {
            bundle.issuer(domain).map_or(Some(iss), |_| Some(domain.as_str()))
        }
        (None, Some(domain)) => Some(domain.as_str()),
        (iss, _) => iss,
    };
    let (found, asked) = match (&args.issuer_name, iss) {
        (Some(name), _) => (bundle.issuers().find(|issuer| &issuer.name == name), name.as_str()),
        (None, Some(iss)) => (bundle.issuer(iss), iss),
        (None, None) => {
            return Err(Failure::usage("the claims have no `iss`").hint("add `--issuer-name NAME`"));
        }
    };
    found.ok_or_else(|| {
        let failure = Failure::refused(format!("the bundle does not trust issuer `{asked}`"));
        let mut left_out =
            bundle.issuers_of_all_environments().filter(|issuer| !args.environment.development && issuer.development);
        match left_out.any(|issuer| issuer.issuer == asked || issuer.name == asked) {
            true => failure.hint("it is marked `development = true`; add `--development`"),
            false => {
                let known: Vec<String> =
                    bundle.issuers().map(|issuer| format!("`{}` ({})", issuer.name, issuer.issuer)).collect();
                let others = match bundle.issuers_of_all_environments().count() > known.len() {
                    true => "; `--development` adds development issuers",
                    false => "",
                };
                match known.as_slice() {
                    [] => failure.hint(format!("it trusts no issuers{others}")),
                    known => failure.hint(format!("it trusts {}{others}", known.join(", "))),
                }
            }
        }
    })
}

fn audience<'a>(args: &Args, bundle: &'a Bundle) -> Result<&'a Audience, Failure> {
    let asked = args.audience.as_deref().unwrap_or_default();
    bundle.audience(asked).ok_or_else(|| {
        let known: Vec<String> = bundle.audiences().map(|audience| format!("`{}`", audience.id)).collect();
        Failure::refused(format!("the bundle has no audience `{asked}`")).hint(format!("it has {}", known.join(", ")))
    })
}

/// Reasons for which the broker would refuse the request before evaluating policies.
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
        notes.push(format!("the broker would refuse the token: its `aud` is not `{accepted}`"));
    }
    let expired = match claims.get("exp") {
        Some(Json::Integer(exp)) => i128::from(now) >= exp + i128::from(issuer.leeway_seconds),
        _ => false,
    };
    if expired {
        notes.push("the broker would refuse the token: it has expired".to_owned());
    }
    let limits = vouchsafe_policy_tools::refusals(audience, request).into_iter();
    notes.extend(limits.map(|refusal| format!("the broker would refuse {refusal}")));
    notes
}
