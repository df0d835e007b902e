//! A token from a broker, as the command line describes it: for `vouchsafe token` and `exec`.

use super::broker::Broker;
use super::cache::{self, Key, Slot};
use super::duration;
use super::exchange::{ExchangeRequest, Issued, exchange};
use super::http::Http;
use super::network::NetworkArgs;
use super::proof::Prover;
use super::subject::{ActorArgs, Source, SubjectArgs, TokenType, mask};
use std::time::Duration;
use vouchsafe_cli::{Failure, clock};

/// How much shorter than requested a lifetime may be without a note.
const SHORTER_SECONDS: u64 = 10;

/// Options for a token and its subject.
#[derive(clap::Args)]
pub struct IssueArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    actor: ActorArgs,
    /// Use a token again until 60 s before it expires: keep it in a private file, in XDG_RUNTIME_DIR or else in /tmp.
    #[arg(long, help_heading = None::<&str>)]
    cache: bool,
    #[command(flatten)]
    network: NetworkArgs,
}

/// Options for the requested token.
#[derive(clap::Args)]
pub struct TargetArgs {
    /// The broker's issuer URL; https, except on loopback.
    #[arg(long, env = "VOUCHSAFE_BROKER", value_name = "URL")]
    broker: String,
    /// The audience of the requested token.
    #[arg(long, env = "VOUCHSAFE_AUDIENCE", value_name = "A")]
    audience: String,
    /// A scope to request; may be repeated, or a list separated by spaces.
    #[arg(long = "scope", env = "VOUCHSAFE_SCOPE", value_name = "S", value_delimiter = ' ')]
    scopes: Vec<String>,
    /// Request another lifetime than the audience's default, such as 15m.
    #[arg(long, visible_alias = "lifetime", value_name = "DURATION", value_parser = duration::parse_positive)]
    requested_expires_in: Option<Duration>,
    /// Type of the requested token [default: the broker chooses].
    #[arg(long, value_name = "TYPE")]
    token_type: Option<IssuedTokenType>,
}

/// A token, and the time from which it is issued and at which it expires, in Unix seconds by this machine's clock.
#[derive(Debug)]
pub struct Token {
    pub response: Issued,
    pub issued: u64,
    pub expires: Option<u64>,
}

/// The types of tokens that a broker issues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum IssuedTokenType {
    AccessToken,
    Jwt,
}

impl IssuedTokenType {
    const fn token_type(self) -> TokenType {
        match self {
            Self::AccessToken => TokenType::AccessToken,
            Self::Jwt => TokenType::Jwt,
        }
    }
}

impl IssueArgs {
    /// Gets the token, and masks it in the job's log.
    pub fn issue(&self) -> Result<Token, Failure> {
        self.issue_with(None)
    }

    /// Gets a token that is bound to the key of `prover`. Such a token is never kept: its key ends with this process.
    pub fn issue_bound(&self, prover: &Prover) -> Result<Token, Failure> {
        self.issue_with(Some(prover))
    }

    fn issue_with(&self, prover: Option<&Prover>) -> Result<Token, Failure> {
        let source = self.subject.source()?;
        let token = self.target.issue(
            &source,
            self.actor.source()?.as_ref(),
            self.subject.token_type(),
            self.cache && prover.is_none(),
            prover,
            &self.network.http()?,
        )?;
        if token.response.scope.is_none() && self.target.scopes.iter().all(String::is_empty) {
            eprintln!("note: the token has no scope, because none was requested with --scope");
        }
        Ok(token)
    }

    /// Whether the subject token can be read only once.
    pub fn is_piped(&self) -> bool {
        self.subject.is_piped()
    }

    /// For further requests of the same command.
    pub fn network(&self) -> &NetworkArgs {
        &self.network
    }
}

impl TargetArgs {
    /// Gets the token for a subject token of this source, from the broker or, if allowed, from the cache. `actor` is the
    /// source of the actor token, if there is one.
    pub fn issue(
        &self,
        source: &Source,
        actor: Option<&Source>,
        subject_type: &str,
        cache: bool,
        prover: Option<&Prover>,
        http: &Http,
    ) -> Result<Token, Failure> {
        let broker = Broker::discover(http, &self.broker)?;
        let subject_token = source.token(http, &broker.issuer)?;
        let actor_token = actor.map(|actor| actor.token(http, &broker.issuer)).transpose()?;
        let request = ExchangeRequest {
            subject_token: &subject_token,
            actor_token: actor_token.as_deref(),
            subject_token_type: subject_type,
            audience: &self.audience,
            scopes: &self.scopes,
            requested_token_type: self.token_type.map(|kind| kind.token_type().urn()),
            requested_expires_in: self.requested_expires_in.map(|duration| duration.as_secs()),
            prover,
        };
        let slot = if cache { Some(Slot::open(&key(&broker, &request))?) } else { None };
        // ORDER: before the request, so that the token never seems to live longer than it does.
        let issued = clock::unix_seconds()?;
        if let Some((response, expires)) = slot.as_ref().and_then(|slot| slot.read(issued)) {
            mask(&response.access_token);
            return Ok(Token { response, issued, expires: Some(expires) });
        }
        let renew = || match source {
            Source::Given(_) => Ok(None),
            Source::Platform { .. } => source.token(http, &broker.issuer).map(Some),
        };
        let response = exchange(http, &broker, &request, renew)?.into_issued(&broker.issuer)?;
        // ORDER: masked before anything is printed, so that no line of the log contains it unmasked.
        mask(&response.access_token);
        if let Some(seconds) = self.shortened(&response) {
            eprintln!("note: the token expires with {}, in {seconds} s", expiring(actor.is_some()));
        }
        let expires = response.expires_in.map(|seconds| issued.saturating_add(seconds));
        if let (Some(slot), Some(expires)) = (&slot, expires) {
            slot.write(&response, issued, expires)?;
        }
        Ok(Token { response, issued, expires })
    }

    /// The lifetime, if it is shorter than requested. Brokers shorten it only to what the subject token has left.
    fn shortened(&self, issued: &Issued) -> Option<u64> {
        let requested = self.requested_expires_in?.as_secs();
        issued.expires_in.filter(|seconds| seconds.saturating_add(SHORTER_SECONDS) < requested)
    }
}

/// What a token expires with, if its lifetime is shorter than requested.
fn expiring(has_actor: bool) -> &'static str {
    if has_actor { "the subject token or the actor token" } else { "the subject token" }
}

/// The place in the cache for a request's token.
fn key<'a>(broker: &'a Broker, request: &ExchangeRequest<'a>) -> Key<'a> {
    Key {
        issuer: &broker.issuer,
        audience: request.audience,
        scopes: request.scopes,
        requested_token_type: request.requested_token_type,
        requested_expires_in: request.requested_expires_in,
        subject_token_type: request.subject_token_type,
        workload: cache::workload(request.subject_token),
        actor: request.actor_token.map(cache::workload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        target: TargetArgs,
    }

    #[test]
    fn notes_a_shorter_lifetime_than_requested() {
        let shortened = |more: &[&str], expires_in| {
            let required = ["x", "--broker", "b", "--audience", "a"];
            let args = Cli::try_parse_from(required.iter().chain(more)).expect("valid").target;
            let text = String::new;
            let issued =
                Issued { access_token: text(), issued_token_type: text(), token_type: text(), expires_in, scope: None };
            args.shortened(&issued)
        };
        assert_eq!(shortened(&["--lifetime", "15m"], Some(297)), Some(297));
        assert_eq!(shortened(&["--lifetime", "300s"], Some(289)), Some(289));
        assert_eq!(shortened(&["--lifetime", "300s"], Some(290)), None);
        assert_eq!(shortened(&["--lifetime", "300s"], None), None);
        assert_eq!(shortened(&[], Some(297)), None);
    }
}
