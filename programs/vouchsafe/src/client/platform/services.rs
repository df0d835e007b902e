//! Platforms with an HTTP service that issues the token.

use crate::client::http::{Http, is_loopback};
use crate::client::raw_token::variable;
use crate::client::reply::Reply;
use crate::client::text::is_bearer_token;
use serde_json::{Value, json};
use vouchsafe_cli::Failure;

fn encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The URL of a token service with one more parameter. A token for the service must not leave in plain text.
fn with_parameter(variable: &str, url: &str, parameter: &str) -> Result<String, Failure> {
    if !url.starts_with("https://") && !is_loopback(url) {
        return Err(Failure::usage(format!("{variable} is not https")));
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    Ok(format!("{url}{separator}{parameter}"))
}

pub fn github(http: &Http, audience: &str) -> Result<String, Failure> {
    const URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
    let (Some(url), Some(bearer)) = (variable(URL), variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN")) else {
        return Err(Failure::usage("this is not a GitHub Actions job that may request a token")
            .hint("give the job `permissions: id-token: write`"));
    };
    let reply = http.get(&with_parameter(URL, &url, &format!("audience={}", encode(audience)))?, Some(&bearer))?;
    member(&reply, "value").ok_or_else(|| no_token("GitHub's token service", &reply))
}

pub fn codefresh(http: &Http, audience: &str) -> Result<String, Failure> {
    const URL: &str = "CF_OIDC_REQUEST_URL";
    let (Some(url), Some(token)) = (variable(URL), variable("CF_OIDC_REQUEST_TOKEN")) else {
        return Err(Failure::usage("CF_OIDC_REQUEST_URL and CF_OIDC_REQUEST_TOKEN are not both set"));
    };
    let url = with_parameter(URL, &url, &format!("audience={}", encode(audience)))?;
    let reply = http.get_with(&url, &[("authorization", &token)])?;
    member(&reply, "id_token").ok_or_else(|| no_token("Codefresh's token service", &reply))
}

/// The audience is always `api://AzureADTokenExchange`. The service connection decides who the token is.
pub fn azure_pipelines(http: &Http) -> Result<String, Failure> {
    const URL: &str = "SYSTEM_OIDCREQUESTURI";
    const CONNECTION: &str = "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID";
    let missing = |name: &str, hint: &str| Failure::usage(format!("environment variable {name} is not set")).hint(hint);
    let url = variable(URL).ok_or_else(|| missing(URL, "only jobs of Azure Pipelines have it"))?;
    let bearer = variable("SYSTEM_ACCESSTOKEN").ok_or_else(|| {
        missing("SYSTEM_ACCESSTOKEN", "map it in the step: `env: {SYSTEM_ACCESSTOKEN: $(System.AccessToken)}`")
    })?;
    let connection =
        variable(CONNECTION).ok_or_else(|| missing(CONNECTION, "set it to the id of a service connection"))?;
    let parameters = format!("api-version=7.1&serviceConnectionId={}", encode(&connection));
    let reply = http.post_json(&with_parameter(URL, &url, &parameters)?, Some(&bearer), &json!({}))?;
    member(&reply, "oidcToken").ok_or_else(|| no_token("the token service of Azure Pipelines", &reply))
}

/// GCE_METADATA_HOST is the variable of Google's own libraries.
pub fn google(http: &Http, audience: &str) -> Result<String, Failure> {
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
pub fn azure(http: &Http, audience: &str) -> Result<String, Failure> {
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
