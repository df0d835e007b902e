//! RS256 tokens shaped like GitHub's, and the requests that present them.

use crate::{BROKER, Outcome};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use vouchsafe_harness::exchange::{FORM, Form, TYPE_ID};
use vouchsafe_harness::issuer::{self, Script};
use vouchsafe_harness::keys::Key;
use vouchsafe_harness::{jwt, now};

const REALM: &str = "bench";
const ALGORITHM: &str = "RS256";
/// Algorithms of the issuer's keys; each is the `kid` of its key.
pub const ALGORITHMS: [&str; 3] = ["RS256", "ES256", "EdDSA"];
/// Longer than a whole run.
const TOKEN_SECONDS: u64 = 1500;

/// What a token says and how it is signed.
#[derive(Clone, Copy)]
pub enum Shape {
    /// All claims of a job of github.com, signed with this algorithm.
    Whole(&'static str),
    /// Only the claims without which the provider refuses a token.
    Required,
    /// All claims, and this many unknown ones.
    More(usize),
}

/// An issuer with a key for each algorithm, which counts the requests for its documents.
pub struct Issuer {
    server: issuer::Issuer,
    keys: Vec<Key>,
    minted: AtomicU64,
}

impl Issuer {
    /// Serves its key set on a free port until the process ends.
    pub fn start() -> Self {
        let keys = Script::Keys(Script::keys(&ALGORITHMS));
        let server = issuer::Issuer::start([(REALM, keys)]);
        Self { server, keys: ALGORITHMS.map(Key::issuer).into(), minted: AtomicU64::new(0) }
    }

    pub fn url(&self) -> String {
        self.server.url(REALM)
    }

    /// Scheme and authority of its URL.
    pub fn origin(&self) -> String {
        self.server.origin()
    }

    /// The public key as RSAPublicKey in DER.
    pub fn public_key(&self) -> Outcome<Vec<u8>> {
        let encodings = self.key(ALGORITHM).public_encodings(ALGORITHM);
        let raw = encodings.into_iter().find(|(name, _)| *name == "raw");
        Ok(raw.ok_or("no public key")?.1)
    }

    /// Requests for any document so far.
    pub fn fetches(&self) -> usize {
        self.server.fetches_total()
    }

    /// HTTP requests for exchanges, each with a token whose `kid` is in no key set.
    pub fn requests_with_unknown_keys(&self, count: usize) -> Vec<Vec<u8>> {
        let now = now();
        (0..count).map(|number| request("/token", &body(&self.mint_as(&format!("unknown-{number}"), now)))).collect()
    }

    /// HTTP requests for exchanges, each with a token of its own.
    pub fn requests(&self, count: usize) -> Outcome<Vec<Vec<u8>>> {
        Ok(self.requests_of(&self.tokens(count)?, "/token", ""))
    }

    /// HTTP requests for exchanges of `tokens` at `path`, with `more` in the form.
    pub fn requests_of(&self, tokens: &[String], path: &str, more: &str) -> Vec<Vec<u8>> {
        tokens.iter().map(|token| request(path, &format!("{}{more}", body(token)))).collect()
    }

    /// Distinct tokens.
    pub fn tokens(&self, count: usize) -> Outcome<Vec<String>> {
        self.tokens_of(Shape::Whole(ALGORITHM), count)
    }

    /// Distinct tokens of this shape.
    pub fn tokens_of(&self, shape: Shape, count: usize) -> Outcome<Vec<String>> {
        let now = now();
        let half = count.div_ceil(2);
        let batch = |count| -> Vec<_> { (0..count).map(|_| self.mint_shape(shape, now)).collect() };
        std::thread::scope(|scope| {
            let second = scope.spawn(|| batch(count - half));
            let mut all = batch(half);
            all.extend(second.join().map_err(|_| "minting failed")?);
            Ok(all)
        })
    }

    /// One token.
    pub fn mint(&self, now: u64) -> String {
        self.mint_as(ALGORITHM, now)
    }

    fn mint_as(&self, kid: &str, now: u64) -> String {
        self.sign(ALGORITHM, kid, &self.claims(now))
    }

    fn mint_shape(&self, shape: Shape, now: u64) -> String {
        let mut claims = self.claims(now);
        let algorithm = match shape {
            Shape::Whole(algorithm) => algorithm,
            Shape::Required | Shape::More(_) => ALGORITHM,
        };
        if let Some(members) = claims.as_object_mut() {
            match shape {
                Shape::Whole(_) => {}
                Shape::Required => members.retain(|name, _| REQUIRED.contains(&name.as_str())),
                Shape::More(count) => {
                    members.extend((0..count).map(|at| (format!("unknown_{at}"), json!("value of an unknown claim"))));
                }
            }
        }
        self.sign(algorithm, algorithm, &claims)
    }

    fn claims(&self, now: u64) -> Value {
        claims(&self.url(), now, self.minted.fetch_add(1, Ordering::Relaxed))
    }

    fn sign(&self, algorithm: &str, kid: &str, claims: &Value) -> String {
        let header = json!({"alg": algorithm, "kid": kid, "typ": "JWT"}).to_string();
        jwt::mint_raw(self.key(algorithm), header, claims.to_string())
    }

    fn key(&self, algorithm: &str) -> &Key {
        let at = ALGORITHMS.iter().position(|known| *known == algorithm);
        &self.keys[at.unwrap_or_default()]
    }
}

/// Claims that every token has, or that the provider `github` requires.
const REQUIRED: [&str; 16] = [
    "actor",
    "aud",
    "event_name",
    "exp",
    "iat",
    "iss",
    "jti",
    "nbf",
    "ref",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "run_id",
    "sub",
    "workflow",
];

/// The form of an exchange.
pub fn body(token: &str) -> String {
    Form::of(token).set("subject_token_type", TYPE_ID).and("scope", "read").body()
}

fn request(path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: broker\r\ncontent-type: {FORM}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// All claims of a job of github.com.
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
