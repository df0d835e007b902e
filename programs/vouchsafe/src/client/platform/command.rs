//! Platforms whose own command prints the token.

use crate::client::raw_token::{validate, variable};
use crate::client::text::sanitize;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use vouchsafe_cli::Failure;

pub fn aws(audience: &str) -> Result<String, Failure> {
    from_command(&[
        "aws",
        "sts",
        "get-web-identity-token",
        "--audience",
        audience,
        "--signing-algorithm",
        "ES384",
        "--duration-seconds",
        "300",
        "--query",
        "WebIdentityToken",
        "--output",
        "text",
    ])
    .and_then(|text| validate(&text))
}

/// Ids are in the token only if they are requested.
pub fn buildkite(audience: &str) -> Result<String, Failure> {
    from_command(&[
        "buildkite-agent",
        "oidc",
        "request-token",
        "--audience",
        audience,
        "--claim",
        "organization_id",
        "--claim",
        "pipeline_id",
        "--claim",
        "build_source",
    ])
    .and_then(|text| validate(&text))
}

pub fn circleci(audience: &str) -> Result<String, Failure> {
    let claims = json!({ "aud": audience }).to_string();
    from_command(&["circleci", "run", "oidc", "get", "--claims", &claims]).and_then(|text| validate(&text))
}

/// SPIRE's agent reads the path of its socket from a flag only.
pub fn spiffe(audience: &str) -> Result<String, Failure> {
    let socket = variable("SPIFFE_ENDPOINT_SOCKET").unwrap_or_default();
    let path = socket.strip_prefix("unix:").map(|path| path.strip_prefix("//").unwrap_or(path));
    let path = path.filter(|path| path.starts_with('/')).ok_or_else(|| {
        Failure::usage("SPIFFE_ENDPOINT_SOCKET does not name a socket of this machine")
            .hint("set it to the socket of SPIRE's agent, such as `unix:///run/spire/agent.sock`")
    })?;
    let command = ["spire-agent", "api", "fetch", "jwt", "-audience", audience, "-socketPath", path, "-output", "json"];
    let svid = only_svid(&from_command(&command)?)?;
    validate(&svid)
}

/// A workload with several identities has to choose one, which `spire-agent` can't do for us.
fn only_svid(answer: &str) -> Result<String, Failure> {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let svids: Vec<&str> = answer
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|part| part["svids"].as_array())
        .flatten()
        .filter_map(|svid| svid["svid"].as_str())
        .collect();
    match svids[..] {
        [svid] => Ok(svid.to_owned()),
        [] => Err(Failure::unreachable("`spire-agent` returned no JWT-SVID")),
        _ => Err(Failure::usage(format!("`spire-agent` returned {} JWT-SVIDs", svids.len()))
            .hint("write the one to use into a file, and name it with --subject-token-file")),
    }
}

/// Runs the platform's own command, and returns its standard output.
pub fn from_command(command: &[&str]) -> Result<String, Failure> {
    let (program, arguments) = command.split_first().unwrap_or((&"", &[]));
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| {
        Failure::usage(format!("cannot run `{program}`: {error}"))
            .hint("install it, or pass the token with --subject-token-file or --subject-token-env")
    })?;
    if !output.status.success() {
        return Err(failed(program, arguments, &String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Why a platform's command failed, from its standard error.
fn failed(program: &str, arguments: &[&str], errors: &str) -> Failure {
    // The AWS CLI lists all commands that it knows, after this.
    if errors.to_ascii_lowercase().contains("invalid choice") {
        let operation = arguments.iter().take(2).copied().collect::<Vec<_>>().join(" ");
        return Failure::usage(format!("this version of `{program}` has no `{operation}`"))
            .hint(format!("update it; `{program} --version` shows the one that is installed"));
    }
    let last = errors.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no error message");
    Failure::unreachable(format!("`{program}` returned no token: {}", sanitize(last.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_aws_cli_is_named() {
        let arguments = ["sts", "get-web-identity-token", "--audience", "https://broker.example"];
        for errors in [
            "usage: aws [options] <command>\naws: error: argument operation: Invalid choice, valid choices are:\n\n\
             assume-role | help\n",
            "aws: [ERROR]: argument operation: Found invalid choice 'get-web-identity-token'\n",
        ] {
            let failure = failed("aws", &arguments, errors);
            let expected = "this version of `aws` has no `sts get-web-identity-token`";
            assert_eq!((failure.code, failure.message.as_str()), (2, expected));
            assert_eq!(failure.hint.as_deref(), Some("update it; `aws --version` shows the one that is installed"));
        }
        let other = failed("aws", &arguments, "\nAn error occurred (AccessDenied)\n\n");
        assert_eq!(
            (other.code, other.message.as_str()),
            (3, "`aws` returned no token: An error occurred (AccessDenied)")
        );
    }

    #[test]
    fn takes_only_one_jwt_svid() {
        let answer = |svids: &str| only_svid(&format!(r#"[{{"svids":[{svids}]}},{{"bundles":{{"a":"b"}}}}]"#));
        let one = r#"{"hint":"","spiffe_id":"spiffe://td/a","svid":"a.b.c"}"#;
        assert_eq!(answer(one).unwrap(), "a.b.c");
        let none = answer("").unwrap_err();
        assert_eq!((none.code, none.message.as_str()), (3, "`spire-agent` returned no JWT-SVID"));
        let two = answer(&format!("{one},{one}")).unwrap_err();
        assert_eq!((two.code, two.message.as_str()), (2, "`spire-agent` returned 2 JWT-SVIDs"));
        assert_eq!(only_svid("<html>").unwrap_err().code, 3);
    }
}
