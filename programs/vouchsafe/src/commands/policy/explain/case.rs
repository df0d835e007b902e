//! The request of a test case.

use super::question::{ONLY_DECODED, Question, limits};
use crate::commands::policy::output::quoted;
use std::path::Path;
use vouchsafe_cli::{Failure, Format};
use vouchsafe_policy::{Bundle, BundleFiles, Environment};
use vouchsafe_policy_tools::cases::{self, Case};
use vouchsafe_policy_tools::{Profiles, RecordedRequest, SuiteError, outcome};

/// Explains the case in `file`, in the profile that it names.
pub(super) fn of_file(
    dir: &Path,
    file: &Path,
    files: &BundleFiles,
    environment: &Environment,
    format: Format,
) -> Result<(String, bool), Failure> {
    let invalid = |error: SuiteError| {
        Failure::refused(error.to_string()).hint(format!("run `vouchsafe policy check {}`", quoted(dir)))
    };
    let mut profiles = Profiles::load(files, environment).map_err(invalid)?;
    let path = path_in_bundle(dir, file, files);
    let case = path.and_then(|path| cases::read_one(files, profiles.bundle(None).ok()?, &path));
    let case = case.ok_or_else(|| {
        Failure::usage(format!("`{}` is not a test case of `{}`", file.display(), dir.display()))
            .hint("cases are the files `tests/RULE/allow/NAME.toml` and `tests/RULE/deny/NAME.toml`")
    })?;
    let case = case.map_err(|diagnostics| invalid(diagnostics.into()))?;
    let bundle = profiles.bundle(case.profile.as_deref()).map_err(invalid)?;
    question(bundle, &case)?.answer(bundle, format)
}

/// The explanation of `case`, which `bundle` decides.
pub fn explain_case(bundle: &Bundle, case: &Case) -> Result<String, Failure> {
    question(bundle, case)?.answer(bundle, Format::Text).map(|(text, _)| text)
}

fn question(bundle: &Bundle, case: &Case) -> Result<Question, Failure> {
    let mut notes = Vec::new();
    let refused = case.refused.is_some();
    match &case.refused {
        Some(slug) => notes.push(format!("the case expects that its token is refused with `{slug}`")),
        None => notes.push(expectation(bundle, case)?),
    }
    if case.token.is_some() {
        notes.push(ONLY_DECODED.to_owned());
    }
    let limits = bundle.audience(&case.request.audience).map(|audience| limits(audience, &case.request));
    let limits = limits.unwrap_or_default();
    let refused = refused || !limits.is_empty();
    notes.extend(limits);
    let asked = RecordedRequest {
        principal: case.principal.clone(),
        actor: case.actor.clone(),
        request: case.request.clone(),
        now: case.now,
    };
    Ok(Question { asked, notes, refused })
}

/// What the case expects, and what it gets if that differs.
fn expectation(bundle: &Bundle, case: &Case) -> Result<String, Failure> {
    let decision = case.decide(bundle).map_err(|error| Failure::refused(error.to_string()))?;
    let expected = outcome(case.effect, &case.policies, &case.erring);
    Ok(match case.is_met_by(&decision) {
        true => format!("the case expects {expected}, and is met"),
        false => {
            let found = outcome(decision.effect, &decision.determining_rules, &decision.erring_rules);
            format!("the case expects {expected}, and finds {found}")
        }
    })
}

/// The path of a case in the bundle: as given, or as a path of the file system.
fn path_in_bundle(dir: &Path, file: &Path, files: &BundleFiles) -> Option<String> {
    let given = file.to_str()?;
    if files.content(given).is_some() {
        return Some(given.to_owned());
    }
    let (dir, file) = (dir.canonicalize().ok()?, file.canonicalize().ok()?);
    file.strip_prefix(dir).ok()?.to_str().map(str::to_owned)
}
