//! Sources of the subject token: a file, an environment variable, or the platform.

use super::http::Http;
use super::platform::Platform;
use super::raw_token::{read_file, validate, variable};
use std::path::PathBuf;
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
    /// Get the token from this platform [default: github, in a job that may request one].
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

    /// Whether a command-line option names a source.
    pub fn is_named(&self) -> bool {
        self.subject_token_file.is_some() || self.subject_token_env.is_some() || self.from.is_some()
    }

    /// Finds the token's source, before any request is sent.
    pub fn source(&self) -> Result<Source, Failure> {
        let text = match (&self.subject_token_file, &self.subject_token_env) {
            (Some(file), _) => read_file(file)?,
            (None, Some(name)) => {
                variable(name).ok_or_else(|| Failure::usage(format!("environment variable {name} is not set")))?
            }
            (None, None) => {
                let platform = self.from.or_else(Platform::detect).ok_or_else(no_token)?;
                return Ok(Source::Platform { platform, audience: self.subject_audience.clone() });
            }
        };
        validate(&text).map(Source::Given)
    }
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

fn no_token() -> Failure {
    let failure = Failure::usage("no subject token: use --subject-token-file, --subject-token-env or --from");
    if on_github() {
        return failure.hint("give the job `permissions: id-token: write`; then its token is found automatically");
    }
    if std::env::var_os("GITLAB_CI").is_some() {
        return failure.hint("declare `id_tokens:` in the job, and name its variable with --subject-token-env");
    }
    if let Some(platform) = Platform::guess() {
        return failure.hint(format!("use `--from {platform}` to get it from the platform"));
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
