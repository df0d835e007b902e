//! Bundles for tests, and the solver.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vouchsafe_policy::{Bundle, BundleFiles, Environment, folder};
use vouchsafe_policy_proofs::SolverOptions;
use vouchsafe_policy_proofs::prove::{Outcome, Proofs, prove};

pub const SCHEMA: &str = include_str!("../../../../policies/schema.cedarschema");
pub const TWO: NonZeroUsize = NonZeroUsize::new(2).expect("2 is not 0");

/// The solver of `CVC5`, or the one that `scripts/solver` installed.
pub fn solver() -> SolverOptions {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.state/solver/cvc5");
    let program = std::env::var_os("CVC5").map_or(installed, PathBuf::from);
    assert!(program.exists(), "no solver at `{}`: run scripts/solver", program.display());
    SolverOptions { program, query_time_max: Duration::from_secs(60), memory_bytes_max: 2 << 30 }
}

pub fn environment() -> Environment {
    Environment { issuer: "https://broker.example".to_owned(), development: false, epoch_seconds: 3600 }
}

/// A bundle of the repository.
pub fn repository(path: &str) -> BundleFiles {
    folder::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).expect("it is readable")
}

/// `files` with others added or replaced.
pub fn with(files: &BundleFiles, others: &[(&str, &str)]) -> BundleFiles {
    let mut all = BundleFiles::default();
    let kept = files.iter().filter(|(path, _)| !others.iter().any(|(other, _)| other == path));
    let kept = kept.map(|(path, content)| (path.to_owned(), content.to_vec()));
    let others = others.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
    for (path, content) in kept.chain(others) {
        all.add(&path, content).expect("within limits");
    }
    all
}

/// A small bundle: GitHub, two APIs, and these policies and guardrails.
pub fn bundle(rules: &str, guardrails: &str) -> BundleFiles {
    let files = BundleFiles::default();
    with(
        &files,
        &[
            ("bundle.toml", "name = \"test\"\nversion = \"1\"\n"),
            ("schema.cedarschema", SCHEMA),
            ("issuers/github.toml", "issuer = \"https://idp.example\"\nprovider = \"github\"\n"),
            ("issuers/other.toml", "issuer = \"https://other.example\"\nprovider = \"github\"\n"),
            ("audiences/a.toml", "id = \"https://a.example\"\nscopes = [\"read\", \"write\"]\n"),
            ("audiences/b.toml", "id = \"https://b.example\"\n"),
            ("rules/all.cedar", rules),
            ("guardrails/all.cedar", guardrails),
        ],
    )
}

/// A `permit` for `https://a.example` from issuer `github`.
pub fn permit(id: &str, when: &str) -> String {
    format!(
        "@id(\"{id}\") permit (principal is GitHub::Workflow in Issuer::\"github\", action, \
         resource == Audience::\"https://a.example\") when {{ {when} }};\n"
    )
}

/// A guardrail for all requests.
pub fn guardrail(id: &str, unless: &str) -> String {
    format!("@id(\"{id}\") @description(\"Test.\") forbid (principal, action, resource) unless {{ {unless} }};\n")
}

pub fn proofs(files: &BundleFiles) -> Proofs {
    prove(files, &environment(), &solver(), TWO).expect("it can be asked")
}

/// The outcome of the only proof.
pub fn only(files: &BundleFiles) -> Outcome {
    let mut proofs = proofs(files).proofs;
    assert_eq!(proofs.len(), 1, "{proofs:?}");
    proofs.remove(0).outcome
}

pub fn load(files: &BundleFiles) -> Bundle {
    Bundle::load(files, &environment()).expect("it loads")
}
