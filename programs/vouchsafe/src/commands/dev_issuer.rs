//! `vouchsafe dev-issuer`: an OIDC issuer for local work, which hands a token to whoever asks.
//!
//! Therefore it listens on loopback only and answers no request that a web page could have sent
//! (`server.rs`). Its keys change with every start unless `--key-file` keeps them. It makes
//! well-formed tokens; slow, broken and hostile issuers are made by the tests that need them.

mod claims;
mod key_file;
mod keys;
mod mint;
mod server;

use clap::Subcommand;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use vouchsafe_cli::Failure;

/// An OIDC issuer for local work: discovery, JWKS, tokens shaped like GitHub's.
///
/// Anyone on this machine can get any token from it, so it listens on loopback only and must never
/// be trusted by a broker that is not for development.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct Args {
    /// Where to listen: a loopback address; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:7000", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The issuer URL to name in tokens and metadata [default: http://ADDRESS].
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Keep the keys in this file over restarts, so that a broker which has fetched them knows them.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Write the port to this file once it listens.
    #[arg(long, value_name = "FILE")]
    port_file: Option<PathBuf>,
    /// The bearer token that GET /token asks for; without it, any or none will do.
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    request_token: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    Mint(mint::Args),
}

const EXAMPLES: &str = "\
Examples:
  vouchsafe dev-issuer
  vouchsafe dev-issuer mint --audience http://127.0.0.1:3000 --claim ref=refs/heads/topic
  curl -d aud=http://127.0.0.1:3000 http://127.0.0.1:7000/mint
  curl -X POST http://127.0.0.1:7000/rotate

Routes:
  GET  /.well-known/openid-configuration
  GET  /.well-known/jwks.json
  POST /mint                JSON or form: aud, alg (RS256, ES256, EdDSA), expires_in, shape (github,
                            free), claims (JSON only; null removes one). Any other form field is a claim.
  POST /rotate              a new key; the old one stays published until the next rotation,
                            or is withdrawn at once with ?remove=true
  GET  /token?audience=A    as GitHub's ACTIONS_ID_TOKEN_REQUEST_URL answers

Exit codes: 0 stopped by a signal, 1 the address is taken, 2 wrong use.";

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Some(Command::Mint(args)) => mint::run(args),
        None => server::run(args),
    }
}
