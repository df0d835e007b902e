//! Operations of administrators at a broker: authorized by a token that the broker issues for its own audience.

use super::broker::Broker;
use super::exchange::{ExchangeRequest, OAuthError, Refused, exchange};
use super::http::{Http, Unanswered};
use super::login::LoginArgs;
use super::network::NetworkArgs;
use super::proof::Prover;
use super::reply::Reply;
use super::subject::{Source, SubjectArgs, TokenType, mask};
use serde::de::DeserializeOwned;
use vouchsafe_cli::Failure;
use vouchsafe_dpop::Request;

/// Options of commands for administrators.
#[derive(clap::Args)]
pub struct AdminArgs {
    /// The broker's issuer URL; https, except on loopback.
    // Required except with a subcommand, which clap decides; so the type is optional.
    #[arg(long, env = "VOUCHSAFE_BROKER", value_name = "URL", required = true)]
    broker: Option<String>,
    /// Bind the token for the operation to a new key (DPoP), which ends with this command. Needed if the broker's
    /// audience for administrators requires it.
    #[arg(long)]
    dpop: bool,
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    network: NetworkArgs,
}

/// A broker with a token for one operation.
pub struct Admin {
    http: Http,
    issuer: String,
    token: String,
    /// Makes the proofs if the token is bound to a key.
    prover: Option<Prover>,
}

impl AdminArgs {
    /// Exchanges the platform's token, or that of a person's login, for one of the audience `<issuer>/admin` with this scope.
    pub fn authorize(&self, scope: &str) -> Result<Admin, Failure> {
        let broker = self.broker.as_ref().ok_or_else(|| Failure::usage("--broker is missing"))?;
        // ORDER: a person's login comes before the client is made, whose time begins then.
        let source = match self.login.token(&self.network)? {
            Some(token) => Source::Given(token),
            None => self.subject.source()?,
        };
        let token_type = if self.login.is_asked() { TokenType::IdToken.urn() } else { self.subject.token_type() };
        let http = self.network.http()?;
        let broker = Broker::discover(&http, broker)?;
        let subject_token = source.token(&http, &broker.issuer)?;
        let prover = self.dpop.then(Prover::generate).transpose()?;
        let request = ExchangeRequest {
            subject_token: &subject_token,
            subject_token_type: token_type,
            actor_token: None,
            audience: &format!("{}/admin", broker.issuer.trim_end_matches('/')),
            scopes: &[scope.to_owned()],
            requested_token_type: None,
            requested_expires_in: None,
            prover: prover.as_ref(),
        };
        let renew = || match &source {
            Source::Given(_) => Ok(None),
            Source::Platform { .. } => source.token(&http, &broker.issuer).map(Some),
        };
        let issued = exchange(&http, &broker, &request, renew)?.into_issued(&broker.issuer);
        let issued = issued.map_err(|failure| Failure {
            message: format!("not authorized to administer this broker: {}", failure.message),
            ..failure
        })?;
        // ORDER: masked before anything is printed.
        mask(&issued.access_token);
        Ok(Admin { http, issuer: broker.issuer, token: issued.access_token, prover })
    }
}

impl Admin {
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let url = self.url(path);
        self.read(&url, &self.send("GET", &url, |headers| self.http.get_once(&url, headers))?)
    }

    /// Sends an operation. It is idempotent, so it may be sent again.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &serde_json::Value) -> Result<T, Failure> {
        let url = self.url(path);
        self.read(&url, &self.send("POST", &url, |headers| self.http.post_json_once(&url, headers, body))?)
    }

    /// Sends a request with the token, until its outcome is final. Each attempt has a proof of its own.
    fn send(
        &self,
        method: &str,
        url: &str,
        send: impl Fn(&[(&str, &str)]) -> Result<Reply, Unanswered>,
    ) -> Result<Reply, Failure> {
        self.http.repeat(url, |_| match &self.prover {
            Some(prover) => {
                let request = Request { method, url, access_token: Some(&self.token) };
                let authorization = format!("DPoP {}", self.token);
                prover.send(request, |proof| send(&[("authorization", &authorization), ("dpop", proof)]))
            }
            None => send(&[("authorization", &format!("Bearer {}", self.token))]),
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}/admin/{path}", self.issuer.trim_end_matches('/'))
    }

    fn read<T: DeserializeOwned>(&self, url: &str, reply: &Reply) -> Result<T, Failure> {
        if reply.is_success() {
            return reply.json().ok_or_else(|| reply.not_of_broker(&format!("invalid response from {url}")));
        }
        let Some(error) = reply.json::<OAuthError>().filter(|error| !error.error.is_empty()) else {
            return Err(reply.not_of_broker(&format!("invalid response from {url}")));
        };
        let refused = Refused {
            status: reply.status,
            error,
            request_id: reply.request_id.clone(),
            retry_after: reply.retry_after,
            tries: reply.tries,
            ..Refused::default()
        };
        Err(refused.failure(&self.issuer))
    }
}
