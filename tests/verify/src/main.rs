//! Verifies an issued token as an API owner would: discovery, JWKS, and the `jsonwebtoken` crate.
//!
//! It shares no code with the broker, so that the two can't agree on the same mistake. Entry point:
//! `vouchsafe-verify --broker URL --audience A < token`, which prints the decoded token and exits 0
//! only if it verifies.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a tool of developers may panic"
)]

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde_json::Value;
use std::io::{ErrorKind, Read as _, Write};
use std::time::Duration;

/// The header's `typ` of an access token (RFC 9068 §2.1).
const ACCESS_TOKEN_TYP: &str = "at+jwt";
/// Larger inputs and responses are rejected.
const DOCUMENT_BYTES_MAX: u64 = 256 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Verify a token from standard input with the `jsonwebtoken` crate, and print it decoded.
#[derive(Parser)]
struct Args {
    /// The broker's issuer URL.
    #[arg(long)]
    broker: String,
    /// The audience that the token must name.
    #[arg(long)]
    audience: String,
    /// The header's `typ` that the token must have.
    #[arg(long, default_value = ACCESS_TOKEN_TYP)]
    typ: String,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut token = String::new();
    std::io::stdin().take(DOCUMENT_BYTES_MAX).read_to_string(&mut token)?;
    let token = token.trim();
    let keys = published_keys(args.broker.trim_end_matches('/'))?;
    let (header, claims) = verify(token, &keys, &args)?;
    let text = serde_json::to_string_pretty(&serde_json::json!({ "header": header, "claims": claims }))?;
    print(std::io::stdout(), &text)
}

/// Prints a line. As `head` does, its reader may leave early.
fn print(mut output: impl Write, text: &str) -> Result<()> {
    match writeln!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// The keys behind the broker's `OpenID` discovery document.
fn published_keys(broker: &str) -> Result<JwkSet> {
    let metadata: Value = fetch(&format!("{broker}/.well-known/openid-configuration"))?;
    ensure!(metadata["issuer"] == broker, "the metadata names another issuer: {}", metadata["issuer"]);
    let jwks_uri = metadata["jwks_uri"].as_str().context("the metadata has no jwks_uri")?;
    Ok(serde_json::from_value(fetch(jwks_uri)?)?)
}

fn fetch(url: &str) -> Result<Value> {
    let agent = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).max_redirects(0).build().new_agent();
    let mut response = agent.get(url).call().with_context(|| format!("GET {url}"))?;
    let body = response.body_mut().with_config().limit(DOCUMENT_BYTES_MAX).read_to_vec()?;
    serde_json::from_slice(&body).with_context(|| format!("{url} did not return JSON"))
}

/// Checks signature, `typ`, `iss`, `aud`, `exp` and `nbf`; returns header and claims.
fn verify(token: &str, keys: &JwkSet, args: &Args) -> Result<(Header, Value)> {
    let header = jsonwebtoken::decode_header(token).context("not a JWT")?;
    ensure!(header.typ.as_deref() == Some(args.typ.as_str()), "`typ` is {:?}, not {}", header.typ, args.typ);
    let kid = header.kid.as_deref().context("the header has no `kid`")?;
    let key = keys.find(kid).with_context(|| format!("kid {kid} is not published"))?;
    let mut validation = Validation::new(algorithm(key, &header)?);
    validation.set_audience(&[&args.audience]);
    validation.set_issuer(&[args.broker.trim_end_matches('/')]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    validation.validate_nbf = true;
    validation.leeway = 0;
    let decoded = jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(key)?, &validation)?;
    ensure!(decoded.claims["jti"].is_string(), "the token has no `jti`");
    Ok((decoded.header, decoded.claims))
}

/// The algorithm of the published key, with which the token's own header must agree.
fn algorithm(key: &Jwk, header: &Header) -> Result<Algorithm> {
    let named = key.common.key_algorithm.context("the published key names no `alg`")?;
    let algorithm = named.to_string().parse::<Algorithm>()?;
    if algorithm != header.alg {
        bail!("the token says {:?}, its key {algorithm:?}", header.alg);
    }
    Ok(algorithm)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn reader_may_leave_but_disk_may_not_fill() {
        assert!(print(Failing(ErrorKind::BrokenPipe), "text").is_ok());
        let failed = print(Failing(ErrorKind::StorageFull), "text").expect_err("not printed");
        assert_eq!(failed.downcast_ref::<std::io::Error>().map(std::io::Error::kind), Some(ErrorKind::StorageFull));
    }
}
