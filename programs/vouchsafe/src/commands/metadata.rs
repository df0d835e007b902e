//! `vouchsafe metadata`: documents that an API publishes about the tokens that it takes.

use crate::commands::policy::bundle::{DIR_DEFAULT, EnvironmentArgs, load};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use vouchsafe_cli::Failure;
use vouchsafe_policy::Audience;
use vouchsafe_url::{HostCase, Origin};

/// RFC 9728 §3.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Generate documents that an API publishes about the tokens that it takes.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  vouchsafe metadata resource --issuer https://broker.example --audience https://api.example"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Resource(ResourceArgs),
}

/// Print the metadata of an API (RFC 9728), from its audience file.
///
/// Clients, such as those of MCP, read there which broker issues tokens for the API and which scopes there are. The API
/// serves the document, at the URL that a note on standard error names.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 printed, 1 the bundle does not load, 2 usage error.

Examples:
  vouchsafe metadata resource --issuer https://broker.example --audience https://api.example
  vouchsafe metadata resource policies --issuer https://broker.example --audience https://api.example/v1 > resource.json")]
pub struct ResourceArgs {
    /// The folder that contains `bundle.toml`.
    #[arg(default_value = DIR_DEFAULT)]
    dir: PathBuf,
    /// The audience of the API: its https URL.
    #[arg(long, value_name = "A")]
    audience: String,
    #[command(flatten)]
    environment: EnvironmentArgs,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let Command::Resource(args) = &args.command;
    let broker = args.environment.issuer.as_deref();
    let broker = broker.ok_or_else(|| Failure::usage("--issuer is missing: the broker's issuer URL"))?;
    let (_, bundle) = load(&args.dir, &args.environment.environment())?;
    let audience = bundle.audience(&args.audience).ok_or_else(|| {
        Failure::usage(format!("the bundle has no audience `{}`", args.audience))
            .hint("--audience is the `id` in its file")
    })?;
    let location = location(&audience.id).ok_or_else(|| {
        Failure::usage(format!("audience `{}` is not the https URL of an API", audience.id))
            .hint("RFC 9728 names a resource by its URL, without fragment")
    })?;
    println!("{:#}", document(audience, broker));
    eprintln!("note: serve it at {location}");
    Ok(ExitCode::SUCCESS)
}

/// The members that follow from the audience file (RFC 9728 §2).
fn document(audience: &Audience, broker: &str) -> Value {
    let required = audience.proof_required;
    // With an empty list, no request with a bearer token is accepted.
    let bearer_methods: &[&str] = if required { &[] } else { &["header"] };
    let mut document = json!({
        "resource": audience.id,
        "authorization_servers": [broker],
        "bearer_methods_supported": bearer_methods,
    });
    if let Some(members) = document.as_object_mut() {
        if !audience.scopes.is_empty() {
            members.insert("scopes_supported".to_owned(), json!(audience.scopes));
        }
        if required {
            members.insert("dpop_bound_access_tokens_required".to_owned(), json!(true));
        }
    }
    document
}

/// Where the document of `resource` belongs: between its host and its path (RFC 9728 §3.1). None if that is no https URL,
/// or http on loopback, without a fragment.
fn location(resource: &str) -> Option<String> {
    let (origin, rest) = Origin::split(resource, HostCase::Any)?;
    if resource.contains('#') || !(origin.is_https() || origin.is_loopback()) {
        return None;
    }
    let path = if rest == "/" { "" } else { rest };
    let host = resource.strip_suffix(rest)?;
    Some(format!("{host}{WELL_KNOWN}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_policy::{ReplayMode, Tier};

    fn audience(scopes: &[&str], proof_required: bool) -> Audience {
        Audience {
            id: "https://api.example/v1".to_owned(),
            view: None,
            tier: Tier::Delegated,
            algorithm: "ES256".to_owned(),
            default_lifetime_seconds: 300,
            max_lifetime_seconds: 900,
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            scopes_required: false,
            claims: Vec::new(),
            replay: ReplayMode::Allow,
            outlive_subject: false,
            proof_required,
            allow_act: false,
            authorization_server: false,
            status_list: false,
        }
    }

    #[test]
    fn describes_what_the_audience_takes() {
        let (resource, broker) = ("https://api.example/v1", "https://broker.example");
        assert_eq!(
            document(&audience(&["read", "write"], false), broker),
            json!({
                "resource": resource, "authorization_servers": [broker], "bearer_methods_supported": ["header"],
                "scopes_supported": ["read", "write"],
            })
        );
        assert_eq!(
            document(&audience(&[], true), broker),
            json!({
                "resource": resource, "authorization_servers": [broker], "bearer_methods_supported": [],
                "dpop_bound_access_tokens_required": true,
            })
        );
    }

    /// RFC 9728 §3.1.
    #[test]
    fn inserts_the_well_known_path_after_the_host() {
        for (resource, expected) in [
            ("https://api.example", Some("https://api.example/.well-known/oauth-protected-resource")),
            ("https://api.example/", Some("https://api.example/.well-known/oauth-protected-resource")),
            ("https://api.example:8443/v1", Some("https://api.example:8443/.well-known/oauth-protected-resource/v1")),
            ("http://127.0.0.1:8080/mcp", Some("http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp")),
            ("http://api.example", None),
            ("https://api.example/a#b", None),
            ("api", None),
            ("urn:api", None),
        ] {
            assert_eq!(location(resource).as_deref(), expected, "{resource}");
        }
    }
}
