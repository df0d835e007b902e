//! Issuers with TLS, through the built components: keys come only over connections whose certificate is valid, for the
//! issuer's host name, and from a trusted authority.

use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::bundle::{BROKER, IssuerFile};
use vouchsafe_harness::exchange::{Form, Want, check, unavailable};
use vouchsafe_harness::hsm::certificates;
use vouchsafe_harness::tls::TlsIssuer;
use vouchsafe_harness::{jwt, now};

/// A broker that trusts an issuer with `certificate`, and for its connection the authority `root`.
fn start(root: &str, certificate: &str) -> (TlsIssuer, Broker) {
    let issuer = TlsIssuer::start(certificate);
    let files = [IssuerFile::new("main", issuer.url(), "")];
    let root = certificates().join(root);
    let config = format!(
        "[[client_tls]]\ncomponent_ids = [\"broker\"]\nhosts = [\"localhost\"]\nca_roots_file = \"{}\"\n",
        root.display()
    );
    let broker = Setup::broker(&files, &[issuer.origin()]).runtime_config(&config).start();
    (issuer, broker)
}

/// Exchanges a token; the issuer is unavailable, and the host logs `why`.
#[track_caller]
fn rejects(root: &str, certificate: &str, why: &str) {
    let (issuer, broker) = start(root, certificate);
    let token = jwt::mint("RS256", &jwt::claims(&issuer.url(), BROKER, now()));
    let response = broker.send(&Form::of(&token).request());
    assert_eq!(response.status, 503, "{}", response.text());
    let (printed, line) = broker.printed_and_line("token");
    let expected = format!("serve: GET {}/.well-known/openid-configuration failed: {why}", issuer.url());
    assert!(printed.iter().any(|line| line.starts_with(&expected)), "{expected} is not in {printed:#?}");
    let start = format!("keys of issuer `main`: {}: ", issuer.origin());
    let cause = line["detail"].as_str().and_then(|detail| detail.strip_prefix(&start)).unwrap_or_default();
    assert!(cause.contains("certificate"), "{line}");
    let slug = "issuer.unavailable";
    // Remembered as failing: nothing is sent again at once.
    check(&broker, &Form::of(&token).request(), &token, unavailable(slug)).expect(slug);
    broker.assert_healthy();
}

#[test]
fn accepts_valid_issuer_certificate() {
    let (issuer, broker) = start("issuers-ca.pem", "issuers.pem");
    let token = jwt::mint("RS256", &jwt::claims(&issuer.url(), BROKER, now()));
    check(&broker, &Form::of(&token).request(), &token, Want::Issued).expect("issued");
    broker.assert_healthy();
}

#[test]
fn rejects_expired_issuer_certificate() {
    rejects("issuers-ca.pem", "issuers-expired.pem", "the server's certificate expired at 20");
}

#[test]
fn rejects_certificate_for_another_host() {
    rejects("issuers-ca.pem", "issuers-other.pem", "the server's certificate is not for `localhost`");
}

#[test]
fn rejects_certificate_from_unknown_authority() {
    let why = "the server's certificate is not signed by a known CA (hint: set ca_roots_file in a [[client_tls]] of the runtime config file)";
    rejects("ca.pem", "issuers.pem", why);
}
