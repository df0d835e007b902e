//! `vouchsafe policy explain`: permit or deny, and which policy or condition decides.

mod case;
mod claims;
mod show;

use super::audit;
use super::bundle::{DIR_DEFAULT, EnvironmentArgs, load};
use super::output::count;
pub(super) use case::explain_case;
use show::Shown;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format};
use vouchsafe_policy::{Audience, Bundle, Effect, TokenRequest};
use vouchsafe_policy_tools::explain::explain as explain_request;
use vouchsafe_policy_tools::{RecordedRequest, refusals, smallest_change};

const ONLY_DECODED: &str = "the token was only decoded; its signature was not verified";

/// Show whether a token would be issued, and which policy or condition decides.
///
/// Does not verify the token: the broker checks its signature, issuer and times.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 a token would be issued, 1 the request would be refused, by policies or before they
are evaluated, or the bundle does not load, 2 usage error.

Examples:
  vouchsafe policy explain --claims claims.json --audience https://deploy.example --scope deploy:write
  vouchsafe policy explain policies --token token.jwt --audience https://api.example --development
  vouchsafe policy explain policies --claims - --issuer-name github --audience https://api.example --at 2027-01-01T00:00:00Z
  vouchsafe policy explain --case 'tests/deploy-from-main/deny/a push to another branch.toml'
  vouchsafe policy explain --decision 3q2-7w --state-dir .state --format json")]
pub struct Args {
    /// The folder that contains `bundle.toml`.
    #[arg(default_value = DIR_DEFAULT)]
    dir: PathBuf,
    #[command(flatten)]
    subject: SubjectArgs,
    /// The requested audience.
    #[arg(long, value_name = "A", required_unless_present_any = ["case", "decision"])]
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
    /// A test case of the bundle, as `vouchsafe policy test` names it, or its path.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["audience", "scopes", "requested_expires_in", "issuer_name", "at", "ip"])]
    case: Option<PathBuf>,
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
    // Cases, and the issuers that were trusted at the time of a decision, may be those of development.
    environment.development |= args.subject.case.is_some() || args.subject.decision.is_some();
    let (files, bundle) = load(&args.dir, &environment)?;
    if let Some(file) = &args.subject.case {
        return case::of_file(&args.dir, file, &files, &environment, args.format);
    }
    let question = match &args.subject.decision {
        Some(id) => of_decision(args, id, &bundle)?,
        None => claims::of_claims(args, &bundle)?,
    };
    question.answer(&bundle, args.format)
}

impl Question {
    /// The output, and whether a token would be issued.
    fn answer(&self, bundle: &Bundle, format: Format) -> Result<(String, bool), Failure> {
        let RecordedRequest { principal, request, now } = &self.asked;
        let explanation =
            explain_request(bundle, principal, request, *now).map_err(|error| Failure::refused(error.to_string()))?;
        let issued = !self.refused && explanation.decision.effect == Effect::Permit;
        let change = match explanation.decision.effect {
            Effect::Deny => smallest_change(bundle, principal, request, *now),
            Effect::Permit => None,
        };
        let shown = Shown {
            explanation: &explanation,
            principal,
            request,
            now: *now,
            notes: &self.notes,
            change: change.as_ref(),
        };
        let text = match format {
            Format::Json => format!("{}\n", show::as_json(&shown)),
            Format::Text => show::as_text(&shown),
        };
        Ok((text, issued))
    }
}

/// Notes on what the broker would refuse although policies permit it.
fn limits(audience: &Audience, request: &TokenRequest) -> Vec<String> {
    refusals(audience, request).iter().map(|refusal| format!("the broker would refuse {refusal}")).collect()
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
