//! `vouchsafe dev-issuer`: an OIDC issuer for local development, which issues any token to anyone.
//!
//! It therefore listens on loopback only, and answers no request that a web page could have sent (`server.rs`). Its
//! keys change with every start unless `--key-file` keeps them. Its tokens are well-formed; tests that need slow,
//! broken or hostile issuers have their own.

mod claims;
mod key_file;
mod keys;
mod mint;
mod server;
mod shapes;

use clap::Subcommand;
use std::process::ExitCode;
use vouchsafe_cli::Failure;

/// Run an OIDC issuer for local development: discovery, JWKS, tokens like those of each platform.
///
/// Anyone on this machine can get any token from it, so it listens on loopback only, and only development brokers may
/// trust it.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    server: server::Args,
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
  POST /mint                JSON or form: aud, alg (RS256, ES256, EdDSA), expires_in, shape (the name of a
                            provider, or free), claims (JSON only; null removes one). Any other form field
                            is a claim.
  POST /rotate              new keys; the old ones stay published until the next rotation, or are
                            withdrawn at once with ?remove=true
  GET  /token?audience=A    like GitHub's ACTIONS_ID_TOKEN_REQUEST_URL

Exit codes: 0 stopped by a signal, 1 refused, 2 the command line is wrong, or the address is in use.";

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Some(Command::Mint(args)) => mint::run(args),
        None => server::run(args.server),
    }
}
