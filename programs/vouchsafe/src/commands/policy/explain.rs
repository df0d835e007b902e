//! `vouchsafe policy explain`: permit or deny, and which policy or condition decides.

mod args;
mod case;
mod claims;
mod question;
mod show;

use super::audit;
use super::bundle::load;
use super::output::count;
pub use args::Args;
pub(super) use case::explain_case;
#[cfg(feature = "proofs")]
pub(super) use claims::principal;
use question::Question;
use std::path::Path;
use std::process::ExitCode;
use vouchsafe_cli::Failure;
use vouchsafe_policy::Bundle;
use vouchsafe_policy_tools::RecordedRequest;

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let (text, issued) = explain(args)?;
    print!("{text}");
    Ok(ExitCode::from(u8::from(!issued)))
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
