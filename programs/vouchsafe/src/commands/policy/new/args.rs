//! The arguments of `policy new`.

use crate::commands::policy::bundle::{DIR_DEFAULT, EnvironmentArgs};
use std::path::PathBuf;

/// Add an issuer, an audience or a policy (rule) with test cases to a trust bundle.
///
/// Prompts for missing values on a terminal; elsewhere they are errors. Overwrites no file unless `rule` gets
/// --replace, and never writes one that would not load.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 written, 1 the result would not load or already exists, 2 usage error.

Examples:
  vouchsafe policy new issuer github --provider github --url https://token.actions.githubusercontent.com
  vouchsafe policy new audience deploy policies --id https://deploy.example --scope deploy:write
  vouchsafe policy new rule release-deploys --issuer-name github --audience https://deploy.example \\
    --scope deploy:write --claim repository_id=123456 --claim ref=refs/heads/main --claim event_name=push")]
pub struct Args {
    #[command(subcommand)]
    pub(super) what: What,
    #[command(flatten)]
    pub(super) environment: EnvironmentArgs,
}

#[derive(clap::Subcommand)]
pub enum What {
    Audience(AudienceArgs),
    Issuer(IssuerArgs),
    Rule(RuleArgs),
}

/// Add an audience.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 written, 1 the result would not load or already exists, 2 usage error.

Examples:
  vouchsafe policy new audience deploy --id https://deploy.example --scope deploy:write --single-use")]
pub struct AudienceArgs {
    /// The name of the file: `a-z`, `0-9` and `-`.
    pub(super) name: String,
    /// The folder that contains `bundle.toml`.
    #[arg(default_value = DIR_DEFAULT)]
    pub(super) dir: PathBuf,
    /// The `aud` of issued tokens.
    #[arg(long, value_name = "URL")]
    pub(super) id: Option<String>,
    /// A scope that can be requested; repeatable.
    #[arg(long = "scope", value_name = "S")]
    pub(super) scopes: Vec<String>,
    /// Refuse requests without scopes.
    #[arg(long)]
    pub(super) scopes_required: bool,
    /// The longest lifetime of a token, such as `15m`.
    #[arg(long, value_name = "DURATION")]
    pub(super) max_lifetime: Option<String>,
    /// Allow each subject token to be exchanged only once.
    #[arg(long)]
    pub(super) single_use: bool,
}

/// Add an issuer.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 written, 1 the result would not load or already exists, 2 usage error.

Examples:
  vouchsafe policy new issuer gitlab --provider gitlab --url https://gitlab.example")]
pub struct IssuerArgs {
    /// The name of the file: `a-z`, `0-9` and `-`.
    pub(super) name: String,
    /// The folder that contains `bundle.toml`.
    #[arg(default_value = DIR_DEFAULT)]
    pub(super) dir: PathBuf,
    /// The kind of issuer, such as `github` or `oidc`.
    #[arg(long, value_name = "P")]
    pub(super) provider: Option<String>,
    /// The exact `iss` of the issuer's tokens.
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// A claim that every token must have; repeatable.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) require: Vec<String>,
    /// A text claim of an `oidc` issuer's tokens; repeatable.
    #[arg(long = "claim", value_name = "NAME")]
    pub(super) claims: Vec<String>,
    /// The URL of the JWK Set, for issuers without discovery.
    #[arg(long, value_name = "URL")]
    pub(super) jwks_uri: Option<String>,
    /// A JWK Set file to copy into the bundle, for issuers that cannot be reached.
    #[arg(long, value_name = "FILE", requires = "expires", conflicts_with = "jwks_uri")]
    pub(super) pinned: Option<PathBuf>,
    /// When the pinned keys expire, such as 2027-01-01.
    #[arg(long, value_name = "DATE", requires = "pinned")]
    pub(super) expires: Option<String>,
}

/// Add a policy that permits, with a case that it permits and one for each condition.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 written, 1 the result would not load, permits nothing or already exists, 2 usage error.

Examples:
  vouchsafe policy new rule release-deploys --issuer-name github --audience https://deploy.example \\
    --scope deploy:write --claim repository_id=123456 --claim ref=refs/heads/main --claim event_name=push
  vouchsafe policy new rule office-deploys policies --issuer-name github --audience https://deploy.example \\
    --scope deploy:write --claim repository_id=123456 --environment production --ip 192.0.2.0/24 \\
    --office-hours berlin:9-17 --replace")]
pub struct RuleArgs {
    /// The policy's `@id`: `a-z`, `0-9` and `-`.
    pub(super) id: String,
    /// The folder that contains `bundle.toml`.
    #[arg(default_value = DIR_DEFAULT)]
    pub(super) dir: PathBuf,
    /// The issuer of the workloads: the name of its file without `.toml`.
    #[arg(long, value_name = "NAME")]
    pub(super) issuer_name: Option<String>,
    /// The audience that the workloads get tokens for.
    #[arg(long, value_name = "A")]
    pub(super) audience: Option<String>,
    /// A scope that the workloads may request; repeatable.
    #[arg(long = "scope", value_name = "S")]
    pub(super) scopes: Vec<String>,
    /// A claim that the workloads must have; repeatable.
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    pub(super) claims: Vec<String>,
    /// The deployment environment that jobs must run in: short for --claim environment=NAME.
    #[arg(long, value_name = "NAME")]
    pub(super) environment: Option<String>,
    /// A network that requests must come from, such as 192.0.2.0/24, or an address; repeatable.
    #[arg(long = "ip", value_name = "NETWORK")]
    pub(super) networks: Vec<String>,
    /// Only from Monday to Friday, in a time zone that `bundle.toml` names, such as berlin:9-17; default
    /// of the hours: 9-17.
    #[arg(long, value_name = "ZONE[:FROM-TO]")]
    pub(super) office_hours: Option<String>,
    /// Replace the policy, and those of its cases that have the same names.
    #[arg(long)]
    pub(super) replace: bool,
    /// The purpose of the policy in a sentence, for a comment.
    #[arg(long, value_name = "TEXT")]
    pub(super) intent: Option<String>,
}
