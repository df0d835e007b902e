//! Issuers with TLS, through the built components: keys come only over connections whose certificate is valid, for the
//! issuer's host name, and from a trusted authority.

use vouchsafe_harness::broker::Setup;
use vouchsafe_harness::bundle::{BROKER, IssuerFile};
use vouchsafe_harness::exchange::{Form, Want, check_answer, unavailable};
use vouchsafe_harness::hsm::certificates;
use vouchsafe_harness::tls::TlsIssuer;
use vouchsafe_harness::{jwt, now};

/// Exchanges a token of an issuer that serves with `certificate`, where the authority `root` is trusted. A refusal's
/// detail names the server.
#[track_caller]
fn exchange(root: &str, certificate: &str, want: Want) {
    let issuer = TlsIssuer::start(certificate);
    let files = [IssuerFile::new("main", issuer.url(), "")];
    let setup = Setup::broker(&files, &[issuer.origin()]);
    let config = format!(
        "[[client_tls]]\ncomponent_ids = [\"broker\"]\nhosts = [\"localhost\"]\nca_roots_file = \"{}\"\n",
        certificates().join(root).display()
    );
    let file = setup.folder.join("runtime.toml");
    std::fs::write(&file, config).expect("a file");
    let broker = setup.argument("--runtime-config-file").argument(file.display().to_string()).start();
    let token = jwt::mint("RS256", &jwt::claims(&issuer.url(), BROKER, now()));
    let response = broker.send(&Form::of(&token).request());
    let line = broker.line("token");
    if let Err(failure) = check_answer(&response, Some(&line), false, want) {
        panic!("{certificate}: {failure}");
    }
    if want != Want::Issued {
        let detail = line["detail"].as_str().unwrap_or_default();
        let start = format!("keys of issuer `main`: {}: ", issuer.origin());
        let cause = detail.strip_prefix(&start).unwrap_or_default();
        assert!(cause.contains("certificate"), "{certificate}: {detail}");
    }
    broker.assert_healthy();
}

const UNAVAILABLE: Want = unavailable("issuer.unavailable");

#[test]
fn accepts_valid_issuer_certificate() {
    exchange("issuers-ca.pem", "issuers.pem", Want::Issued);
}

#[test]
fn rejects_expired_issuer_certificate() {
    exchange("issuers-ca.pem", "issuers-expired.pem", UNAVAILABLE);
}

#[test]
fn rejects_certificate_for_another_host() {
    exchange("issuers-ca.pem", "issuers-other.pem", UNAVAILABLE);
}

#[test]
fn rejects_certificate_from_unknown_authority() {
    exchange("ca.pem", "issuers.pem", UNAVAILABLE);
}
