//! Sources of the subject token: a file, an environment variable, or the platform.

use super::detect::{Surroundings, detect};
use super::http::Http;
use super::platform::Platform;
use super::raw_token::{read_file, validate, variable};
use std::path::{Path, PathBuf};
use vouchsafe_cli::Failure;

/// Options for the subject token.
#[derive(clap::Args)]
#[command(next_help_heading = "Subject token")]
pub struct SubjectArgs {
    /// Read the platform's token from this file; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["subject_token_env", "from"])]
    subject_token_file: Option<PathBuf>,
    /// Read the platform's token from this environment variable.
    #[arg(long, value_name = "VAR", conflicts_with = "from")]
    subject_token_env: Option<String>,
    /// Get the token from this platform [default: the one that this job, function or machine runs on].
    #[arg(long, value_name = "PLATFORM")]
    from: Option<Platform>,
    /// The audience of the token that is requested from the platform [default: the broker's issuer URL].
    #[arg(long, env = "VOUCHSAFE_SUBJECT_AUDIENCE", value_name = "A")]
    subject_audience: Option<String>,
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

    /// Whether the token comes from a pipe, which can be read only once.
    pub fn is_piped(&self) -> bool {
        self.subject_token_file.as_deref() == Some(Path::new("-"))
    }

    /// Whether a command-line option names a source.
    pub fn is_named(&self) -> bool {
        self.subject_token_file.is_some() || self.subject_token_env.is_some() || self.from.is_some()
    }

    /// Finds the token's source, before any request is sent.
    pub fn source(&self) -> Result<Source, Failure> {
        match given(self.subject_token_file.as_deref(), self.subject_token_env.as_deref())? {
            Some(source) => Ok(source),
            None => {
                let platform = self.from.map_or_else(|| detect(&Surroundings::actual()), Ok)?;
                Ok(Source::Platform { platform, audience: self.subject_audience.clone() })
            }
        }
    }
}

/// Options for the actor token.
#[derive(clap::Args)]
#[command(next_help_heading = "Actor token, of who acts for the subject (default: none)")]
pub struct ActorArgs {
    /// Read the actor's token from this file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["actor_token_env", "actor_from"])]
    actor_token_file: Option<PathBuf>,
    /// Read the actor's token from this environment variable.
    #[arg(long, value_name = "VAR", conflicts_with = "actor_from")]
    actor_token_env: Option<String>,
    /// Get the actor's token from this platform.
    #[arg(long, value_name = "PLATFORM")]
    actor_from: Option<Platform>,
}

impl ActorArgs {
    /// The token's source, if an option names one.
    pub fn source(&self) -> Result<Option<Source>, Failure> {
        let given = given(self.actor_token_file.as_deref(), self.actor_token_env.as_deref())?;
        Ok(given.or(self.actor_from.map(|platform| Source::Platform { platform, audience: None })))
    }
}

/// The token in this file or environment variable.
fn given(file: Option<&Path>, env: Option<&str>) -> Result<Option<Source>, Failure> {
    let text = match (file, env) {
        (Some(file), _) => read_file(file)?,
        (None, Some(name)) => {
            variable(name).ok_or_else(|| Failure::usage(format!("environment variable {name} is not set")))?
        }
        (None, None) => return Ok(None),
    };
    validate(&text).map(Source::Given).map(Some)
}

/// A subject token, or a platform that issues one.
pub enum Source {
    Given(String),
    Platform { platform: Platform, audience: Option<String> },
}

impl Source {
    /// Returns a subject token for the broker with this issuer URL.
    pub fn token(&self, http: &Http, broker: &str) -> Result<String, Failure> {
        match self {
            Self::Given(token) => Ok(token.clone()),
            Self::Platform { platform, audience } => {
                let token = platform.token(http, audience.as_deref().unwrap_or(broker))?;
                mask(&token);
                Ok(token)
            }
        }
    }
}

/// Makes GitHub Actions (and Forgejo's) and Azure Pipelines mask a token in the job's log. They read commands from both
/// streams; standard output belongs to the caller, who may be capturing the token there.
///
/// INVARIANT: only for text that [`is_bearer_token`](super::text::is_bearer_token) accepts, so that it is one line.
pub fn mask(token: &str) {
    let is_true = |name| std::env::var_os(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if is_true("GITHUB_ACTIONS") {
        eprintln!("::add-mask::{token}");
    }
    if is_true("TF_BUILD") {
        eprintln!("##vso[task.setsecret]{token}");
    }
}
