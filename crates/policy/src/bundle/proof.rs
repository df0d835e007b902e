//! `guardrails/proof.toml`: which bundle the guardrails were proven for.
//!
//! The record is a digest, not a signature: it shows that somebody forgot to prove a change, not that somebody lied.
//! Comparing it needs no solver.

use crate::bundle::files::{BundleFiles, PROOF_FILE};
use crate::diagnostics::{BundleError, Diagnostic};
use crate::settings::toml_file::TomlFile;

/// Part of every digest of a proof. Change it if a proof of an earlier version may be wrong.
const PROOF_VERSION: &str = "vouchsafe guardrails proven 1";

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ProofRecord {
    /// See [`digest`].
    digest: String,
    /// Name and version of the solver, for people.
    #[serde(rename = "solver")]
    _solver: String,
}

/// What a bundle says about the proof of its guardrails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofState {
    /// The recorded proof is that of this bundle.
    Current,
    /// No proof is recorded.
    Missing,
    /// The bundle has no guardrails.
    NotNeeded,
    /// The recorded proof is that of another bundle.
    Stale,
}

/// The lowercase hexadecimal SHA-256 over every file that the guardrails or what is permitted can depend on: all but
/// test cases, the record itself, and files for people.
pub fn digest(files: &BundleFiles) -> String {
    let matters = |path: &str| match path.split_once('/') {
        None => path.ends_with(".toml") || path.ends_with(".cedarschema"),
        Some((folder, _)) => folder != "tests" && path != PROOF_FILE,
    };
    files.digest_of(PROOF_VERSION, matters)
}

/// The record with which `files` say that their guardrails are proven.
pub fn record(files: &BundleFiles, solver: &str) -> String {
    let digest = digest(files);
    format!("# Written by `vouchsafe policy prove --record`.\ndigest = \"{digest}\"\nsolver = \"{solver}\"\n")
}

/// Compares the recorded proof with the bundle.
///
/// # Errors
/// The record cannot be read.
pub(crate) fn state(files: &BundleFiles) -> Result<ProofState, Diagnostic> {
    let record = match files.content(PROOF_FILE) {
        Some(content) => Some(TomlFile::<BundleError>::parse::<ProofRecord>(PROOF_FILE, content)?.1),
        None => None,
    };
    let is_guardrail = |path: &str| path.starts_with("guardrails/") && path.ends_with(".cedar");
    if !files.iter().any(|(path, _)| is_guardrail(path)) {
        return Ok(ProofState::NotNeeded);
    }
    Ok(match record {
        None => ProofState::Missing,
        Some(record) if record.digest == digest(files) => ProofState::Current,
        Some(_) => ProofState::Stale,
    })
}

/// The error of a broker whose bundle has guardrails that were not proven for it.
///
/// # Errors
/// The bundle has guardrails, and no proof of them.
pub fn require(files: &BundleFiles) -> Result<(), Diagnostic> {
    match state(files)? {
        ProofState::Current | ProofState::NotNeeded => Ok(()),
        ProofState::Missing => Err(Diagnostic::of_file(PROOF_FILE, BundleError::ProofMissing)),
        ProofState::Stale => Err(Diagnostic::of_file(PROOF_FILE, BundleError::ProofStale)),
    }
}
