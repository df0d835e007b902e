//! A token from a broker, as the command line describes it: for `vouchsafe token` and `exec`.

use super::broker::Broker;
use super::duration;
use super::exchange::{ExchangeRequest, Issued, exchange};
use super::network::NetworkArgs;
use super::proof::Prover;
use super::subject::{Source, SubjectArgs, TokenType, mask};
use std::time::Duration;
use vouchsafe_cli::Failure;

/// How much shorter than requested a lifetime may be without a note.
const SHORTER_SECONDS: u64 = 10;

/// Options for the requested token.
#[derive(clap::Args)]
pub struct IssueArgs {
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
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    network: NetworkArgs,
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
    /// Gets the token, bound to the key of `prover` if there is one, and masks it in the log of a GitHub Actions job.
    pub fn issue(&self, prover: Option<&Prover>) -> Result<Issued, Failure> {
        let source = self.subject.source()?;
        let http = self.network.http()?;
        let broker = Broker::discover(&http, &self.broker)?;
        let subject_token = source.token(&http, &broker.issuer)?;
        let request = ExchangeRequest {
            subject_token: &subject_token,
            subject_token_type: self.subject.token_type(),
            audience: &self.audience,
            scopes: &self.scopes,
            requested_token_type: self.token_type.map(|kind| kind.token_type().urn()),
            requested_expires_in: self.requested_expires_in.map(|duration| duration.as_secs()),
            prover,
        };
        let renew = || match &source {
            Source::Given(_) => Ok(None),
            Source::Platform { .. } => source.token(&http, &broker.issuer).map(Some),
        };
        let issued = exchange(&http, &broker, &request, renew)?.into_issued(&broker.issuer)?;
        // ORDER: masked before anything is printed, so that no line of the log contains it unmasked.
        mask(&issued.access_token);
        if issued.scope.is_none() && self.scopes.iter().all(String::is_empty) {
            eprintln!("note: the token has no scope, because none was requested with --scope");
        }
        if let Some(seconds) = self.shortened(&issued) {
            eprintln!("note: the token expires with the subject token, in {seconds} s");
        }
        Ok(issued)
    }

    /// The lifetime, if it is shorter than requested. Brokers shorten it only to what the subject token has left.
    fn shortened(&self, issued: &Issued) -> Option<u64> {
        let requested = self.requested_expires_in?.as_secs();
        issued.expires_in.filter(|seconds| seconds.saturating_add(SHORTER_SECONDS) < requested)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        issue: IssueArgs,
    }

    #[test]
    fn notes_a_shorter_lifetime_than_requested() {
        let shortened = |more: &[&str], expires_in| {
            let required = ["x", "--broker", "b", "--audience", "a"];
            let args = Cli::try_parse_from(required.iter().chain(more)).expect("valid").issue;
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
