//! The exchange on one screen: parse, verify, permit, issue, record, release.

use crate::audit::Audit;
use crate::client::{self, Presented};
use crate::client_address::ForwardedFor;
use crate::failure::Failure;
use crate::form::Form;
use crate::issued::{self, IssuedExchange, SignedExchange};
use crate::permitted;
use crate::ports::Ports;
use crate::proof;
use crate::refusal::RequestFault;
use crate::request::{Grant, UnverifiedExchange};
use crate::settings::Settings;
use crate::trace::Trace;
use crate::verified::{self, VerifiedExchange};
use std::net::IpAddr;
use vouchsafe_types::BundleInfo;

/// How an exchange ended, for the caller and for the log line.
pub struct Attempt {
    pub outcome: Result<IssuedExchange, Failure>,
    pub trace: Trace,
}

/// Exchanges the form in `body` for a token. `proofs` and `authorization` are the values of the headers `dpop` and
/// `authorization`; `forwarded_for` identifies the client's address.
pub async fn exchange<P: Ports>(
    ports: &P,
    body: &[u8],
    proofs: &[String],
    authorization: &[String],
    forwarded_for: &ForwardedFor,
) -> Attempt {
    let mut trace = Trace::start(ports);
    let outcome = run(ports, body, proofs, authorization, forwarded_for, &mut trace).await;
    Attempt { outcome, trace }
}

async fn run<P: Ports>(
    ports: &P,
    body: &[u8],
    proofs: &[String],
    authorization: &[String],
    forwarded_for: &ForwardedFor,
    trace: &mut Trace,
) -> Result<IssuedExchange, Failure> {
    let proof = proof::only(proofs)?;
    let mut form = Form::parse(body)?;
    trace.grant = Grant::of(&mut form)?;
    let presented = Presented::take(authorization, &mut form);
    let request = UnverifiedExchange::parse(trace.grant, form)?;
    let settings = ports.settings().await?;
    let client_ip = client_ip(forwarded_for, &settings)?;
    let bundle = ports.bundle(&settings).await?;
    client::check(ports, &settings, &bundle, presented).await?;
    trace.step(ports, "prepare");
    // ORDER: nothing is recorded before the token is verified, so anonymous traffic causes no disk writes.
    let verified = verified::verify(ports, &settings, &bundle, request, proof, trace).await;
    trace.step(ports, "verify");
    let verified = verified?;
    let mut audit = Audit::open(ports, &bundle, &verified)?;
    let signed = decide_and_sign(ports, &settings, &bundle, verified, client_ip, &mut audit, trace).await;
    audit.close(ports, signed, trace).await
}

async fn decide_and_sign<P: Ports>(
    ports: &P,
    settings: &Settings,
    bundle: &BundleInfo,
    verified: VerifiedExchange,
    client_ip: Option<IpAddr>,
    audit: &mut Audit,
    trace: &mut Trace,
) -> Result<SignedExchange, Failure> {
    let decided = permitted::decide(ports, bundle, verified, client_ip, trace);
    trace.step(ports, "decide");
    let decided = decided?;
    audit.note(decided.decision());
    let permitted = permitted::permit(decided)?;
    let signed = issued::consume_and_sign(ports, settings, &permitted, audit.decision_id(), trace).await;
    trace.step(ports, "sign");
    signed
}

/// INVARIANT: an undetermined address is refused. A client that could hide its address could choose which policies
/// apply to it.
fn client_ip(forwarded_for: &ForwardedFor, settings: &Settings) -> Result<Option<IpAddr>, Failure> {
    forwarded_for.client(&settings.trusted_proxies).map_err(|undetermined| Failure {
        refusal: RequestFault::ClientAddressUndetermined.into(),
        detail: undetermined.to_string(),
    })
}
