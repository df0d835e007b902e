//! `vouchsafe dev-issuer mint`: gets a token from a running dev issuer.

use super::keys::Algorithm;
use super::shapes::Shape;
use crate::client::dev_issuer::{MintOptions, mint};
use crate::client::{NetworkArgs, parse_signed_seconds};
use serde_json::{Map, Value};
use std::process::ExitCode;
use vouchsafe_cli::Failure;

/// Get a token from a running dev issuer.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 minted, 1 refused, 2 the command line is wrong, 3 the dev issuer cannot be reached.

Examples:
  vouchsafe dev-issuer mint --audience http://127.0.0.1:3000
  vouchsafe dev-issuer mint --audience http://127.0.0.1:3000 --claim ref=refs/heads/topic --expires-in 1m
  vouchsafe dev-issuer mint --audience http://127.0.0.1:3000 --shape gitlab --claim project_id=20")]
pub struct Args {
    /// The dev issuer's URL.
    #[arg(long, env = "VOUCHSAFE_DEV_ISSUER", default_value = "http://127.0.0.1:7000", value_name = "URL")]
    issuer: String,
    /// The token's `aud`: the broker's issuer URL.
    #[arg(long, value_name = "A")]
    audience: String,
    /// The signature algorithm.
    #[arg(long, default_value = "RS256")]
    alg: Algorithm,
    /// The platform whose tokens it resembles.
    #[arg(long, default_value = "github")]
    shape: Shape,
    /// Time until it expires; negative for an expired token.
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = parse_signed_seconds)]
    expires_in: Option<i64>,
    /// A claim as text; may be repeated.
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = parse_text_claim)]
    claims: Vec<(String, Value)>,
    /// A claim as JSON; `null` removes one. May be repeated.
    #[arg(long = "json-claim", value_name = "NAME=JSON", value_parser = parse_json_claim)]
    json_claims: Vec<(String, Value)>,
    #[command(flatten)]
    network: NetworkArgs,
}

fn split_claim(text: &str) -> Result<(String, &str), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value))
}

fn parse_text_claim(text: &str) -> Result<(String, Value), String> {
    split_claim(text).map(|(name, value)| (name, value.into()))
}

fn parse_json_claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) = split_claim(text)?;
    Ok((name, serde_json::from_str(value).map_err(|error| error.to_string())?))
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let options = MintOptions {
        audience: &args.audience,
        algorithm: args.alg.name(),
        expires_in: args.expires_in,
        shape: args.shape.name(),
        claims: args.claims.into_iter().chain(args.json_claims).collect::<Map<_, _>>(),
    };
    println!("{}", mint(&args.network.http()?, &args.issuer, options)?);
    Ok(ExitCode::SUCCESS)
}
