//! This machine: space and modes.

use super::finding::Finding;
use vouchsafe_host::{Application, Exposed};
use vouchsafe_store::SPACE_LOW_BYTES;

const MEBIBYTE: u64 = 1024 * 1024;

/// The directory of the database.
pub fn state_dir(application: &Application) -> Finding {
    let shown = application.state_dir().display().to_string();
    let what = "state directory";
    match application.check_state_dir() {
        Err(error) => Finding::error(what, error.message).fix(error.hint),
        Ok(free) if free < SPACE_LOW_BYTES => {
            let (free, low) = (free / MEBIBYTE, SPACE_LOW_BYTES / MEBIBYTE);
            Finding::warning(what, format!("{shown}: {free} MiB free, less than {low} MiB"))
                .fix("make room: without space for its record, no token is issued".to_owned())
        }
        Ok(free) => Finding::ok(what, format!("{shown}: {} MiB free", free / MEBIBYTE)),
    }
}

/// Files with secrets that others can read.
pub fn secrets(application: &Application) -> Vec<Finding> {
    let what = "secrets";
    let mut findings = Vec::new();
    for warning in application.warnings() {
        let (why, fix) = warning.split_once("\nhint: ").unwrap_or((warning.as_str(), ""));
        let why = why.strip_prefix("warning: ").unwrap_or(why);
        findings.push(Finding::error(what, why).fix(Some(fix.to_owned()).filter(|fix| !fix.is_empty())));
    }
    match findings.is_empty() {
        true => vec![Finding::ok(what, "no file with a secret can be read by other users")],
        false => findings,
    }
}

/// Files that decide what the broker permits, and that others can change.
pub fn exposed(application: &Application) -> Vec<Finding> {
    let what = "write access";
    let exposed = application.exposed();
    if exposed.is_empty() {
        return vec![Finding::ok(
            what,
            "only root and this user can change the manifest, the components and the bundle",
        )];
    }
    let of = |Exposed { message, fix, is_refused }| match is_refused {
        true => Finding::error(what, message).fix(fix),
        false => Finding::warning(what, message).fix(fix),
    };
    exposed.into_iter().map(of).collect()
}
