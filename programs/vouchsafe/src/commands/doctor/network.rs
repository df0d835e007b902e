//! Servers that the broker needs: issuers and gateways, asked by the rules for the broker.

use super::clock::{self, Reading};
use super::finding::Finding;
use super::settings::variable;
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::cell::RefCell;
use std::time::{Duration, SystemTime};
use vouchsafe_cli::clock::since_epoch;
use vouchsafe_host::{Answer, Application, CREDENTIALS, Client, ClientError};
use vouchsafe_identity::{Bearer, DocumentSource, FetchError, KeyUrl, TrustedIssuer, fetch_keys};
use vouchsafe_policy::{Bundle, Issuer, KeySource, folder};
use vouchsafe_types::{UnixSeconds, Unreachable, UnreachableCause};

/// As long as the broker waits for all documents of one fetch.
const STEP_MAX: Duration = Duration::from_secs(5);
const READY_BYTES_MAX: usize = 64 * 1024;

/// Asks all servers, and compares the clock with theirs.
pub async fn check(application: &Application, bundle: Option<&Bundle>) -> Vec<Finding> {
    let client = match application.client() {
        Ok(client) => client,
        Err(error) => return vec![Finding::error("network", error.message).fix(error.hint)],
    };
    let servers = Servers { client, readings: RefCell::default(), failure: RefCell::default() };
    let mut findings = Vec::new();
    for issuer in bundle.into_iter().flat_map(Bundle::issuers) {
        findings.push(check_issuer(application, &servers, issuer).await);
    }
    for gateway in variable(application, "gateway_urls").split_whitespace() {
        findings.push(check_gateway(&servers, gateway).await);
    }
    findings.push(clock::judge(&servers.readings.borrow()));
    findings
}

/// The network, with what was noticed on the way.
struct Servers {
    client: Client,
    readings: RefCell<Vec<Reading>>,
    /// The last URL, and why it has no answer.
    failure: RefCell<(String, Option<ClientError>)>,
}

impl Servers {
    async fn get(&self, url: &str, headers: HeaderMap, bytes_max: usize) -> Result<Answer, ClientError> {
        let answer = self.client.get(url, headers, bytes_max, STEP_MAX).await?;
        let origin = crate::client::http::origin(url);
        let server = origin.map(|(scheme, authority)| format!("{scheme}://{authority}")).unwrap_or_default();
        self.readings.borrow_mut().extend(Reading::of(&server, &answer.headers, SystemTime::now()));
        Ok(answer)
    }
}

impl DocumentSource for Servers {
    async fn get(
        &self,
        url: &KeyUrl,
        _known_etag: Option<&str>,
        bearer: Option<&Bearer>,
        bytes_max: usize,
    ) -> Result<vouchsafe_identity::Answer, FetchError> {
        let mut headers = HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static("application/json")),
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ]);
        if let Some(bearer) = bearer {
            let value = HeaderValue::from_str(&format!("Bearer {}", bearer.reveal()));
            headers.insert(AUTHORIZATION, value.map_err(|_| FetchError::CredentialInvalid)?);
        }
        let answer = Servers::get(self, url.as_str(), headers, bytes_max).await;
        let text = |answer: &Answer, name: HeaderName| {
            let value = answer.headers.get(name).and_then(|value| value.to_str().ok());
            value.map(str::to_owned)
        };
        let (failure, answer) = match answer {
            Err(error) => {
                let cause = UnreachableCause::Other(error.message.clone());
                (Some(error), Err(FetchError::Unreachable(Unreachable { origin: url.origin().to_owned(), cause })))
            }
            Ok(answer) => {
                let (cache_control, etag) = (text(&answer, CACHE_CONTROL), text(&answer, ETAG));
                let Answer { status, body, .. } = answer;
                (None, Ok(vouchsafe_identity::Answer { status, cache_control, etag, body }))
            }
        };
        self.failure.replace((url.as_str().to_owned(), failure));
        answer
    }
}

/// Fetches the keys of an issuer as the broker does.
async fn check_issuer(application: &Application, servers: &Servers, issuer: &Issuer) -> Finding {
    let what = format!("issuer `{}`", issuer.name);
    let bearer = match credential(application, issuer) {
        Ok(bearer) => bearer,
        Err(finding) => return Finding { what, ..finding },
    };
    let trusted = match TrustedIssuer::try_from(issuer.record()) {
        Ok(trusted) => trusted,
        Err(error) => return Finding::error(what, error.to_string()),
    };
    let closed: Vec<String> = variable(application, "gateway_urls").split_whitespace().map(str::to_owned).collect();
    servers.failure.take();
    let now = UnixSeconds(since_epoch().as_secs());
    let fetched = fetch_keys(servers, &trusted, None, bearer.as_ref(), &closed, now, &vouchsafe_crypto::Software).await;
    let (url, failure) = servers.failure.take();
    match (fetched, failure) {
        (Ok(keys), _) => {
            let document: Value = serde_json::from_str(&keys.document).unwrap_or_default();
            let count = document["keys"].as_array().map_or(0, Vec::len);
            let origin = match &issuer.keys {
                KeySource::Pinned(_) => "pinned in the bundle".to_owned(),
                KeySource::Discovery | KeySource::JwksUri(_) => format!("fetched from {}", without_query(&url)),
            };
            Finding::ok(what, format!("{count} keys, {origin}"))
        }
        (Err(_), Some(ClientError { message, fix })) => {
            Finding::error(what, format!("{}: {message}", without_query(&url))).fix(fix)
        }
        (Err(error), None) => {
            let place = if url.is_empty() { String::new() } else { format!("{}: ", without_query(&url)) };
            Finding::error(what, format!("{place}{}", chain(&error))).fix(hint(&error, issuer))
        }
    }
}

/// A query may hold a secret.
fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

fn chain(error: &FetchError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn hint(error: &FetchError, issuer: &Issuer) -> String {
    let file = format!("issuers/{}.toml", issuer.name);
    match error {
        FetchError::CredentialInvalid => "`bearer_file` must contain one bearer token".to_owned(),
        FetchError::IssuerMismatch => format!("`issuer` in {file} must be exactly the `issuer` of that document"),
        FetchError::PinnedKeysExpired => format!("get the issuer's current keys, and change `expires` in {file}"),
        FetchError::Status(401 | 403) => format!("set `bearer_file` in {file}, or renew what it contains"),
        FetchError::Status(_) | FetchError::UrlRefused(_) => format!("check the URLs in {file}"),
        FetchError::JwksUriRefused { .. } => {
            format!("ask the operator of the issuer, or set `jwks_uri` in {file}, after checking that URL")
        }
        FetchError::DocumentInvalid(_) | FetchError::TimedOut | FetchError::TooLarge | FetchError::Unreachable(_) => {
            "ask the operator of the issuer".to_owned()
        }
    }
}

/// The bearer token that the issuer's keys are fetched with.
fn credential(application: &Application, issuer: &Issuer) -> Result<Option<Bearer>, Finding> {
    let Some(file) = &issuer.credential_file else {
        return Ok(None);
    };
    let Some(mounted) = application.mounted(CREDENTIALS) else {
        let fix = format!("add {{ source = \"FOLDER\", destination = \"{CREDENTIALS}\" }} to `files` of the manifest");
        return Err(Finding::error("", format!("`bearer_file` needs a folder at {CREDENTIALS}")).fix(fix));
    };
    let text = folder::read_credential(&mounted, file).map_err(|why| {
        Finding::error("", why).fix("`bearer_file` names a file of the folder at /credentials".to_owned())
    })?;
    let bearer = Bearer::parse(text);
    bearer.map(Some).ok_or_else(|| Finding::error("", hint(&FetchError::CredentialInvalid, issuer)))
}

async fn check_gateway(servers: &Servers, gateway: &str) -> Finding {
    let what = format!("gateway {gateway}");
    let url = format!("{}/readyz", gateway.trim_end_matches('/'));
    let answer = match servers.get(&url, HeaderMap::new(), READY_BYTES_MAX).await {
        Ok(answer) => answer,
        Err(ClientError { message, fix }) => return Finding::error(what, message).fix(fix),
    };
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match (answer.status, body["status"].as_str()) {
        (200, Some("ready")) => Finding::ok(what, "ready"),
        (503, Some("not_ready")) => {
            let why = body["wanting"].as_str().unwrap_or("it does not say why");
            Finding::error(what, format!("not ready: {why}"))
                .fix("see docs/runbooks/hsm-outage.md, and the gateway's log".to_owned())
        }
        (status, _) => Finding::error(what, format!("status {status}, and not an answer of a gateway"))
            .fix("`gateway_urls` must contain the gateways' `listen` addresses".to_owned()),
    }
}
