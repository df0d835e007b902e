//! Platforms that give a job or function its own token: by a service on the machine, a command, a file or a variable.

use super::http::{Http, is_loopback};
use super::raw_token::{read_file, validate, variable};
use super::reply::Reply;
use super::text::{is_bearer_token, sanitize};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use vouchsafe_cli::Failure;

const REQUEST_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const REQUEST_TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";
const TERRAFORM_TOKEN: &str = "TFC_WORKLOAD_IDENTITY_TOKEN";
/// Where docs/providers/kubernetes.md mounts the projected token.
const KUBERNETES_TOKEN: &str = "/var/run/secrets/vouchsafe/token";

/// A platform with a token of its own for each job or function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Platform {
    /// `aws sts get-web-identity-token`
    Aws,
    /// A managed identity: App Service, Functions, Container Apps, or a virtual machine
    Azure,
    /// `buildkite-agent oidc request-token`
    Buildkite,
    /// `circleci run oidc get`
    Circleci,
    /// GitHub Actions, with `permissions: id-token: write`
    Github,
    /// The metadata server of Compute Engine, Cloud Run, Cloud Functions or GKE
    Google,
    /// The projected volume at /var/run/secrets/vouchsafe/token
    Kubernetes,
    /// TFC_WORKLOAD_IDENTITY_TOKEN of HCP Terraform
    Terraform,
}

impl Platform {
    /// The platform that is used without being named: only GitHub Actions can be recognized with certainty.
    pub fn detect() -> Option<Self> {
        (variable(REQUEST_URL).is_some() && variable(REQUEST_TOKEN).is_some()).then_some(Self::Github)
    }

    /// The platform that this machine seems to be, for a hint.
    pub fn guess() -> Option<&'static str> {
        const SIGNS: [(&str, &str); 8] = [
            ("AWS_EXECUTION_ENV", "aws"),
            ("BUILDKITE", "buildkite"),
            ("CIRCLECI", "circleci"),
            ("IDENTITY_ENDPOINT", "azure"),
            ("K_SERVICE", "google"),
            (TERRAFORM_TOKEN, "terraform"),
            ("AWS_LAMBDA_FUNCTION_NAME", "aws"),
            ("KUBERNETES_SERVICE_HOST", "kubernetes"),
        ];
        SIGNS.into_iter().find(|(name, _)| variable(name).is_some()).map(|(_, platform)| platform)
    }

    /// Gets a token for `audience`.
    pub fn token(self, http: &Http, audience: &str) -> Result<String, Failure> {
        match self {
            Self::Aws => from_command(&[
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
            ]),
            Self::Azure => azure(http, audience),
            // Ids are in the token only if they are requested.
            Self::Buildkite => from_command(&[
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
            ]),
            Self::Circleci => {
                let claims = serde_json::json!({ "aud": audience }).to_string();
                from_command(&["circleci", "run", "oidc", "get", "--claims", &claims])
            }
            Self::Github => github(http, audience),
            Self::Google => google(http, audience),
            Self::Kubernetes => validate(&read_file(Path::new(KUBERNETES_TOKEN))?),
            Self::Terraform => match variable(TERRAFORM_TOKEN) {
                Some(token) => validate(&token),
                None => Err(Failure::usage(format!("environment variable {TERRAFORM_TOKEN} is not set"))
                    .hint("set the workspace variable TFC_WORKLOAD_IDENTITY_AUDIENCE to the broker's URL")),
            },
        }
    }
}

fn encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn github(http: &Http, audience: &str) -> Result<String, Failure> {
    let (Some(url), Some(bearer)) = (variable(REQUEST_URL), variable(REQUEST_TOKEN)) else {
        return Err(Failure::usage("this is not a GitHub Actions job that may request a token")
            .hint("give the job `permissions: id-token: write`"));
    };
    if !url.starts_with("https://") && !is_loopback(&url) {
        return Err(Failure::usage(format!("{REQUEST_URL} is not https")));
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    let reply = http.get(&format!("{url}{separator}audience={}", encode(audience)), Some(&bearer))?;
    member(&reply, "value").ok_or_else(|| no_token("GitHub's token service", &reply))
}

/// GCE_METADATA_HOST is the variable of Google's own libraries.
fn google(http: &Http, audience: &str) -> Result<String, Failure> {
    let host = variable("GCE_METADATA_HOST").unwrap_or_else(|| "metadata.google.internal".to_owned());
    let url = format!(
        "http://{host}/computeMetadata/v1/instance/service-accounts/default/identity?format=full&audience={}",
        encode(audience)
    );
    let reply = http.get_with(&url, &[("metadata-flavor", "Google")])?;
    let token = String::from_utf8_lossy(&reply.body).trim().to_owned();
    if !reply.is_success() || !is_bearer_token(&token) {
        return Err(no_token("Google's metadata server", &reply));
    }
    Ok(token)
}

/// App Service and its relatives have IDENTITY_ENDPOINT; virtual machines have the metadata service at its fixed
/// address. AZURE_POD_IDENTITY_AUTHORITY_HOST and AZURE_CLIENT_ID are variables of Azure's own libraries.
fn azure(http: &Http, audience: &str) -> Result<String, Failure> {
    let resource = encode(audience);
    let client = variable("AZURE_CLIENT_ID").map_or_else(String::new, |id| format!("&client_id={}", encode(&id)));
    let reply = match (variable("IDENTITY_ENDPOINT"), variable("IDENTITY_HEADER")) {
        (Some(endpoint), Some(secret)) => http.get_with(
            &format!("{endpoint}?api-version=2019-08-01&resource={resource}{client}"),
            &[("x-identity-header", &secret)],
        )?,
        _ => {
            let host = variable("AZURE_POD_IDENTITY_AUTHORITY_HOST");
            let host = host.unwrap_or_else(|| "http://169.254.169.254".to_owned());
            let path = "metadata/identity/oauth2/token?api-version=2018-02-01";
            let url = format!("{}/{path}&resource={resource}{client}", host.trim_end_matches('/'));
            http.get_with(&url, &[("metadata", "true")])?
        }
    };
    member(&reply, "access_token").ok_or_else(|| {
        no_token("Azure's identity service", &reply).hint(
            "--subject-audience must be the application id URI of the broker's registration, such as `api://<id>`",
        )
    })
}

fn member(reply: &Reply, name: &str) -> Option<String> {
    let answer: Value = reply.json().filter(|_| reply.is_success())?;
    answer[name].as_str().filter(|token| is_bearer_token(token)).map(str::to_owned)
}

fn no_token(service: &str, reply: &Reply) -> Failure {
    Failure::unreachable(format!("{service} returned no token (status {})", reply.status))
}

/// Runs the platform's own command, whose standard output is the token.
fn from_command(command: &[&str]) -> Result<String, Failure> {
    let (program, arguments) = command.split_first().unwrap_or((&"", &[]));
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| {
        Failure::usage(format!("cannot run `{program}`: {error}"))
            .hint("install it, or pass the token with --subject-token-file or --subject-token-env")
    })?;
    if !output.status.success() {
        return Err(failed(program, arguments, &String::from_utf8_lossy(&output.stderr)));
    }
    validate(&String::from_utf8_lossy(&output.stdout))
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
}
