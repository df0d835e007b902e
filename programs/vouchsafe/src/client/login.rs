//! A person's login on a workstation: an authorization code with PKCE (RFC 7636) and a loopback redirect (RFC 8252).
//!
//! The ID token is the subject token of an exchange, so the broker verifies it and policy decides about the person. It
//! stays in memory: the next command starts another login, which the issuer's own session shortens.

mod browser;
mod callback;
mod issuer;
mod secrets;

use super::http::Http;
use super::network::NetworkArgs;
use super::raw_token;
use callback::Callback;
use issuer::{Code, OidcIssuer};
use secrets::Login;
use std::time::Duration;
use vouchsafe_cli::{Failure, clock};

/// How long the person has.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(300);

/// Options for the login of a person.
#[derive(clap::Args)]
#[command(next_help_heading = "Login of a person, instead of a platform's token")]
pub struct LoginArgs {
    /// Sign in at this OIDC issuer with a browser; the bundle has an issuer file for it.
    #[arg(
        long,
        env = "VOUCHSAFE_LOGIN",
        value_name = "ISSUER",
        conflicts_with_all = ["subject_token_file", "subject_token_env", "from"]
    )]
    login: Option<String>,
    /// The id of the public client that is registered there for this program.
    #[arg(long, env = "VOUCHSAFE_LOGIN_CLIENT_ID", value_name = "ID", default_value = "vouchsafe")]
    login_client_id: String,
    /// Only print the URL, and don't open a browser.
    #[arg(long, requires = "login")]
    no_browser: bool,
}

impl LoginArgs {
    /// Whether a person signs in.
    pub fn is_asked(&self) -> bool {
        self.login.is_some()
    }

    /// The person's ID token; none without `--login`.
    pub fn token(&self, network: &NetworkArgs) -> Result<Option<String>, Failure> {
        let Some(url) = &self.login else { return Ok(None) };
        let issuer = OidcIssuer::discover(&network.http()?, url)?;
        let login = Login::new(&self.login_client_id)?;
        let callback = Callback::listen()?;
        let redirect_uri = callback.redirect_uri();
        let url = issuer.authorization_url(&login, &redirect_uri);
        eprintln!("vouchsafe: to sign in, open {url}");
        if !self.no_browser {
            browser::open(&url);
        }
        let response = callback.wait(&login.state, LOGIN_TIMEOUT)?;
        let code = response.code(&issuer)?;
        // ORDER: a new client, whose time begins after the person's.
        let code = Code { code: &code, redirect_uri: &redirect_uri };
        redeem(&network.http()?, &issuer, &login, code).map(Some)
    }
}

/// Exchanges the code for an ID token of this login.
fn redeem(http: &Http, issuer: &OidcIssuer, login: &Login, code: Code<'_>) -> Result<String, Failure> {
    let token = raw_token::validate(&issuer.redeem(http, login, code)?)?;
    let now = clock::unix_seconds()?;
    issuer.check(&token, login, now).map_err(|why| {
        Failure::refused(format!("the ID token is not of this login: {why}"))
            .hint("nothing was sent to the broker; sign in again")
    })?;
    Ok(token)
}
