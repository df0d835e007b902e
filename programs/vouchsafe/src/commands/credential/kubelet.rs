//! The kubelet: an image credential provider that exchanges the pod's service account token.

use super::{host, username};
use crate::client::NetworkArgs;
use crate::client::issue::{TargetArgs, Token};
use crate::client::subject::{Source, TokenType};
use serde::Deserialize;
use serde_json::{Value, json};
use std::process::ExitCode;
use vouchsafe_cli::{Failure, files};

const API_VERSION: &str = "credentialprovider.kubelet.k8s.io/v1";
const REQUEST_BYTES_MAX: u64 = 64 * 1024;
/// The kubelet uses an answer no longer than until this long before the token expires.
const SPARE_SECONDS: u64 = 60;

/// Print a token for the kubelet, as an image credential provider.
///
/// The kubelet passes a token of the pod's service account (Kubernetes 1.34, `tokenAttributes` in its configuration),
/// so each pod pulls with its own identity. The node's identity is never used.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 answered, 1 refused, 2 the command line or the request is wrong, 3 the broker cannot be reached or cannot
answer now.

Examples:
  vouchsafe credential kubelet --broker https://broker.example --audience https://registry.example \\
    --registry registry.example < request.json")]
pub struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// A registry that may get the token, with its port if it has one; may be repeated.
    #[arg(long = "registry", value_name = "HOST", required = true, value_parser = host::parse, help_heading = None::<&str>)]
    registries: Vec<String>,
    /// The user name that the registry expects beside the token.
    #[arg(long, value_name = "NAME", default_value = "vouchsafe", value_parser = username::parse, help_heading = None::<&str>)]
    username: String,
    #[command(flatten)]
    network: NetworkArgs,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    api_version: String,
    image: String,
    #[serde(default)]
    service_account_token: String,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let request = files::read_from(std::io::stdin().lock(), &"the kubelet's request", REQUEST_BYTES_MAX)?;
    let (registry, subject_token) = parse(&request, &args.registries)?;
    let http = args.network.http()?;
    let token = args.target.issue(&Source::Given(subject_token), None, TokenType::Jwt.urn(), false, None, &http)?;
    println!("{}", answer(&registry, &args.username, &token));
    Ok(ExitCode::SUCCESS)
}

/// The registry and the pod's token.
fn parse(request: &[u8], registries: &[String]) -> Result<(String, String), Failure> {
    let request: Request = serde_json::from_slice(request)
        .map_err(|_| Failure::usage("standard input is not a `CredentialProviderRequest` of the kubelet"))?;
    if request.api_version != API_VERSION {
        return Err(Failure::usage("the kubelet asks for another version of image credentials")
            .hint(format!("set `apiVersion: {API_VERSION}` for this provider in the kubelet's configuration")));
    }
    let registry = host::of_image(&request.image);
    if !host::is_allowed(registries, registry) {
        return Err(Failure::refused("the image is from a registry that --registry does not name")
            .hint("`matchImages` in the kubelet's configuration must name the same registries"));
    }
    if request.service_account_token.is_empty() {
        return Err(Failure::usage("the kubelet passed no service account token").hint(
            "set `tokenAttributes` with `serviceAccountTokenAudience` and `requireServiceAccount: true` for this provider",
        ));
    }
    Ok((registry.to_owned(), request.service_account_token))
}

/// The answer is for one pod: `Registry` keeps it among the requests of its service account, for as long as it is valid.
fn answer(registry: &str, username: &str, token: &Token) -> Value {
    let seconds = token.response.expires_in.unwrap_or(0).saturating_sub(SPARE_SECONDS);
    json!({
        "apiVersion": API_VERSION,
        "kind": "CredentialProviderResponse",
        "cacheKeyType": "Registry",
        "cacheDuration": format!("{seconds}s"),
        "auth": { registry: { "username": username, "password": token.response.access_token } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(changes: &[(&str, &str)]) -> Result<(String, String), (u8, String)> {
        let mut request = json!({
            "apiVersion": API_VERSION,
            "kind": "CredentialProviderRequest",
            "image": "registry.example/team/app:1",
            "serviceAccountToken": "a.b.c",
            "serviceAccountAnnotations": {},
        });
        for (name, value) in changes {
            request[*name] = (*value).into();
        }
        parse(request.to_string().as_bytes(), &["registry.example".to_owned()])
            .map_err(|failure| (failure.code, failure.message))
    }

    #[test]
    fn takes_the_pods_token_for_a_named_registry() {
        assert_eq!(check(&[]), Ok(("registry.example".to_owned(), "a.b.c".to_owned())));
        let refused = |code, message: &str| Err((code, message.to_owned()));
        let another = refused(1, "the image is from a registry that --registry does not name");
        assert_eq!(check(&[("image", "registry.example.evil/app")]), another);
        assert_eq!(check(&[("image", "app")]), another);
        assert_eq!(check(&[("serviceAccountToken", "")]), refused(2, "the kubelet passed no service account token"));
        let version = refused(2, "the kubelet asks for another version of image credentials");
        assert_eq!(check(&[("apiVersion", "credentialprovider.kubelet.k8s.io/v1beta1")]), version);
        let failure = parse(b"[]", &[]).unwrap_err();
        assert_eq!(failure.message, "standard input is not a `CredentialProviderRequest` of the kubelet");
    }
}
