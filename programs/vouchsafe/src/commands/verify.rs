//! `vouchsafe verify`: what a strict verifier makes of a token, and one that pins the root.

mod check;

use crate::client::{Broker, Http};
use check::{Accepted, Expected, Refused, check};
use serde_json::json;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vouchsafe_cli::files::{read, read_from};
use vouchsafe_cli::{Failure, Format, clock};
use vouchsafe_x509::PinnedRoot;

/// Longest file, and longest token, that is read.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Verify a token as an API would, with or without a pinned root.
///
/// Takes the key that the token names from the JWK Set. With `--pin-root` that set is not believed: its
/// key has to come with a certificate (`x5c`) of the pinned root, valid now, of this issuer and of this very
/// key. Then signature, `typ`, `iss`, `aud`, `sub`, `exp` and `nbf` are checked, strictly and without leeway.
/// Keys of tier `hsm` have no certificate: their tokens can't be verified with a pin.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 the token is good, 1 it is not, 2 wrong use or a file, 3 the broker can't be reached.

Examples:
  vouchsafe token --broker https://broker.example --audience https://api.example |
    vouchsafe verify --broker https://broker.example --audience https://api.example --pin-root root.pem -
  vouchsafe verify --jwks keys.json --issuer https://broker.example --audience https://api.example - < token
  vouchsafe verify --broker http://127.0.0.1:3000 --audience https://api.example --format json - < token")]
pub struct Args {
    /// The token, or `-` for standard input: what stands on a command line shows in process lists.
    #[arg(value_name = "TOKEN|-")]
    token: String,
    /// The broker, whose metadata says where its keys are.
    #[arg(long, value_name = "URL", required_unless_present = "jwks")]
    broker: Option<String>,
    /// A JWK Set in a file instead.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "broker",
        requires = "issuer"
    )]
    jwks: Option<PathBuf>,
    /// The `iss` that the token must have, where there is no broker to ask.
    #[arg(long, value_name = "URL", conflicts_with = "broker")]
    issuer: Option<String>,
    /// The `aud` that the token must have.
    #[arg(long, value_name = "A")]
    audience: String,
    /// The root's certificate in PEM, as `hsm-gateway root-certificate` prints it; not from the broker.
    #[arg(long, value_name = "FILE")]
    pin_root: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let root = match &args.pin_root {
        Some(path) => Some(pinned_root(path)?),
        None => None,
    };
    let token = token(&args.token)?;
    let (issuer, jwks) = keys(&args)?;
    let now = clock::unix_seconds()?;
    let expected = Expected {
        issuer: &issuer,
        audience: &args.audience,
        root: root.as_ref(),
        now,
    };
    match check(&token, &jwks, &expected) {
        Ok(accepted) => {
            match args.format {
                Format::Json => println!("{}", json_of(&accepted)),
                Format::Text => print_text(&accepted, now),
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(refused) => match args.format {
            Format::Json => {
                let (check, reason) = (refused.check.name(), &refused.reason);
                println!(
                    "{}",
                    json!({ "valid": false, "check": check, "reason": reason })
                );
                Ok(ExitCode::FAILURE)
            }
            Format::Text => Err(failure(refused)),
        },
    }
}

fn failure(refused: Refused) -> Failure {
    let failure = Failure::refused(format!("the token is not good: {}", refused.reason));
    match refused.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn json_of(accepted: &Accepted) -> serde_json::Value {
    let pinned = accepted.pinned.as_ref().map(|leaf| {
        json!({
            "subject": leaf.subject,
            "root": leaf.root,
            "not_before": leaf.not_before,
            "not_after": leaf.not_after,
        })
    });
    json!({
        "valid": true,
        "pinned": pinned,
        "alg": accepted.algorithm,
        "kid": accepted.kid,
        "claims": accepted.claims,
    })
}

fn print_text(accepted: &Accepted, now: u64) {
    let (algorithm, kid) = (accepted.algorithm, &accepted.kid);
    println!("signature  {algorithm} by {kid}");
    match &accepted.pinned {
        Some(leaf) => {
            println!("key        {}", leaf.subject);
            println!("pinned     {}", leaf.root);
        }
        None => println!("pinned     no: whoever controls the JWK Set can make such a token"),
    }
    println!("subject    {}", accepted.claims["sub"]);
    println!("expires    in {} s", accepted.expires.saturating_sub(now));
}

/// Where the keys are, and whose they are.
fn keys(args: &Args) -> Result<(String, Vec<u8>), Failure> {
    match (&args.broker, &args.jwks, &args.issuer) {
        (Some(url), ..) => {
            let http = Http::new();
            let broker = Broker::discover(&http, url)?;
            let reply = http.get(&broker.jwks_uri, None)?;
            if !reply.is_success() {
                let status = reply.status;
                return Err(Failure::unreachable(format!(
                    "{} answered with {status}",
                    broker.jwks_uri
                )));
            }
            Ok((broker.issuer, reply.body))
        }
        (None, Some(path), Some(issuer)) => Ok((issuer.clone(), read(path, FILE_BYTES_MAX)?)),
        // clap has seen to it.
        _ => Err(Failure::usage("there is neither --broker nor --jwks")),
    }
}

fn pinned_root(path: &Path) -> Result<PinnedRoot, Failure> {
    let pem = read(path, FILE_BYTES_MAX)?;
    PinnedRoot::from_pem(&pem).map_err(|error| {
        Failure::usage(format!("{}: {error}", path.display()))
            .hint("`hsm-gateway root-certificate` prints it")
    })
}

fn token(argument: &str) -> Result<String, Failure> {
    let text = match argument {
        "-" => from_stdin()?,
        _ => argument.to_owned(),
    };
    match text.trim() {
        "" => Err(Failure::usage("there is no token")
            .hint("the command before the pipe wrote nothing: run it alone to see why")),
        token => Ok(token.to_owned()),
    }
}

fn from_stdin() -> Result<String, Failure> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprintln!("vouchsafe: reading the token from the terminal; end it with Ctrl-D");
    }
    let bytes = read_from(stdin, &"standard input", FILE_BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|_| Failure::usage("standard input: not valid UTF-8"))
}
