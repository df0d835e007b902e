//! `vouchsafe token`: token exchange as one command, for jobs and functions.

use crate::client::exchange::{ExchangeRequest, Issued, exchange};
use crate::client::subject::{SubjectArgs, TokenType, mask};
use crate::client::{Broker, Http};
use std::process::ExitCode;
use vouchsafe_cli::Failure;

/// Exchange the platform's token for a token from a broker.
///
/// On GitHub Actions (with `permissions: id-token: write`) the platform's token is requested automatically, with the
/// broker's URL as its audience, and both tokens are masked in the job's log.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 issued, 1 refused, 2 the command line is wrong, 3 the broker cannot be reached or cannot answer now.

Examples:
  vouchsafe token --broker https://broker.example --audience https://deploy.example --scope deploy:write
  vouchsafe token --broker http://127.0.0.1:3000 --audience https://api.example --subject-token-file token.jwt
  eval \"$(vouchsafe token --broker https://broker.example --audience https://api.example --format env)\"")]
pub struct Args {
    /// The broker's issuer URL; https, except on loopback.
    #[arg(long, value_name = "URL")]
    broker: String,
    /// The audience of the requested token.
    #[arg(long, value_name = "A")]
    audience: String,
    /// A scope to request; may be repeated.
    #[arg(long = "scope", value_name = "S")]
    scopes: Vec<String>,
    /// Request another lifetime than the audience's default.
    #[arg(long, value_name = "SECONDS")]
    requested_expires_in: Option<u64>,
    /// Type of the requested token [default: the broker chooses].
    #[arg(long, value_name = "TYPE")]
    token_type: Option<IssuedTokenType>,
    /// What to print: the token, the broker's response, or an assignment for a shell.
    #[arg(long, value_enum, default_value = "token")]
    format: Format,
    #[command(flatten)]
    subject: SubjectArgs,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Env,
    Json,
    Token,
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

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let source = args.subject.source()?;
    let http = Http::new();
    let broker = Broker::discover(&http, &args.broker)?;
    let subject_token = source.token(&http, &broker)?;
    let request = ExchangeRequest {
        subject_token: &subject_token,
        subject_token_type: args.subject.token_type(),
        audience: &args.audience,
        scopes: &args.scopes,
        requested_token_type: args.token_type.map(|kind| kind.token_type().urn()),
        requested_expires_in: args.requested_expires_in,
    };
    let issued = exchange(&http, &broker, &request)?.into_issued()?;
    // ORDER: masked before anything is printed, so that no line of the log contains it unmasked.
    mask(&issued.access_token);
    print(&issued, args.format)?;
    Ok(ExitCode::SUCCESS)
}

fn print(issued: &Issued, format: Format) -> Result<(), Failure> {
    match format {
        Format::Env => println!("VOUCHSAFE_TOKEN={}", issued.access_token),
        Format::Json => {
            let text = serde_json::to_string(issued).map_err(|error| Failure::refused(error.to_string()))?;
            println!("{text}");
        }
        Format::Token => println!("{}", issued.access_token),
    }
    Ok(())
}
