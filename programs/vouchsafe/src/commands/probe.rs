//! `vouchsafe probe`: tests from outside what a broker must issue and must refuse.
//!
//! It can run on a schedule against a production broker, because it changes no more than an ordinary exchange does.

mod checks;
mod report;

use crate::client::subject::SubjectArgs;
use crate::client::{Broker, NetworkArgs};
use std::process::ExitCode;
use vouchsafe_cli::Failure;

/// Test a broker from outside: one exchange must succeed, the others must be refused.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 all checks passed, 1 a check failed, 2 the command line is wrong, 3 the broker cannot be
reached.

Examples:
  vouchsafe probe --broker http://127.0.0.1:3000 --audience https://api.example --dev-issuer http://127.0.0.1:7000
  vouchsafe probe --broker https://broker.example --audience https://api.example --format json")]
pub struct Args {
    /// The broker's issuer URL; https, except on loopback.
    #[arg(long, env = "VOUCHSAFE_BROKER", value_name = "URL")]
    broker: String,
    /// An audience that policy permits for the subject token's workload.
    #[arg(long, env = "VOUCHSAFE_AUDIENCE", value_name = "A")]
    audience: String,
    /// A scope to request; may be repeated, or a list separated by spaces.
    #[arg(long = "scope", env = "VOUCHSAFE_SCOPE", value_name = "S", value_delimiter = ' ')]
    scopes: Vec<String>,
    #[command(flatten)]
    subject: SubjectArgs,
    /// A dev issuer that the broker trusts. It issues the subject token if none is named, and those that are expired or
    /// for another audience.
    #[arg(long, env = "VOUCHSAFE_DEV_ISSUER", value_name = "URL", help_heading = None::<&str>)]
    dev_issuer: Option<String>,
    /// Output format.
    #[arg(long, value_enum, default_value = "table", help_heading = None::<&str>)]
    format: report::Format,
    #[command(flatten)]
    network: NetworkArgs,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let http = args.network.http()?;
    let broker = Broker::discover(&http, &args.broker)?;
    let dev_issuer = args.dev_issuer.as_deref().map(|url| checks::DevIssuer { http: &http, url });
    let subject_token = match &dev_issuer {
        Some(issuer) if !args.subject.is_named() => issuer.token(&broker.issuer, None)?,
        _ => args.subject.source()?.token(&http, &broker.issuer)?,
    };
    let probe = checks::Probe {
        http: &http,
        broker: &broker,
        audience: &args.audience,
        scopes: &args.scopes,
        subject_token: &subject_token,
        subject_token_type: args.subject.token_type(),
        dev_issuer,
    };
    let results = probe.run()?;
    report::print(&broker.issuer, &args.audience, &results, args.format);
    let failed = results.iter().any(|check| check.verdict == checks::Verdict::Failed);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
