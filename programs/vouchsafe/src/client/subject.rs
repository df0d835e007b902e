//! Sources of the subject token: a file, an environment variable, or the platform's token service.

use super::broker::Broker;
use super::http::{Http, is_loopback};
use super::text::is_bearer_token;
use serde::Deserialize;
use std::io::Read;
use std::path::{Path, PathBuf};
use vouchsafe_cli::Failure;

/// The broker's limit; tokens of platforms have a few KiB.
const TOKEN_BYTES_MAX: u64 = 16 * 1024;

const REQUEST_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const REQUEST_TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

/// Options for the subject token.
#[derive(clap::Args)]
pub struct SubjectArgs {
    /// Read the platform's token from this file; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "subject_token_env")]
    subject_token_file: Option<PathBuf>,
    /// Read the platform's token from this environment variable.
    #[arg(long, value_name = "VAR")]
    subject_token_env: Option<String>,
    /// Type of the platform's token.
    #[arg(long, value_name = "TYPE", default_value = "jwt")]
    subject_token_type: TokenType,
}

/// A token type, named by the last part of its URN (RFC 8693 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum TokenType {
    /// Issued only; a broker rejects it as a subject token.
    #[value(skip)]
    AccessToken,
    IdToken,
    Jwt,
}

impl TokenType {
    pub const fn urn(self) -> &'static str {
        match self {
            Self::AccessToken => "urn:ietf:params:oauth:token-type:access_token",
            Self::IdToken => "urn:ietf:params:oauth:token-type:id_token",
            Self::Jwt => "urn:ietf:params:oauth:token-type:jwt",
        }
    }
}

impl SubjectArgs {
    pub fn token_type(&self) -> &'static str {
        self.subject_token_type.urn()
    }

    /// Whether a command-line option names a source.
    pub fn is_named(&self) -> bool {
        self.subject_token_file.is_some() || self.subject_token_env.is_some()
    }

    /// Finds the token's source, before any request is sent.
    pub fn source(&self) -> Result<Source, Failure> {
        let text = match (&self.subject_token_file, &self.subject_token_env) {
            (Some(file), _) => from_file(file)?,
            (None, Some(name)) => {
                variable(name).ok_or_else(|| Failure::usage(format!("environment variable {name} is not set")))?
            }
            (None, None) => return github(),
        };
        let token = text.trim();
        if token.len() as u64 > TOKEN_BYTES_MAX || !is_bearer_token(token) {
            return Err(Failure::usage("the subject token must be one token of at most 16 KiB"));
        }
        Ok(Source::Given(token.to_owned()))
    }
}

/// A subject token, or a service that issues one.
pub enum Source {
    Given(String),
    /// The token service of a GitHub Actions job with `id-token: write`.
    Github {
        url: String,
        bearer: String,
    },
}

impl Source {
    /// Returns the subject token for this broker.
    pub fn token(self, http: &Http, broker: &Broker) -> Result<String, Failure> {
        match self {
            Self::Given(token) => Ok(token),
            Self::Github { url, bearer } => from_github(http, &url, &bearer, &broker.issuer),
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn from_file(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = |source: &mut dyn Read, text: &mut String| source.take(TOKEN_BYTES_MAX + 2).read_to_string(text);
    let outcome = if file == Path::new("-") {
        read(&mut std::io::stdin(), &mut text)
    } else {
        std::fs::File::open(file).and_then(|mut file| read(&mut file, &mut text))
    };
    outcome
        .map_err(|error| Failure::usage(format!("cannot read the subject token from {}: {error}", file.display())))?;
    if text.trim().is_empty() {
        let (source, hint) = if file == Path::new("-") {
            ("standard input".to_owned(), "the command before the pipe wrote nothing; run it alone to see why")
        } else {
            (format!("`{}`", file.display()), "check that the platform writes its token to this file")
        };
        return Err(Failure::usage(format!("no subject token in {source}")).hint(hint));
    }
    Ok(text)
}

fn github() -> Result<Source, Failure> {
    let (Some(url), Some(bearer)) = (variable(REQUEST_URL), variable(REQUEST_TOKEN)) else {
        return Err(no_token());
    };
    if !url.starts_with("https://") && !is_loopback(&url) {
        return Err(Failure::usage(format!("{REQUEST_URL} is not https")));
    }
    Ok(Source::Github { url, bearer })
}

fn from_github(http: &Http, url: &str, bearer: &str, audience: &str) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Answer {
        value: String,
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    let audience: String = form_urlencoded::byte_serialize(audience.as_bytes()).collect();
    let reply = http.get(&format!("{url}{separator}audience={audience}"), Some(bearer))?;
    let answer = reply.json::<Answer>().filter(|answer| reply.is_success() && is_bearer_token(&answer.value));
    let token = answer.ok_or_else(|| {
        Failure::unreachable(format!("GitHub's token service returned no token (status {})", reply.status))
    })?;
    mask(&token.value);
    Ok(token.value)
}

fn no_token() -> Failure {
    let failure = Failure::usage("no subject token: use --subject-token-file or --subject-token-env");
    if on_github() {
        return failure.hint("give the job `permissions: id-token: write`; then its token is found automatically");
    }
    if std::env::var_os("GITLAB_CI").is_some() {
        return failure.hint("declare `id_tokens:` in the job, and name its variable with --subject-token-env");
    }
    failure.hint("on GitHub Actions it is found automatically; for local work, `vouchsafe dev-issuer mint` creates one")
}

fn on_github() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// Makes GitHub Actions mask a token in the job's log. It reads commands from both streams; standard output belongs to
/// the caller, who may be capturing the token there.
pub fn mask(token: &str) {
    if on_github() {
        eprintln!("::add-mask::{token}");
    }
}
