//! `vouchsafe policy check`: errors and warnings about a bundle.

use super::bundle::{DIR_DEFAULT, EnvironmentArgs, must_have_bundle};
use super::hosts;
use super::output::{FindingFormat, count};
use super::settings::Started;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vouchsafe_cli::{Failure, clock, print};
use vouchsafe_policy::{Bundle, folder};
use vouchsafe_policy_tools::lint;
use vouchsafe_policy_tools::report::{self, Item, Severity};
use vouchsafe_url::{HostCase, Origin};

/// Report errors and warnings about a trust bundle, with file and line.
///
/// A bundle with errors cannot be used. Warnings flag likely mistakes.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 no errors (warnings are possible), 1 errors, or warnings with --deny-warnings,
2 usage error.

Examples:
  vouchsafe policy check
  vouchsafe policy check policies --manifest spin.toml --issuer https://broker.example
  vouchsafe policy check --manifest spin.toml --variable signer_audiences='https://api.example https://deploy.example'
  vouchsafe policy check policies --deny-warnings --format json
  vouchsafe policy check policies --prove
  vouchsafe policy check policies --format sarif >policy.sarif")]
pub struct Args {
    /// The folder that contains `bundle.toml`.
    #[arg(default_value = DIR_DEFAULT)]
    dir: PathBuf,
    /// Compare the bundle with this manifest: hosts of issuers, the signer's audiences, tiers and
    /// algorithms, and with --issuer, what is for development only.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// A variable that the broker is started with, if it is not the manifest's default; repeatable.
    #[arg(long = "variable", value_name = "NAME=VALUE", requires = "manifest")]
    variables: Vec<String>,
    /// Also fail on warnings.
    #[arg(long)]
    deny_warnings: bool,
    /// Also decide properties of each policy for all requests, with the solver cvc5. Without, warnings about who
    /// is permitted come from evaluated samples.
    #[cfg(feature = "proofs")]
    #[arg(long)]
    prove: bool,
    #[cfg(feature = "proofs")]
    #[command(flatten)]
    solver: super::solver::SolverArgs,
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: FindingFormat,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let (text, passed) = check(args, print::use_color())?;
    print!("{text}");
    Ok(ExitCode::from(u8::from(!passed)))
}

/// The output, and whether the check passed.
pub(super) fn check(args: &Args, colours: bool) -> Result<(String, bool), Failure> {
    let environment = args.environment.environment();
    must_have_bundle(&args.dir)?;
    let (files, unread) = folder::read_readable(&args.dir);
    let mut report = match unread.is_empty() {
        true => lint::check(&files, &environment),
        false => lint::check_readable(&files, &environment, unread),
    };
    report.warnings.extend(lint::expiring_keys(&files, clock::unix_seconds()?));
    #[cfg(feature = "proofs")]
    if args.prove && report.bundle.is_some() {
        let proven = super::prove::lints(&files, &environment, &args.solver, &report)?;
        report.warnings.extend(proven);
    }
    let mut items = report::items(&files, &report);
    if let (Some(manifest), Some(bundle)) = (&args.manifest, &report.bundle) {
        items.extend(of_manifest(args, manifest, bundle)?);
        items.sort_by_key(|item| item.severity);
    }
    let bundle = report.bundle.as_ref();
    let dir = args.dir.display().to_string();
    let text = match args.format {
        FindingFormat::Github => report::github(&items, &dir),
        FindingFormat::Json => format!("{}\n", as_json(&items, bundle)),
        FindingFormat::Sarif => format!("{:#}\n", report::sarif(&items, &dir, env!("CARGO_PKG_VERSION"))),
        FindingFormat::Text => report::text(&items, colours) + &summary(&items, bundle),
    };
    let failing = |item: &Item| args.deny_warnings || item.severity == Severity::Error;
    Ok((text, !items.iter().any(failing)))
}

/// What a broker with this manifest lacks for the bundle, or has too much.
fn of_manifest(args: &Args, path: &Path, bundle: &Bundle) -> Result<Vec<Item>, Failure> {
    let manifest = hosts::read(path)?;
    let started = Started::new(path, &manifest, &args.variables)?;
    let development = args.environment.development || started.variable("development") == Some("true");
    let mut items = hosts::compare(path, bundle, development)?;
    items.extend(started.unsignable(bundle));
    let issuer = args.environment.issuer.as_deref().or_else(|| started.variable("issuer"));
    if let Some(issuer) = issuer.filter(|issuer| !is_loopback(issuer)) {
        items.extend(started.for_development(bundle, issuer));
    }
    Ok(items)
}

/// Whether the broker's URL is one of development. A URL that cannot be parsed is not.
fn is_loopback(url: &str) -> bool {
    Origin::split(url, HostCase::Any).is_some_and(|(origin, _)| origin.is_loopback())
}

fn summary(items: &[Item], bundle: Option<&Bundle>) -> String {
    let mut text = String::new();
    if let Some(bundle) = bundle {
        let policies = count(bundle.policies().len(), "policy");
        let issuers = count(bundle.issuers_of_all_environments().count(), "issuer");
        let audiences = count(bundle.audiences().count(), "audience");
        let (name, version, digest) = (&bundle.name, &bundle.version, bundle.digest());
        text.push_str(&format!("bundle {name} {version}: {issuers}, {audiences}, {policies}, sha256 {digest}\n"));
    }
    let of = |severity| items.iter().filter(|item| item.severity == severity).count();
    let errors = count(of(Severity::Error), "error");
    text.push_str(&format!("{errors}, {}\n", count(of(Severity::Warning), "warning")));
    text
}

fn as_json(items: &[Item], bundle: Option<&Bundle>) -> serde_json::Value {
    let of = |severity| {
        let items: Vec<Item> = items.iter().filter(|item| item.severity == severity).cloned().collect();
        report::json(&items)
    };
    json!({
        "errors": of(Severity::Error),
        "warnings": of(Severity::Warning),
        "bundle": bundle.map(|bundle| json!({
            "name": bundle.name, "version": bundle.version, "digest": bundle.digest(),
        })),
    })
}
