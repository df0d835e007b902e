//! `vouchsafe verify`: verifies a token strictly, optionally with a pinned root.

use crate::client::text::sanitize;
use crate::client::token::rules;
use crate::client::{Broker, Http, NetworkArgs};
use serde_json::json;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vouchsafe_cli::files::{read, read_from};
use vouchsafe_cli::{Failure, Format, clock};
use vouchsafe_verifier::{
    Check, Keys, PinnedRoot, REVOCATIONS_BYTES_MAX, RevocationList, Rules, VerificationError, VerifiedToken,
    check_header, verify,
};

/// Longest file and longest token.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Verify a token as an API would, with or without a pinned root.
///
/// Takes the key that the token names from the JWK Set. With `--pin-root` the set itself is not trusted: the key must
/// have a certificate (`x5c`) of the pinned root that is valid now and names this issuer and this key. Then signature,
/// `typ`, `iss`,
/// `aud`, `sub`, `exp` and `nbf` are checked, strictly and without leeway. Keys of tier `hsm` have no certificate, so
/// their tokens can't be verified with a pin.
///
/// With `--revocations`, the token must also not be on the broker's list of what is revoked, which is signed and fetched now.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 the token is valid, 1 it is not, 2 the command line or a file is wrong, 3 the broker cannot be reached, or its key
set or list of revocations is unusable.

Examples:
  vouchsafe token --broker https://broker.example --audience https://api.example |
    vouchsafe verify --broker https://broker.example --audience https://api.example --pin-root root.pem -
  vouchsafe verify --jwks keys.json --issuer https://broker.example --audience https://api.example - < token
  vouchsafe verify --broker https://broker.example --audience https://api.example --revocations - < token
  vouchsafe verify --broker http://127.0.0.1:3000 --audience https://api.example --format json - < token")]
pub struct Args {
    /// The token, or `-` for standard input; process lists show what is on a command line.
    #[arg(value_name = "TOKEN|-")]
    token: String,
    /// The broker's issuer URL, which the token must have as its `iss`; its metadata names its JWK Set.
    #[arg(long, env = "VOUCHSAFE_BROKER", value_name = "URL", required_unless_present = "issuer")]
    broker: Option<String>,
    /// Read the JWK Set from this file; nothing is fetched.
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// The `iss` that the token must have, with --jwks [default: --broker].
    #[arg(long, value_name = "URL", requires = "jwks")]
    issuer: Option<String>,
    /// The `aud` that the token must have.
    #[arg(long, env = "VOUCHSAFE_AUDIENCE", value_name = "A")]
    audience: String,
    /// The root's certificate (PEM), as `hsm-gateway root-certificate` prints it; don't get it from the broker.
    #[arg(long, value_name = "FILE")]
    pin_root: Option<PathBuf>,
    /// Refuse a token that the broker has revoked.
    #[arg(long, conflicts_with = "jwks")]
    revocations: bool,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    network: NetworkArgs,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let root = match &args.pin_root {
        Some(path) => Some(read_root(path)?),
        None => None,
    };
    let token = read_token(&args.token)?;
    let Fetched { issuer, jwks, revocations } = fetch(&args)?;
    let now = clock::unix_seconds()?;
    let rules = rules(&issuer, &args.audience, root.as_ref());
    match check(&token, &jwks, revocations.as_deref(), &rules, now) {
        Ok(verified) => {
            match args.format {
                Format::Json => println!("{}", json_of(&verified)),
                Format::Text => print_text(&verified, now),
            }
            Ok(ExitCode::SUCCESS)
        }
        // These say nothing about the token.
        Err(error) if error.check == Check::KeySet => Err(match &args.jwks {
            Some(path) => Failure::file(path, error.reason),
            None => Failure::unreachable(format!("invalid key set of {issuer}: {}", error.reason)),
        }),
        Err(error) if error.check == Check::Revocations => {
            Err(Failure::unreachable(format!("{issuer}: {}", error.reason)))
        }
        Err(error) => match args.format {
            Format::Json => {
                let (check, reason) = (error.check.name(), &error.reason);
                println!("{}", json!({ "valid": false, "check": check, "reason": reason }));
                Ok(ExitCode::FAILURE)
            }
            Format::Text => Err(failure(error)),
        },
    }
}

fn check(
    token: &str,
    jwks: &[u8],
    revocations: Option<&str>,
    rules: &Rules<'_>,
    now: u64,
) -> Result<VerifiedToken, VerificationError> {
    check_header(token, rules)?;
    let keys = Keys::parse(jwks)?;
    let verified = verify(token, &keys, rules, now)?;
    if let Some(document) = revocations {
        RevocationList::verify(document, &keys, rules, now).and_then(|list| list.check(&verified))?;
    }
    Ok(verified)
}

fn failure(error: VerificationError) -> Failure {
    let failure = Failure::refused(format!("invalid token: {}", error.reason));
    match error.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn json_of(token: &VerifiedToken) -> serde_json::Value {
    let pinned = token.pinned.as_ref().map(|leaf| {
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
        "alg": token.algorithm,
        "kid": token.kid,
        "claims": token.claims,
    })
}

fn print_text(token: &VerifiedToken, now: u64) {
    let (algorithm, kid) = (token.algorithm, &token.kid);
    println!("signature  {algorithm} by {kid}");
    match &token.pinned {
        Some(leaf) => {
            println!("key        {}", leaf.subject);
            println!("pinned     {}", leaf.root);
        }
        None => println!("pinned     no; whoever controls the JWK Set can forge such a token"),
    }
    for (label, name) in [("issuer", "iss"), ("audience", "aud"), ("subject", "sub"), ("scope", "scope")] {
        let value = token.claims.get(name).map_or("none".to_owned(), |value| sanitize(&value.to_string()));
        println!("{label:<10} {value}");
    }
    println!("expires    in {} s", token.expires.saturating_sub(now));
}

struct Fetched {
    /// The expected issuer.
    issuer: String,
    jwks: Vec<u8>,
    revocations: Option<String>,
}

fn fetch(args: &Args) -> Result<Fetched, Failure> {
    let issuer = args.issuer.as_ref().or(args.broker.as_ref());
    let issuer = issuer.ok_or_else(|| Failure::usage("neither --broker nor --issuer is given"))?;
    if let Some(path) = &args.jwks {
        return Ok(Fetched { issuer: issuer.clone(), jwks: read(path, FILE_BYTES_MAX)?, revocations: None });
    }
    let http = args.network.http()?;
    let broker = Broker::discover(&http, issuer)?;
    let reply = http.get(&broker.jwks_uri, None)?;
    if !reply.is_success() {
        return Err(reply.unexpected(&broker.jwks_uri));
    }
    let revocations = if args.revocations { Some(fetch_revocations(&http, &broker.issuer)?) } else { None };
    Ok(Fetched { issuer: broker.issuer, jwks: reply.body, revocations })
}

fn fetch_revocations(http: &Http, issuer: &str) -> Result<String, Failure> {
    let url = format!("{}/revocations", issuer.trim_end_matches('/'));
    let reply = http.reading(REVOCATIONS_BYTES_MAX as u64).get(&url, None)?;
    match String::from_utf8(reply.body.clone()) {
        Ok(document) if reply.is_success() => Ok(document),
        Ok(_) | Err(_) => Err(reply.unexpected(&url)),
    }
}

fn read_root(path: &Path) -> Result<PinnedRoot, Failure> {
    let pem = read(path, FILE_BYTES_MAX)?;
    PinnedRoot::from_pem(&pem)
        .map_err(|error| Failure::file(path, error).hint("`hsm-gateway root-certificate` prints the certificate"))
}

fn read_token(argument: &str) -> Result<String, Failure> {
    let text = match argument {
        "-" => read_stdin()?,
        _ if Path::new(argument).is_file() => {
            return Err(Failure::usage(format!("`{argument}` is a file, not a token"))
                .hint(format!("to verify the token in it, write `- < {argument}`")));
        }
        _ => argument.to_owned(),
    };
    let token = text.trim();
    let wrong = |what: &str, hint: String| Err(Failure::usage(what).hint(hint));
    if token.is_empty() {
        return wrong("no token", "the command before the pipe wrote nothing; run it alone to see why".to_owned());
    }
    if token.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer ")) {
        return wrong("the token begins with `Bearer `", "use the token alone".to_owned());
    }
    if token.starts_with(['{', '"']) || token.starts_with("export ") {
        let hint = "use the token alone, as `vouchsafe token` prints it without --format";
        return wrong("this is not a token, but text with one in it", hint.to_owned());
    }
    // A token has two dots and no slash.
    if argument != "-" && (argument.contains('/') || argument.matches('.').count() != 2) {
        let what = format!("`{}` is neither a token nor a file", sanitize(argument));
        return wrong(&what, "to verify the token in a file, write `- < FILE`".to_owned());
    }
    Ok(token.to_owned())
}

fn read_stdin() -> Result<String, Failure> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprintln!("vouchsafe: reading the token from the terminal; press Ctrl-D to finish");
    }
    let bytes = read_from(stdin, &"standard input", FILE_BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|_| Failure::usage("standard input: not valid UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_not_a_token() {
        for (argument, message) in [
            ("Bearer a.b.c", "the token begins with `Bearer `"),
            ("{\"access_token\":\"a.b.c\"}", "this is not a token, but text with one in it"),
            ("export VOUCHSAFE_TOKEN=a.b.c", "this is not a token, but text with one in it"),
            ("token.jwt", "`token.jwt` is neither a token nor a file"),
            ("./a.b", "`./a.b` is neither a token nor a file"),
            ("", "no token"),
        ] {
            let failure = read_token(argument).unwrap_err();
            assert_eq!((failure.code, failure.message.as_str()), (2, message));
            assert!(failure.hint.is_some(), "{argument}");
        }
        assert_eq!(read_token(" a.b.c\n").unwrap(), "a.b.c");
    }
}
