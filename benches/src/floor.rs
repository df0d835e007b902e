//! The floor: the work of an exchange in one native thread with the fastest crates available.
//!
//! Form, JWS and JSON with `form_urlencoded`, `base64` and `serde_json`; RS256 and ES256 with `aws-lc-rs` and keys
//! parsed beforehand; the same claim checks by hand; the same policies with `vouchsafe-policy`, which is Cedar. It
//! leaves out what only a server has: HTTP, the database, the log.

use crate::issuer::Issuer;
use crate::{AUDIENCE, BROKER, Outcome};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};
use vouchsafe_policy::{Attribute, AttributeValue, Bundle, Effect, Environment, Principal, TokenRequest, folder};
use vouchsafe_providers::github;

const LEEWAY_SECONDS: u64 = 30;
const TOKEN_AGE_SECONDS_MAX: u64 = 1800;
const LIFETIME_SECONDS: u64 = 300;

pub struct Floor {
    issuer_url: String,
    issuer_key: ParsedPublicKey,
    signing_key: EcdsaKeyPair,
    random: SystemRandom,
    bundle: Bundle,
}

struct Jws {
    input: String,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Floor {
    pub fn new(issuer: &Issuer, policies: &Path) -> Outcome<Self> {
        let files = folder::read(policies).map_err(|finding| finding.to_string())?;
        let environment = Environment { issuer: BROKER.to_owned(), development: true, epoch_seconds: 3600 };
        Ok(Self {
            issuer_url: issuer.url(),
            issuer_key: ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, issuer.public_key()?)?,
            signing_key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?,
            random: SystemRandom::new(),
            bundle: Bundle::load(&files, &environment).map_err(|error| error.to_string())?,
        })
    }

    /// Does all the work for one request body.
    pub fn exchange(&self, body: &str, now: u64) -> Outcome<String> {
        let (token, audience, scope) = form(body)?;
        let jws = jws(&token)?;
        self.check_signature(&jws)?;
        let (principal, subject) = self.principal(&jws, now)?;
        self.decide(principal, audience, &scope, now)?;
        self.issue(&subject, &scope, now)
    }

    fn check_signature(&self, jws: &Jws) -> Outcome<()> {
        self.issuer_key
            .verify_sig(jws.input.as_bytes(), &jws.signature)
            .map_err(|_| "the signature does not verify".into())
    }

    fn principal(&self, jws: &Jws, now: u64) -> Outcome<(Principal, String)> {
        let claims: Map<String, Value> = serde_json::from_slice(&jws.payload)?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let seconds = |name: &str| claims.get(name).and_then(Value::as_u64);
        let (iat, exp) = (seconds("iat").ok_or("iat")?, seconds("exp").ok_or("exp")?);
        let starts = seconds("nbf").unwrap_or(iat).max(iat);
        let sub = text("sub").filter(|sub| (1..=1024).contains(&sub.len()));
        let sub = sub.filter(|sub| !sub.chars().any(char::is_control));
        let valid = text("iss") == Some(&self.issuer_url)
            && text("aud") == Some(BROKER)
            && now < exp + LEEWAY_SECONDS
            && starts <= now + LEEWAY_SECONDS
            && now <= iat + TOKEN_AGE_SECONDS_MAX + LEEWAY_SECONDS
            && text("jti").is_some_and(|jti| jti.len() <= 256);
        if !valid {
            return Err("a claim is not valid".into());
        }
        let mut attributes = Vec::new();
        for claim in github::CLAIMS {
            match text(&claim.name) {
                Some(value) => attributes
                    .push(Attribute { name: claim.name.to_string(), value: AttributeValue::Text(value.to_owned()) }),
                None if claim.required => return Err("a claim is missing".into()),
                None => {}
            }
        }
        let sub = sub.ok_or("sub")?.to_owned();
        let principal = Principal {
            entity_type: github::ENTITY_TYPE.to_owned(),
            id: sub.clone(),
            issuer_name: "dev".to_owned(),
            attributes,
        };
        Ok((principal, format!("dev:{sub}")))
    }

    fn decide(&self, principal: Principal, audience: String, scope: &str, now: u64) -> Outcome<String> {
        let request = TokenRequest {
            audience,
            scopes: scope.split(' ').map(str::to_owned).collect(),
            requested_lifetime_seconds: LIFETIME_SECONDS,
            client_ip: None,
            proof_of_possession: false,
        };
        let decision = self.bundle.decide(&principal, &request, now)?;
        match decision.effect {
            Effect::Permit => Ok(decision.cedar_request),
            Effect::Deny => Err("policy denies the benchmark's request".into()),
        }
    }

    /// Signs the claims and writes the response's JSON.
    fn issue(&self, subject: &str, scope: &str, now: u64) -> Outcome<String> {
        let mut id = [0; 16];
        self.random.fill(&mut id)?;
        let header = json!({"alg": "ES256", "kid": "0123456789abcdef", "typ": "at+jwt"});
        let claims = json!({
            "iss": BROKER, "sub": subject, "client_id": subject, "aud": AUDIENCE, "iat": now,
            "nbf": now - 5, "exp": now + LIFETIME_SECONDS, "jti": URL_SAFE_NO_PAD.encode(id),
            "scope": scope,
        });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.signing_key.sign(&self.random, input.as_bytes())?;
        let jwt = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
        Ok(json!({
            "access_token": jwt, "token_type": "Bearer", "expires_in": LIFETIME_SECONDS,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "scope": scope,
        })
        .to_string())
    }

    /// Measures CPU time in microseconds of the whole and of each part, for `bodies` in turn.
    pub fn measure(&self, bodies: &[String], now: u64, lasting: Duration) -> Outcome<Measured> {
        let whole_us = timed(bodies, lasting, |body| self.exchange(body, now))?;
        let each = lasting / 4;
        let jws_us = timed(bodies, each, |body| jws(&form(body)?.0))?;
        let parsed: Vec<_> = bodies.iter().map(|body| jws(&form(body)?.0)).collect::<Outcome<_>>()?;
        let verify_us = timed(&parsed, each, |jws| self.check_signature(jws))?;
        let claims_us = timed(&parsed, each, |jws| self.principal(jws, now))?;
        let principals: Vec<_> = parsed.iter().map(|jws| Ok(self.principal(jws, now)?.0)).collect::<Outcome<_>>()?;
        let decide_us =
            timed(&principals, each, |principal| self.decide(principal.clone(), AUDIENCE.to_owned(), "read", now))?;
        let issue_us = timed(bodies, each, |_| self.issue("dev:subject", "read", now))?;
        Ok(Measured {
            whole_us,
            parts_us: vec![
                ("parse form and JWS", jws_us),
                ("verify RS256", verify_us),
                ("check claims", claims_us),
                ("decide with Cedar", decide_us),
                ("sign ES256, write JSON", issue_us),
            ],
        })
    }
}

pub struct Measured {
    pub whole_us: f64,
    pub parts_us: Vec<(&'static str, f64)>,
}

fn form(body: &str) -> Outcome<(String, String, String)> {
    let (mut token, mut audience, mut scope) = (None, None, None);
    for (name, value) in form_urlencoded::parse(body.as_bytes()) {
        match name.as_ref() {
            "subject_token" => token = Some(value.into_owned()),
            "audience" => audience = Some(value.into_owned()),
            "scope" => scope = Some(value.into_owned()),
            _ => {}
        }
    }
    let missing = "a parameter is missing";
    Ok((token.ok_or(missing)?, audience.ok_or(missing)?, scope.ok_or(missing)?))
}

fn jws(token: &str) -> Outcome<Jws> {
    let framing = "not three parts";
    let (input, signature) = token.rsplit_once('.').ok_or(framing)?;
    let (header, payload) = input.split_once('.').ok_or(framing)?;
    let header: Map<String, Value> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header)?)?;
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    let plain = text("typ") == Some("JWT") && !header.contains_key("crit");
    if text("alg") != Some("RS256") || text("kid").is_none() || !plain {
        return Err("unexpected header".into());
    }
    Ok(Jws {
        input: input.to_owned(),
        payload: URL_SAFE_NO_PAD.decode(payload)?,
        signature: URL_SAFE_NO_PAD.decode(signature)?,
    })
}

/// Mean CPU time, in microseconds, that `work` takes for one of `inputs`.
fn timed<I, T>(inputs: &[I], lasting: Duration, work: impl Fn(&I) -> Outcome<T>) -> Outcome<f64> {
    let (start, start_cpu) = (Instant::now(), thread_cpu()?);
    let mut count = 0_u32;
    for input in inputs.iter().cycle() {
        black_box(work(black_box(input))?);
        count += 1;
        // The clock is read rarely, so that it costs nothing.
        if count % 64 == 0 && start.elapsed() >= lasting {
            break;
        }
    }
    let took = thread_cpu()?.saturating_sub(start_cpu);
    Ok(took.as_secs_f64() * 1e6 / f64::from(count))
}

/// CPU time of this thread, which other load on the machine doesn't increase.
fn thread_cpu() -> Outcome<Duration> {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = schedule.split(' ').next().unwrap_or_default();
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}
