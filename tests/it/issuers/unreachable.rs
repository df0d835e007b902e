//! What the host logs and counts when an issuer can't be reached.

use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::bundle::{BROKER, IssuerFile};
use vouchsafe_harness::exchange::Form;
use vouchsafe_harness::http::{self, Request};
use vouchsafe_harness::issuer::{Issuer, Script};
use vouchsafe_harness::{jwt, now};

/// A broker that trusts the issuer `url`, may reach `allowed`, and has the runtime config `config`.
fn start(url: &str, allowed: &str, config: &str) -> (Broker, String) {
    let files = [IssuerFile::new("main", url, "")];
    let setup = Setup::broker(&files, &[allowed.to_owned()]).runtime_config(config);
    let (setup, metrics) = setup.with_metrics();
    (setup.start(), metrics)
}

/// Exchanges a token of the issuer `url`. The host logs one line, which begins with `why` after the URL, and counts one
/// request with `cause`.
#[track_caller]
fn check(url: &str, allowed: &str, config: &str, why: &str, cause: &str) {
    let (broker, metrics) = start(url, allowed, config);
    let token = jwt::mint("RS256", &jwt::claims(url, BROKER, now()));
    let response = broker.send(&Form::of(&token).request());
    assert_eq!(response.status, 503, "{}", response.text());
    let printed = broker.printed_before("token");
    let failed: Vec<_> = printed.iter().filter_map(|line| line.strip_prefix("serve: GET ")).collect();
    let expected = format!("{url}/.well-known/openid-configuration failed: {why}");
    assert!(failed.len() == 1 && failed[0].starts_with(&expected), "{expected} is not in {failed:#?}");
    let text = http::send(&metrics, &Request::get("/metrics")).expect("metrics").text();
    let counted: Vec<_> = text.lines().filter(|line| line.starts_with("vouchsafe_outbound_total{")).collect();
    let expected = format!(",cause=\"{cause}\"}} 1");
    assert!(counted.len() == 1 && counted[0].ends_with(&expected), "{expected} is not in {counted:#?}");
    broker.assert_healthy();
}

#[test]
fn names_host_missing_from_manifest() {
    let why =
        "`http://127.0.0.1:1` is not among the allowed hosts (hint: add it to allowed_outbound_hosts of the manifest)";
    check("http://127.0.0.1:1/a", "https://other.example", "", why, "host_not_allowed");
}

#[test]
fn names_blocked_address_and_its_setting() {
    for (networks, entry) in [("\"private\"", "private"), ("\"10.0.0.0/8\", \"127.0.0.0/8\"", "127.0.0.0/8")] {
        let config = format!("[outbound_networking]\nblock_networks = [{networks}]\n");
        let why = format!(
            "the address 127.0.0.1 is in the blocked network `{entry}` (hint: change block_networks in the runtime config file)"
        );
        check("http://127.0.0.1:1/a", "http://127.0.0.1:1", &config, &why, "network_blocked");
    }
}

#[test]
fn reports_refused_connection() {
    let why = "cannot connect to 127.0.0.1:1: Connection refused";
    check("http://127.0.0.1:1/a", "http://127.0.0.1:1", "", why, "connection_refused");
}

#[test]
fn reports_issuer_that_never_answers() {
    let issuer = Issuer::start([("silent", Script::Silent)]);
    check(&issuer.url("silent"), &issuer.origin(), "", "no complete answer within ", "answer_timeout");
}

#[test]
fn reports_connection_without_answer() {
    let issuer = Issuer::start([("reset", Script::Reset)]);
    check(&issuer.url("reset"), &issuer.origin(), "", "the connection failed: ", "interrupted");
}
