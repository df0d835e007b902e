//! The arguments of `policy explain`.

use crate::commands::policy::bundle::{DIR_DEFAULT, EnvironmentArgs};
use std::path::PathBuf;
use vouchsafe_cli::Format;

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
    pub(super) dir: PathBuf,
    #[command(flatten)]
    pub(super) subject: SubjectArgs,
    /// The requested audience.
    #[arg(long, value_name = "A", required_unless_present_any = ["case", "decision"])]
    pub(super) audience: Option<String>,
    /// A requested scope; repeatable.
    #[arg(long = "scope", value_name = "S")]
    pub(super) scopes: Vec<String>,
    /// The requested lifetime; default: that of the audience.
    #[arg(long, value_name = "SECONDS")]
    pub(super) requested_expires_in: Option<u64>,
    /// Treat the claims as those of this issuer, whatever their `iss`.
    #[arg(long, value_name = "NAME")]
    pub(super) issuer_name: Option<String>,
    /// The time of the request: Unix seconds, or a date such as 2027-01-01T00:00:00Z; default: now.
    #[arg(long, value_name = "TIME")]
    pub(super) at: Option<String>,
    /// The client's address, as a trusted proxy would report it.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) ip: Option<String>,
    /// The request proves possession of a key (DPoP).
    #[arg(long)]
    pub(super) proof_of_possession: bool,
    /// Where the decision is recorded: a broker's state directory, a database, or an exported file.
    #[arg(long, value_name = "DIR", requires = "decision")]
    pub(super) state_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) environment: EnvironmentArgs,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: Format,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub struct SubjectArgs {
    /// A file with a subject token, which is decoded but not verified; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub(super) token: Option<PathBuf>,
    /// A file with claims as a JSON object; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub(super) claims: Option<PathBuf>,
    /// A test case of the bundle, as `vouchsafe policy test` names it, or its path.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["audience", "scopes", "requested_expires_in", "issuer_name", "at", "ip", "proof_of_possession"])]
    pub(super) case: Option<PathBuf>,
    /// The id of a past decision, to be decided again with this bundle.
    #[arg(long, value_name = "ID", allow_hyphen_values = true, requires = "state_dir", conflicts_with_all = ["audience", "scopes", "requested_expires_in", "issuer_name", "at", "ip", "proof_of_possession"])]
    pub(super) decision: Option<String>,
}
