//! The request that claims or a token describe.

use super::args::{Args, SubjectArgs};
use super::question::{ONLY_DECODED, Question, limits};
use crate::commands::policy::output::parse_moment;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::io::Read;
use std::path::Path;
use vouchsafe_cli::{Failure, clock};
use vouchsafe_json::{Json, JsonObject};
use vouchsafe_policy::{Audience, Bundle, Issuer, TokenRequest};
use vouchsafe_policy_tools::{RecordedRequest, principal_of_claims};
use vouchsafe_providers::spiffe::SpiffeId;

pub(super) fn of_claims(args: &Args, bundle: &Bundle) -> Result<Question, Failure> {
    let claims = args.subject.claims()?;
    let issuer = issuer(args.issuer_name.as_deref(), args.environment.development, bundle, &claims)?;
    let audience = audience(args, bundle)?;
    let now = match &args.at {
        None => clock::unix_seconds()?,
        Some(text) => parse_moment(text)?,
    };
    let principal = principal_of_claims(issuer, &claims)
        .map_err(|error| Failure::refused(format!("the broker would refuse the token: {error}")))?;
    let request = TokenRequest {
        audience: audience.id.clone(),
        scopes: args.scopes.clone(),
        requested_lifetime_seconds: args.requested_expires_in.unwrap_or(audience.default_lifetime_seconds),
        client_ip: args.ip.clone(),
        proof_of_possession: args.proof_of_possession,
    };
    let mut notes = Vec::new();
    if args.subject.token.is_some() {
        notes.push(ONLY_DECODED.to_owned());
    }
    let refusals = refusals(&claims, issuer, audience, &request, now);
    let refused = !refusals.is_empty();
    notes.extend(refusals);
    let asked = RecordedRequest { principal, actor: None, request, now };
    Ok(Question { asked, notes, refused })
}

impl SubjectArgs {
    /// The claims, parsed as strictly as in the broker.
    fn claims(&self) -> Result<JsonObject, Failure> {
        match (&self.token, &self.claims) {
            (Some(path), _) => parse(path, &decode(&read(path)?)?),
            (None, Some(path)) => parse(path, &read(path)?),
            (None, None) => Err(Failure::usage("missing `--token`, `--claims`, `--case` or `--decision`")),
        }
    }
}

/// The principal that the claims in a file describe.
#[cfg(feature = "proofs")]
pub fn principal(
    path: &Path,
    issuer_name: Option<&str>,
    bundle: &Bundle,
) -> Result<vouchsafe_policy::Principal, Failure> {
    let claims = parse(path, &read(path)?)?;
    let issuer = issuer(issuer_name, false, bundle, &claims)?;
    principal_of_claims(issuer, &claims)
        .map_err(|error| Failure::refused(format!("the broker would refuse the token: {error}")))
}

fn parse(path: &Path, text: &str) -> Result<JsonObject, Failure> {
    JsonObject::parse(text.as_bytes())
        .map_err(|error| Failure::usage(format!("`{}` does not contain claims: {error}", path.display())))
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| Failure::usage(format!("cannot read `{}`: {error}", path.display())))?;
    Ok(text)
}

/// The unverified payload of a compact JWS (RFC 7515 §7.1).
fn decode(token: &str) -> Result<String, Failure> {
    let not_a_jwt = || Failure::usage("the token is not a compact JWT");
    let mut parts = token.trim().split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(not_a_jwt());
    };
    let bytes = URL_SAFE_NO_PAD.decode(payload).map_err(|_| not_a_jwt())?;
    String::from_utf8(bytes).map_err(|_| not_a_jwt())
}

fn issuer<'a>(
    issuer_name: Option<&str>,
    development: bool,
    bundle: &'a Bundle,
    claims: &JsonObject,
) -> Result<&'a Issuer, Failure> {
    let iss = claims.get("iss").and_then(Json::as_text);
    // Like the broker: `iss` first, then the trust domain of a SPIFFE ID.
    let sub = claims.get("sub").and_then(Json::as_text);
    let trust_domain = sub.and_then(|sub| SpiffeId::parse(sub).ok()).map(SpiffeId::issuer);
    let iss = match (iss, &trust_domain) {
        (Some(iss), Some(domain)) if bundle.issuer(iss).is_none() => {
            bundle.issuer(domain).map_or(Some(iss), |_| Some(domain.as_str()))
        }
        (None, Some(domain)) => Some(domain.as_str()),
        (iss, _) => iss,
    };
    let (found, asked) = match (issuer_name, iss) {
        (Some(name), _) => (bundle.issuers().find(|issuer| issuer.name == name), name),
        (None, Some(iss)) => (bundle.issuer(iss), iss),
        (None, None) => {
            return Err(Failure::usage("the claims have no `iss`").hint("add `--issuer-name NAME`"));
        }
    };
    found.ok_or_else(|| {
        let failure = Failure::refused(format!("the bundle does not trust issuer `{asked}`"));
        let mut left_out = bundle.issuers_of_all_environments().filter(|issuer| !development && issuer.development);
        match left_out.any(|issuer| issuer.issuer == asked || issuer.name == asked) {
            true => failure.hint("it is marked `development = true`; add `--development`"),
            false => {
                let known: Vec<String> =
                    bundle.issuers().map(|issuer| format!("`{}` ({})", issuer.name, issuer.issuer)).collect();
                let others = match bundle.issuers_of_all_environments().count() > known.len() {
                    true => "; `--development` adds development issuers",
                    false => "",
                };
                match known.as_slice() {
                    [] => failure.hint(format!("it trusts no issuers{others}")),
                    known => failure.hint(format!("it trusts {}{others}", known.join(", "))),
                }
            }
        }
    })
}

fn audience<'a>(args: &Args, bundle: &'a Bundle) -> Result<&'a Audience, Failure> {
    let asked = args.audience.as_deref().unwrap_or_default();
    bundle.audience(asked).ok_or_else(|| {
        let known: Vec<String> = bundle.audiences().map(|audience| format!("`{}`", audience.id)).collect();
        Failure::refused(format!("the bundle has no audience `{asked}`")).hint(format!("it has {}", known.join(", ")))
    })
}

/// Reasons for which the broker would refuse the request before evaluating policies.
fn refusals(
    claims: &JsonObject,
    issuer: &Issuer,
    audience: &Audience,
    request: &TokenRequest,
    now: u64,
) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(aud) = claims.get("aud")
        && !aud
            .as_array()
            .and_then(|only| if let [aud] = only { Some(aud) } else { None })
            .unwrap_or(aud)
            .as_text()
            .is_some_and(|aud| issuer.audiences.iter().any(|known| known == aud))
    {
        let accepted = issuer.audiences.join("`, `");
        notes.push(format!("the broker would refuse the token: its `aud` is not `{accepted}`"));
    }
    let expired = match claims.get("exp") {
        Some(Json::Integer(exp)) => i128::from(now) >= exp + i128::from(issuer.leeway_seconds),
        _ => false,
    };
    if expired {
        notes.push("the broker would refuse the token: it has expired".to_owned());
    }
    notes.extend(limits(audience, request));
    notes
}
