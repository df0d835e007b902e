//! The client address that policies see, through the whole broker, whatever clients and proxies write into headers.

use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::exchange::{Form, Want, check, refused};
use vouchsafe_harness::issuer::{Issuer, Script};
use vouchsafe_harness::{jwt, now};

/// Denies everyone who is not known to come from this network.
const RULE: &str = "@id(\"from-the-office\")\nforbid (principal, action, resource)\n\
    unless { context has client_ip && context.client_ip.isInRange(ip(\"192.0.2.0/24\")) };\n";

/// Denies this network; if the address is unknown, the condition is false.
const DENY_LIST: &str = "@id(\"not-from-there\")\nforbid (principal, action, resource)\n\
    when { context has client_ip && context.client_ip.isInRange(ip(\"203.0.113.0/24\")) };\n";

const UNDETERMINED: Want = refused(400, "invalid_request", "request.client_address_undetermined");
const DENIED: Want = refused(400, "invalid_target", "policy.denied");

/// The outcomes that these cases reach.
pub fn wants() -> Vec<Want> {
    vec![UNDETERMINED, DENIED]
}

struct Office {
    broker: Broker,
    issuer: Issuer,
}

impl Office {
    /// Starts a broker behind the proxies in `trusted`; the tests' own address is 127.0.0.1.
    fn behind(trusted: &str, rule: &str) -> Self {
        Self::behind_writing(trusted, "", rule)
    }

    /// Starts a broker behind proxies that write `header`.
    fn behind_writing(trusted: &str, header: &str, rule: &str) -> Self {
        let issuer = Issuer::start([("main", Script::honest()), ("other", Script::honest())]);
        let setup = Setup::trusting(&issuer);
        let path = setup.folder.join("policies/rules/office.cedar");
        std::fs::write(path, rule).expect("a rule");
        let setup = setup.variable("trusted_proxies", trusted);
        let broker = setup.variable("forwarded_header", header).start();
        Self { broker, issuer }
    }

    fn ask(&self, headers: &[(&str, &str)], want: Want) {
        let claims = self.issuer.claims(now());
        let token = jwt::mint("RS256", &claims);
        let request = Form::of(&token).request();
        let request = headers.iter().fold(request, |request, (name, value)| request.with(name, value));
        if let Err(failure) = check(&self.broker, &request, &token, want) {
            panic!("{headers:?}: {failure}");
        }
    }
}

#[test]
fn trusts_proxy_for_the_address_it_saw() {
    let office = Office::behind("127.0.0.1 10.0.0.0/8", RULE);
    for (name, value) in [
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-for", "6.6.6.6, 192.0.2.7:443, 10.1.1.1"),
        ("x-forwarded-for", "::ffff:192.0.2.7"),
        ("forwarded", "for=6.6.6.6, for=\"192.0.2.7:443\";proto=https"),
    ] {
        office.ask(&[(name, value)], Want::Issued);
    }
    office.ask(&[("x-forwarded-for", "192.0.2.7, 6.6.6.6")], DENIED);
    let split = [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-for", "6.6.6.6")];
    office.ask(&split, DENIED);
    office.broker.assert_healthy();
}

#[test]
fn rejects_undetermined_client_address() {
    let office = Office::behind("127.0.0.1 10.0.0.0/8", RULE);
    for headers in [
        &[][..],
        &[("x-forwarded-for", "192.0.2.7, garbage")],
        &[("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=192.0.2.7")],
        &[("forwarded", "for=192.0.2.7;x=\", for=6.6.6.6")],
        // The host's own header comes last, whatever a client sends.
        &[("spin-client-addr", "192.0.2.7:443")],
    ] {
        office.ask(headers, UNDETERMINED);
    }
    office.broker.assert_healthy();
}

/// A client behind a proxy that appends to `x-forwarded-for` adds the other header.
#[test]
fn denies_listed_client_despite_forged_headers() {
    let listed = ("x-forwarded-for", "203.0.113.9");
    let added = ("forwarded", "for=192.0.2.1");
    let office = Office::behind("127.0.0.1", DENY_LIST);
    office.ask(&[("x-forwarded-for", "192.0.2.7")], Want::Issued);
    office.ask(&[listed], DENIED);
    office.ask(&[listed, added], UNDETERMINED);
    // With the header configured, the other one is ignored.
    let office = Office::behind_writing("127.0.0.1", "x-forwarded-for", DENY_LIST);
    office.ask(&[listed, added], DENIED);
    office.ask(&[("x-forwarded-for", "192.0.2.7"), added], Want::Issued);
    office.ask(&[added], UNDETERMINED);
    let office = Office::behind_writing("127.0.0.1", "forwarded", DENY_LIST);
    office.ask(&[listed, added], Want::Issued);
    office.ask(&[("forwarded", "for=203.0.113.9")], DENIED);
}

#[test]
fn ignores_headers_of_untrusted_peers() {
    let forged =
        [("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=192.0.2.7"), ("spin-client-addr", "192.0.2.7:443")];
    for trusted in ["", "10.0.0.0/8"] {
        let office = Office::behind(trusted, RULE);
        for header in forged {
            office.ask(&[header], DENIED);
        }
    }
    // A direct client is identified by its peer address once the proxies are configured.
    let here = RULE.replace("192.0.2.0/24", "127.0.0.0/8");
    Office::behind("10.0.0.0/8", &here).ask(&forged, Want::Issued);
    Office::behind("", &here).ask(&[], DENIED);
}

#[test]
fn does_not_start_with_invalid_proxy_settings() {
    let issuer = Issuer::start([("main", Script::honest()), ("other", Script::honest())]);
    for (name, value, detail) in [
        ("trusted_proxies", "10.0.0.1/8", "`trusted_proxies`: expected IP addresses or networks such as `10.0.0.0/8`"),
        ("forwarded_header", "x-real-ip", "`forwarded_header`: expected `forwarded` or `x-forwarded-for`"),
    ] {
        let setup = Setup::trusting(&issuer);
        let refused = setup.variable(name, value).try_start();
        let said = refused.err().expect("it does not start");
        assert!(said.contains(detail), "{said}");
    }
}
