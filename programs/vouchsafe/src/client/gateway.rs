//! A gateway's listener for admins.

use super::Http;
use super::broker::shown;
use super::http::{is_loopback, origin};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use vouchsafe_cli::Failure;
use vouchsafe_cli::files::read_text;
use vouchsafe_gateway::CredentialDigest;
use vouchsafe_gateway::admin::{
    ACT_PATH, ActAnswer, ActRequest, LIST_PATH, Listing, OUTCOME_PATH, PROBE_PATH, ProbeAnswer,
    ProbeOutcome, ProbeRequest, ROTATE_PATH, RotateAnswer, RotateRequest,
};

/// Longer than an HSM may take to make a key.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(150);
const REPLY_BYTES_MAX: u64 = 1024 * 1024;
/// Longest file with a credential.
const CREDENTIAL_BYTES_MAX: u64 = 4096;

/// Which gateways, and how they are reached.
#[derive(clap::Args)]
pub struct GatewayArgs {
    /// Where a gateway changes keys: its `admin_listen` as a URL; may be repeated
    #[arg(long = "gateway", value_name = "ADMIN-URL", required = true)]
    urls: Vec<String>,
    /// The file that `hsm-gateway credential` wrote for this [[admin]]
    #[arg(long, value_name = "FILE")]
    admin_token_file: PathBuf,
    /// Trust this authority alone, instead of the usual ones (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Show this certificate, where gateways want one (PEM)
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_certificate: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    client_key: Option<PathBuf>,
}

impl GatewayArgs {
    pub fn open(&self) -> Result<Vec<Gateway>, Failure> {
        let credential = read_text(&self.admin_token_file, CREDENTIAL_BYTES_MAX)?;
        let credential = credential.trim_end_matches(['\r', '\n']).to_owned();
        if CredentialDigest::of(&credential).is_none() {
            let path = self.admin_token_file.display();
            return Err(
                Failure::usage(format!("{path}: it holds no secret of an [[admin]]"))
                    .hint("`hsm-gateway credential --out FILE` makes one"),
            );
        }
        let http = Http::with(WHOLE_TIMEOUT, REPLY_BYTES_MAX, self.tls()?);
        let open = |url: &String| Gateway::new(url, &credential, &http);
        self.urls.iter().map(open).collect()
    }

    fn tls(&self) -> Result<TlsConfig, Failure> {
        let mut tls = TlsConfig::builder();
        if let Some(path) = &self.ca {
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates(path)?));
        }
        if let (Some(certificate), Some(key)) = (&self.client_certificate, &self.client_key) {
            let text = read_text(key, REPLY_BYTES_MAX)?;
            let private = PrivateKey::from_pem(text.as_bytes())
                .map_err(|error| Failure::usage(format!("{}: {error}", key.display())))?;
            let chain = certificates(certificate)?;
            tls = tls.client_cert(Some(ClientCert::new_with_certs(&chain, private)));
        }
        Ok(tls.build())
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    let text = read_text(path, REPLY_BYTES_MAX)?;
    let items = parse_pem(text.as_bytes()).filter_map(Result::ok);
    let found: Vec<_> = items
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(Failure::usage(format!(
            "{}: it holds no certificate",
            path.display()
        )));
    }
    Ok(found)
}

/// One gateway.
pub struct Gateway {
    pub url: String,
    credential: String,
    http: Http,
}

/// What a gateway says when it does not do what it was asked for.
pub struct Refused {
    pub slug: String,
    pub failure: Failure,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        refused.failure
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self {
            slug: String::new(),
            failure,
        }
    }
}

impl Gateway {
    fn new(url: &str, credential: &str, http: &Http) -> Result<Self, Failure> {
        let wrong = |why: &str| Failure::usage(format!("--gateway {} {why}", shown(url)));
        let url = url.strip_suffix('/').unwrap_or(url);
        let (scheme, authority) = origin(url)
            .ok_or_else(|| wrong("is not a URL such as https://gateway.internal:8481"))?;
        if format!("{scheme}://{authority}") != url.to_ascii_lowercase() {
            return Err(wrong("has a path"));
        }
        if scheme != "https" && !(scheme == "http" && is_loopback(url)) {
            return Err(wrong("is not https").hint("http is for a gateway on this machine only"));
        }
        Ok(Self {
            url: url.to_owned(),
            credential: credential.to_owned(),
            http: http.clone(),
        })
    }

    pub fn list(&self) -> Result<Listing, Failure> {
        Ok(self.ask(LIST_PATH, None::<&()>)?)
    }

    pub fn act(&self, request: &ActRequest) -> Result<ActAnswer, Refused> {
        self.ask(ACT_PATH, Some(request))
    }

    pub fn probe(&self, request: &ProbeRequest) -> Result<ProbeAnswer, Refused> {
        self.ask(PROBE_PATH, Some(request))
    }

    pub fn probe_outcome(&self, outcome: &ProbeOutcome) -> Result<(), Failure> {
        self.ask::<Value>(OUTCOME_PATH, Some(outcome))?;
        Ok(())
    }

    pub fn rotate(&self, request: &RotateRequest) -> Result<RotateAnswer, Failure> {
        Ok(self.ask(ROTATE_PATH, Some(request))?)
    }

    fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Refused> {
        let url = format!("{}{path}", self.url);
        let bearer = Some(self.credential.as_str());
        let reply = match body {
            None => self.http.get(&url, bearer)?,
            Some(body) => {
                let body = serde_json::to_value(body)
                    .map_err(|error| Failure::refused(error.to_string()))?;
                self.http.post_json(&url, bearer, &body)?
            }
        };
        if let (true, Some(answer)) = (reply.is_success(), reply.json()) {
            return Ok(answer);
        }
        let answer: Value = reply.json().unwrap_or_default();
        Err(self.refused(reply.status, &answer))
    }

    fn refused(&self, status: u16, answer: &Value) -> Refused {
        let slug = answer["error"].as_str().unwrap_or_default().to_owned();
        let why = match answer["detail"].as_str() {
            Some(detail) => shown(detail),
            None => format!("status {status}"),
        };
        let message = format!("{}: {why}", self.url);
        let failure = match slug.as_str() {
            "" | "not_found" => {
                Failure::usage(format!("{message}: not a gateway's listener for admins"))
                    .hint("--gateway takes the gateway's `admin_listen`, not its `listen`")
            }
            "hsm.unavailable" | "hsm.overloaded" | "log.unavailable" => {
                Failure::unreachable(message)
                    .hint("nothing or a part of it was done; ask again, which does no harm")
            }
            _ => match hint(&slug) {
                Some(hint) => Failure::refused(message).hint(hint),
                None => Failure::refused(message),
            },
        };
        Refused { slug, failure }
    }
}

/// What to do about a refusal.
fn hint(slug: &str) -> Option<&'static str> {
    Some(match slug {
        "canary.unproven" => "`--broker URL` makes probes until it can be judged",
        "canary.worse" => {
            "`vouchsafe keys rollback` takes it back; the gateway's log and standard error say what failed"
        }
        "credential.unknown" => {
            "--admin-token-file has to hold the secret of an [[admin]], not of a [[credential]]"
        }
        "generation.standby_unknown" => {
            "wait, or have new tokens fail until verifiers fetch the keys again: `--although-unpublished`"
        }
        "key.forbidden" => "`vouchsafe keys list` shows the gateway's keys",
        "seed.generation" => {
            "the gateways are of tokens with different generations, which `vouchsafe keys list` shows: rotate those of one generation at a time"
        }
        "version.canary_exists" => "`vouchsafe keys promote` or `vouchsafe keys rollback`",
        "version.conflict" => {
            "look with `vouchsafe keys list`, then try again; let one person act at a time"
        }
        "version.doubled" => {
            "`vouchsafe keys retire --version N --destroy` destroys both; `vouchsafe keys stage` makes the next one"
        }
        "version.nothing" => {
            "`vouchsafe keys stage` makes a new version; `vouchsafe keys list` shows what there is"
        }
        "version.not_retired" => "retire it first, and again once its tokens are over",
        "version.share" => "`1%` to `100%`: how many of the workloads the canary signs for",
        "version.signs" => "promote another one, or roll it back",
        "version.too_early" => {
            "verifiers may keep the keys that they have for minutes; wait, then ask again"
        }
        "version.tokens_live" => "wait, then ask again",
        "version.wrong_state" => "`vouchsafe keys canary` tries it on a share first",
        "version.unknown" => "`vouchsafe keys list` shows the versions that there are",
        "version.too_many" => "`vouchsafe keys retire` takes out what is over",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_an_origin_that_nobody_listens_to() {
        let open = |url: &str| Gateway::new(url, "c", &Http::new()).map(|it| it.url);
        assert_eq!(
            open("https://g.internal:8481/").unwrap(),
            "https://g.internal:8481"
        );
        assert!(open("http://127.0.0.1:8481").is_ok());
        for url in [
            "g.internal",
            "http://g.internal",
            "https://g.internal/v1",
            "https://u@g.internal",
            "ftp://g",
        ] {
            assert_eq!(open(url).unwrap_err().code, 2, "{url}");
        }
    }

    #[test]
    fn every_refusal_of_an_act_says_what_to_do() {
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
    fn a_refusal_has_the_gateways_words_and_what_to_do() {
        let gateway = Gateway::new("https://g.internal", "c", &Http::new()).unwrap();
        let answer =
            serde_json::json!({ "error": "version.too_early", "detail": "verifiers\u{7}" });
        let refused = gateway.refused(409, &answer);
        assert_eq!(
            refused.failure.message,
            "https://g.internal: verifiers\u{fffd}"
        );
        assert_eq!(
            (refused.failure.code, refused.failure.hint.is_some()),
            (1, true)
        );
        assert_eq!(gateway.refused(404, &Value::Null).failure.code, 2);
    }
}
