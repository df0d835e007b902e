//! kubectl and other clients of `client-go`: an exec credential plugin.

use crate::client::issue::{IssueArgs, Token};
use crate::client::moment;
use serde_json::{Value, json};
use std::process::ExitCode;
use vouchsafe_cli::Failure;

const API_VERSION: &str = "client.authentication.k8s.io/v1";

/// Print a token for kubectl and other Kubernetes clients.
///
/// The API server must accept the broker's tokens: see its `AuthenticationConfiguration`. The kubeconfig's `apiVersion`
/// of the plugin must be `client.authentication.k8s.io/v1`.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 printed, 1 refused, 2 the command line is wrong, 3 the broker cannot be reached or cannot answer now.

Examples:
  vouchsafe credential kubectl --broker https://broker.example --audience https://cluster.example --cache
  kubectl config set-credentials ci --exec-api-version client.authentication.k8s.io/v1 --exec-command vouchsafe \\
    --exec-interactive-mode Never --exec-arg credential --exec-arg kubectl \\
    --exec-arg --broker=https://broker.example --exec-arg --audience=https://cluster.example")]
pub struct Args {
    #[command(flatten)]
    issue: IssueArgs,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let request = std::env::var("KUBERNETES_EXEC_INFO").ok();
    check_version(request.as_deref())?;
    println!("{}", answer(&args.issue.issue()?));
    Ok(ExitCode::SUCCESS)
}

/// The client rejects an answer of another version than it asked for.
fn check_version(request: Option<&str>) -> Result<(), Failure> {
    let Some(request) = request else {
        return Ok(());
    };
    let request: Value = serde_json::from_str(request).unwrap_or_default();
    match request["apiVersion"].as_str() {
        Some(API_VERSION) => Ok(()),
        _ => Err(Failure::usage("the Kubernetes client asks for another version of exec credentials")
            .hint(format!("set `apiVersion: {API_VERSION}` in the kubeconfig's `exec`"))),
    }
}

fn answer(token: &Token) -> Value {
    let mut status = json!({ "token": token.response.access_token });
    if let Some(expires) = token.expires {
        status["expirationTimestamp"] = moment::show(expires).into();
    }
    json!({ "apiVersion": API_VERSION, "kind": "ExecCredential", "status": status })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_only_the_version_that_it_knows() {
        for (request, expected) in [
            (None, true),
            (Some(r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential"}"#), true),
            (Some(r#"{"apiVersion":"client.authentication.k8s.io/v1beta1"}"#), false),
            (Some("no JSON"), false),
        ] {
            assert_eq!(check_version(request).is_ok(), expected, "{request:?}");
        }
    }
}
