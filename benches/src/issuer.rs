//! An issuer of RS256 tokens shaped like GitHub's, and its JWK Set on loopback.

use crate::{AUDIENCE, BROKER, Outcome};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

const KID: &str = "bench";
/// Longer than a whole run.
const TOKEN_SECONDS: u64 = 1500;
/// DER of an RSAPublicKey with 2048 bits and the exponent 65537, around the modulus.
const PUBLIC_KEY_HEAD: [u8; 9] = [0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00];
const PUBLIC_KEY_TAIL: [u8; 5] = [0x02, 0x03, 0x01, 0x00, 0x01];

pub struct Issuer {
    key: RsaKeyPair,
    pub url: String,
    minted: AtomicU64,
    fetched: Arc<AtomicUsize>,
}

impl Issuer {
    /// Makes a key and serves its JWK Set on a free port until the process ends.
    pub fn start() -> Outcome<Self> {
        let key = RsaKeyPair::generate(KeySize::Rsa2048)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let jwks = jwks(&key)?;
        let discovery = json!({"issuer": url, "jwks_uri": format!("{url}/jwks")});
        let fetched = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&fetched);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counter.fetch_add(1, Ordering::Relaxed);
                // A client that hung up needs no answer.
                let _ = answer(&stream, &discovery, &jwks);
            }
        });
        Ok(Self {
            key,
            url,
            minted: AtomicU64::new(0),
            fetched,
        })
    }

    /// RSAPublicKey in DER.
    pub fn public_key(&self) -> Vec<u8> {
        self.key.public_key().as_ref().to_vec()
    }

    /// Requests for any document so far.
    pub fn fetched(&self) -> usize {
        self.fetched.load(Ordering::Relaxed)
    }

    /// HTTP requests for exchanges, each with a token whose `kid` nobody knows.
    pub fn requests_of_unknown_keys(&self, count: usize) -> Outcome<Vec<Vec<u8>>> {
        let now = unix_seconds();
        (0..count)
            .map(|number| {
                let token = self.mint_as(&format!("unknown-{number}"), now)?;
                Ok(request(&body(&token)))
            })
            .collect()
    }

    /// HTTP requests for exchanges, each with a token of its own, in form encoding.
    pub fn requests(&self, count: usize) -> Outcome<Vec<Vec<u8>>> {
        let now = unix_seconds();
        let half = count.div_ceil(2);
        std::thread::scope(|scope| {
            let second = scope.spawn(|| self.batch(count - half, now));
            let mut all = self.batch(half, now)?;
            all.extend(second.join().map_err(|_| "minting failed")??);
            Ok(all)
        })
    }

    fn batch(&self, count: usize, now: u64) -> Outcome<Vec<Vec<u8>>> {
        (0..count)
            .map(|_| Ok(request(&body(&self.mint(now)?))))
            .collect()
    }

    /// One token.
    pub fn mint(&self, now: u64) -> Outcome<String> {
        self.mint_as(KID, now)
    }

    fn mint_as(&self, kid: &str, now: u64) -> Outcome<String> {
        let number = self.minted.fetch_add(1, Ordering::Relaxed);
        let header = json!({"alg": "RS256", "kid": kid, "typ": "JWT"});
        let claims = claims(&self.url, now, number);
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", encode(&header), encode(&claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            input.as_bytes(),
            &mut signature,
        )?;
        Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

pub fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// The form of an exchange.
pub fn body(token: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair(
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        )
        .append_pair(
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:id_token",
        )
        .append_pair("audience", AUDIENCE)
        .append_pair("scope", "read")
        .append_pair("subject_token", token)
        .finish()
}

fn request(body: &str) -> Vec<u8> {
    format!(
        "POST /token HTTP/1.1\r\nhost: broker\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn jwks(key: &RsaKeyPair) -> Outcome<Value> {
    let modulus = key
        .public_key()
        .as_ref()
        .strip_prefix(&PUBLIC_KEY_HEAD)
        .and_then(|rest| rest.strip_suffix(&PUBLIC_KEY_TAIL))
        .ok_or("the public key is not in the expected form")?;
    Ok(json!({"keys": [{
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KID,
        "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB",
    }]}))
}

fn answer(mut stream: &TcpStream, discovery: &Value, jwks: &Value) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let document = if first.contains(" /jwks ") {
        jwks
    } else {
        discovery
    };
    let document = document.to_string();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{document}",
        document.len()
    )
}

/// Everything that a job of github.com sends.
fn claims(issuer: &str, now: u64, number: u64) -> Value {
    json!({
        "iss": issuer,
        "aud": BROKER,
        "sub": "repo:octo-org/octo-repo:ref:refs/heads/main",
        "jti": format!("{now}-{number:012}"),
        "iat": now,
        "nbf": now,
        "exp": now + TOKEN_SECONDS,
        "actor": "octocat",
        "actor_id": "583231",
        "base_ref": "",
        "event_name": "push",
        "head_ref": "",
        "job_workflow_ref": "octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main",
        "job_workflow_sha": "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d",
        "ref": "refs/heads/main",
        "ref_protected": "true",
        "ref_type": "branch",
        "repository": "octo-org/octo-repo",
        "repository_id": "123456",
        "repository_owner": "octo-org",
        "repository_owner_id": "654321",
        "repository_visibility": "private",
        "run_attempt": "1",
        "run_id": "1700000001",
        "run_number": "42",
        "runner_environment": "github-hosted",
        "sha": "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d",
        "workflow": "deploy",
        "workflow_ref": "octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main",
        "workflow_sha": "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d",
    })
}
