//! The admin interface of HSM gateways.

use super::http::{ATTEMPT_TIMEOUT, Http, REPLY_BYTES_MAX, Settings, is_loopback, origin};
use super::text::sanitize;
use super::tls::{self, PEM_BYTES_MAX, certificates};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use ureq::tls::{ClientCert, PrivateKey, TlsConfig};
use vouchsafe_cli::Failure;
use vouchsafe_cli::files::read_text;
use vouchsafe_gateway::CredentialDigest;
use vouchsafe_gateway::admin::{
    LIST_PATH, Listing, OPERATION_PATH, OUTCOME_PATH, OperationAnswer, OperationRequest, PROBE_PATH, ProbeAnswer,
    ProbeOutcome, ProbeRequest, ROTATE_PATH, RotateAnswer, RotateRequest,
};

/// Longer than an HSM may take to generate a key.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(150);
const LISTING_BYTES_MAX: u64 = 1024 * 1024;
/// Longest credential file.
const CREDENTIAL_BYTES_MAX: u64 = 4096;

/// Options for the gateways.
#[derive(clap::Args)]
pub struct GatewayArgs {
    /// Gateway's `admin_listen` as a URL; may be repeated, or a list separated by commas
    #[arg(
        long = "gateway",
        env = "VOUCHSAFE_GATEWAY",
        value_name = "ADMIN-URL",
        required = true,
        value_delimiter = ','
    )]
    urls: Vec<String>,
    /// File that `hsm-gateway credential` wrote for this [[admin]]
    #[arg(long, env = "VOUCHSAFE_ADMIN_TOKEN_FILE", value_name = "FILE")]
    admin_token_file: PathBuf,
    /// Trust only the certificate authorities in this file (PEM) at gateways; brokers may also have those of the system
    /// [default: those of SSL_CERT_FILE, or the system's]
    #[arg(long, env = "VOUCHSAFE_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Client certificate, if gateways require one (PEM)
    #[arg(long, env = "VOUCHSAFE_CLIENT_CERTIFICATE", value_name = "FILE", requires = "client_key")]
    client_certificate: Option<PathBuf>,
    /// Private key of the client certificate (PEM)
    #[arg(long, env = "VOUCHSAFE_CLIENT_KEY", value_name = "FILE", requires = "client_certificate")]
    client_key: Option<PathBuf>,
}

impl GatewayArgs {
    /// For a command to which gateways are optional.
    #[cfg(feature = "host")]
    pub fn of(urls: Vec<String>, admin_token_file: PathBuf, ca: Option<PathBuf>) -> Self {
        Self { urls, admin_token_file, ca, client_certificate: None, client_key: None }
    }

    pub fn open(&self) -> Result<Vec<Gateway>, Failure> {
        let credential = read_text(&self.admin_token_file, CREDENTIAL_BYTES_MAX)?;
        let credential = credential.trim_end_matches(['\r', '\n']).to_owned();
        if CredentialDigest::of(&credential).is_none() {
            return Err(Failure::file(&self.admin_token_file, "not the secret of an [[admin]]")
                .hint("`hsm-gateway credential --out FILE` creates one"));
        }
        let http = Http::new(Settings {
            attempt_timeout: WHOLE_TIMEOUT,
            reply_bytes_max: LISTING_BYTES_MAX,
            tls: self.tls()?,
            retries: None,
        })?;
        let open = |url: &String| Gateway::new(url, &credential, &http);
        self.urls.iter().map(open).collect()
    }

    /// A client for brokers, whose certificates may be from the gateways' authority or from one of the system's.
    pub fn broker_http(&self, attempt_timeout: Option<Duration>) -> Result<Http, Failure> {
        Http::new(Settings {
            attempt_timeout: attempt_timeout.unwrap_or(ATTEMPT_TIMEOUT),
            reply_bytes_max: REPLY_BYTES_MAX,
            tls: TlsConfig::builder().root_certs(tls::system_roots_and(self.ca.as_deref())?).build(),
            retries: None,
        })
    }

    fn tls(&self) -> Result<TlsConfig, Failure> {
        let mut tls = TlsConfig::builder().root_certs(tls::roots(self.ca.as_deref())?);
        if let (Some(certificate), Some(key)) = (&self.client_certificate, &self.client_key) {
            let text = read_text(key, PEM_BYTES_MAX)?;
            let private = PrivateKey::from_pem(text.as_bytes()).map_err(|error| Failure::file(key, error))?;
            let chain = certificates(certificate)?;
            tls = tls.client_cert(Some(ClientCert::new_with_certs(&chain, private)));
        }
        Ok(tls.build())
    }
}

/// One gateway.
pub struct Gateway {
    pub url: String,
    credential: String,
    http: Http,
}

/// A gateway's refusal, or a failure to reach it.
pub struct GatewayError {
    pub slug: String,
    pub failure: Failure,
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        error.failure
    }
}

impl From<Failure> for GatewayError {
    fn from(failure: Failure) -> Self {
        Self { slug: String::new(), failure }
    }
}

impl Gateway {
    fn new(url: &str, credential: &str, http: &Http) -> Result<Self, Failure> {
        let wrong = |why: &str| Failure::usage(format!("--gateway {} {why}", sanitize(url)));
        let url = url.strip_suffix('/').unwrap_or(url);
        let (scheme, authority) =
            origin(url).ok_or_else(|| wrong("is not a URL such as https://gateway.internal:8481"))?;
        if format!("{scheme}://{authority}") != url.to_ascii_lowercase() {
            return Err(wrong("has a path"));
        }
        if scheme != "https" && !(scheme == "http" && is_loopback(url)) {
            return Err(wrong("is not https").hint("plain http is accepted for loopback only"));
        }
        Ok(Self { url: url.to_owned(), credential: credential.to_owned(), http: http.clone() })
    }

    pub fn list(&self) -> Result<Listing, Failure> {
        Ok(self.ask(LIST_PATH, None::<&()>)?)
    }

    pub fn operate(&self, request: &OperationRequest) -> Result<OperationAnswer, GatewayError> {
        self.ask(OPERATION_PATH, Some(request))
    }

    pub fn probe(&self, request: &ProbeRequest) -> Result<ProbeAnswer, GatewayError> {
        self.ask(PROBE_PATH, Some(request))
    }

    pub fn probe_outcome(&self, outcome: &ProbeOutcome) -> Result<(), Failure> {
        self.ask::<Value>(OUTCOME_PATH, Some(outcome))?;
        Ok(())
    }

    pub fn rotate(&self, request: &RotateRequest) -> Result<RotateAnswer, Failure> {
        Ok(self.ask(ROTATE_PATH, Some(request))?)
    }

    fn ask<T: DeserializeOwned>(&self, path: &str, body: Option<&impl Serialize>) -> Result<T, GatewayError> {
        let url = format!("{}{path}", self.url);
        let bearer = Some(self.credential.as_str());
        let reply = match body {
            None => self.http.get(&url, bearer)?,
            Some(body) => {
                let body = serde_json::to_value(body).map_err(|error| Failure::refused(error.to_string()))?;
                self.http.post_json(&url, bearer, &body)?
            }
        };
        if let (true, Some(answer)) = (reply.is_success(), reply.json()) {
            return Ok(answer);
        }
        let answer: Value = reply.json().unwrap_or_default();
        Err(self.error(reply.status, &answer))
    }

    fn error(&self, status: u16, answer: &Value) -> GatewayError {
        let slug = answer["error"].as_str().unwrap_or_default().to_owned();
        let why = match answer["detail"].as_str() {
            Some(detail) => sanitize(detail),
            None => format!("status {status}"),
        };
        let message = format!("{}: {why}", self.url);
        let failure = match slug.as_str() {
            "" | "not_found" => Failure::usage(format!("{message}: not the admin listener of a gateway"))
                .hint("--gateway must be the gateway's `admin_listen`, not its `listen`"),
            "hsm.unavailable" | "hsm.overloaded" | "log.unavailable" => Failure::unreachable(message)
                .hint("the operation may be partially applied; it is idempotent, so retry it"),
            _ => match hint(&slug) {
                Some(hint) => Failure::refused(message).hint(hint),
                None => Failure::refused(message),
            },
        };
        GatewayError { slug, failure }
    }
}

/// What to do about a refusal, if known.
fn hint(slug: &str) -> Option<&'static str> {
    Some(match slug {
        "canary.unproven" => "`--broker URL` runs probes until there is enough data",
        "canary.worse" => {
            "`vouchsafe keys rollback` rolls it back; the gateway's log and standard error show what failed"
        }
        "credential.unknown" => "--admin-token-file must contain the secret of an [[admin]], not of a [[credential]]",
        "generation.standby_unknown" => {
            "wait, or use `--although-unpublished` and accept that new tokens fail until verifiers fetch the key set again"
        }
        "key.forbidden" => "`vouchsafe keys list` shows the gateway's keys",
        "seed.generation" => {
            "the gateways' PKCS#11 tokens have different generations (see `vouchsafe keys list`); rotate those of one generation at a time"
        }
        "version.canary_exists" => "run `vouchsafe keys promote` or `vouchsafe keys rollback` first",
        "version.conflict" => {
            "check with `vouchsafe keys list`, then retry; only one person should change keys at a time"
        }
        "version.doubled" => {
            "`vouchsafe keys retire --version N --destroy` destroys both; `vouchsafe keys stage` creates the next version"
        }
        "version.nothing" => {
            "`vouchsafe keys stage` creates a new version; `vouchsafe keys list` shows the existing ones"
        }
        "version.not_retired" => "retire it first, and again once its tokens have expired",
        "version.share" => "use a share of `1%` to `100%` of the workloads",
        "version.signs" => "promote another version, or roll this one back",
        "version.too_early" => "verifiers may cache the key set for minutes; wait, then retry",
        "version.tokens_live" => "wait, then retry",
        "version.wrong_state" => "run `vouchsafe keys canary` first",
        "version.unknown" => "`vouchsafe keys list` shows the existing versions",
        "version.too_many" => "`vouchsafe keys retire` removes versions whose tokens have expired",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_https_origins_and_loopback() {
        let open = |url: &str| Gateway::new(url, "c", &Http::new(Settings::default()).unwrap()).map(|it| it.url);
        assert_eq!(open("https://g.internal:8481/").unwrap(), "https://g.internal:8481");
        assert!(open("http://127.0.0.1:8481").is_ok());
        for url in ["g.internal", "http://g.internal", "https://g.internal/v1", "https://u@g.internal", "ftp://g"] {
            assert_eq!(open(url).unwrap_err().code, 2, "{url}");
        }
    }

    #[test]
    fn every_refusal_has_a_hint() {
        for slug in [
            "canary.unproven",
            "canary.worse",
            "credential.unknown",
            "key.forbidden",
            "seed.generation",
            "version.canary_exists",
            "version.conflict",
            "version.not_retired",
            "version.nothing",
            "version.share",
            "version.signs",
            "version.tokens_live",
            "version.too_early",
            "version.too_many",
            "version.unknown",
            "version.wrong_state",
        ] {
            assert!(hint(slug).is_some(), "{slug}");
        }
    }

    #[test]
    fn refusal_has_the_gateways_message_and_a_hint() {
        let gateway = Gateway::new("https://g.internal", "c", &Http::new(Settings::default()).unwrap()).unwrap();
        let answer = serde_json::json!({ "error": "version.too_early", "detail": "verifiers\u{7}" });
        let error = gateway.error(409, &answer);
        assert_eq!(error.failure.message, "https://g.internal: verifiers\u{fffd}");
        assert_eq!((error.failure.code, error.failure.hint.is_some()), (1, true));
        assert_eq!(gateway.error(404, &Value::Null).failure.code, 2);
    }
}
