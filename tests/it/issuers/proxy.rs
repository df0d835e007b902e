//! Issuers that are reached only through an HTTP proxy. The issuer's name exists only for the proxy.

use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::bundle::{BROKER, IssuerFile};
use vouchsafe_harness::exchange::{Form, Want, check};
use vouchsafe_harness::hsm::certificates;
use vouchsafe_harness::ports::port;
use vouchsafe_harness::proxy::{Mode, Proxy};
use vouchsafe_harness::tls::TlsIssuer;
use vouchsafe_harness::{jwt, now};

const NAME: &str = "other.example";

fn issuer() -> TlsIssuer {
    TlsIssuer::named(NAME, "issuers-other.pem")
}

fn setup(issuer: &TlsIssuer, root: &str, more: &str) -> Setup {
    let files = [IssuerFile::new("main", issuer.url(), "")];
    let root = certificates().join(root);
    let config = format!(
        "[[client_tls]]\ncomponent_ids = [\"broker\"]\nhosts = [\"{NAME}\"]\nca_roots_file = \"{}\"\n{more}",
        root.display()
    );
    Setup::broker(&files, &[issuer.origin()]).runtime_config(&config)
}

fn token(issuer: &TlsIssuer) -> String {
    jwt::mint("RS256", &jwt::claims(&issuer.url(), BROKER, now()))
}

#[track_caller]
fn issues(broker: &Broker, issuer: &TlsIssuer) {
    let token = token(issuer);
    check(broker, &Form::of(&token).request(), &token, Want::Issued).expect("issued");
    broker.assert_healthy();
}

/// The issuer is unavailable, and the host logs `why`.
#[track_caller]
fn fails(broker: &Broker, issuer: &TlsIssuer, why: &str) {
    let response = broker.send(&Form::of(&token(issuer)).request());
    assert_eq!(response.status, 503, "{}", response.text());
    let printed = broker.printed_before("token");
    let expected = format!("serve: GET {}/.well-known/openid-configuration failed: {why}", issuer.url());
    assert!(printed.iter().any(|line| line.starts_with(&expected)), "{expected} is not in {printed:#?}");
    broker.assert_healthy();
}

#[test]
fn fetches_keys_through_the_proxy() {
    let (issuer, proxy) = (issuer(), Proxy::start(Mode::Open));
    let setup = setup(&issuer, "issuers-ca.pem", "");
    let broker = setup.environment("HTTPS_PROXY", &format!("http://{}", proxy.authority())).start();
    let notice =
        format!("serve: outbound https uses the proxy {}, except for loopback and NO_PROXY", proxy.authority());
    assert_eq!(broker.line_with("proxy"), notice);
    issues(&broker, &issuer);
    let target = issuer.origin().replace("https://", "");
    assert_eq!(proxy.targets(), [target.clone(), target], "discovery document and keys");
}

#[test]
fn shows_credentials_to_the_proxy_only() {
    // `user:p@ss` in base64.
    let (issuer, proxy) = (issuer(), Proxy::start(Mode::Guarded("Basic dXNlcjpwQHNz")));
    let start = |credentials: &str| {
        let url = format!("http://{credentials}{}", proxy.authority());
        setup(&issuer, "issuers-ca.pem", "").environment("https_proxy", &url).start()
    };
    let broker = start("user:p%40ss@");
    let notice = broker.line_with("proxy");
    assert!(notice.contains(&proxy.authority()) && !notice.contains("ss"), "{notice}");
    issues(&broker, &issuer);
    let target = issuer.origin().replace("https://", "");
    let why = format!("proxy {} answered 407 to CONNECT {target}: it requires HTTPS_PROXY=", proxy.authority());
    fails(&start(""), &issuer, &why);
}

#[test]
fn verifies_the_issuer_behind_the_proxy() {
    let (issuer, proxy) = (issuer(), Proxy::start(Mode::Open));
    let url = format!("http://{}", proxy.authority());
    let broker = setup(&issuer, "ca.pem", "").environment("HTTPS_PROXY", &url).start();
    fails(&broker, &issuer, "the server's certificate is not signed by a known CA");
}

#[test]
fn names_the_proxy_that_fails() {
    let issuer = issuer();
    let target = issuer.origin().replace("https://", "");
    let refusing = Proxy::start(Mode::Refusing(503));
    let silent = Proxy::start(Mode::Silent);
    let dead = format!("127.0.0.1:{}", port());
    for (authority, why) in [
        (dead.clone(), format!("proxy {dead}: cannot connect to {dead}: Connection refused")),
        (refusing.authority(), format!("proxy {} answered 503 to CONNECT {target}", refusing.authority())),
        (silent.authority(), format!("proxy {}: no connection within 2 s", silent.authority())),
    ] {
        let setup = setup(&issuer, "issuers-ca.pem", "");
        fails(&setup.environment("HTTPS_PROXY", &format!("http://{authority}")).start(), &issuer, &why);
    }
}

/// The connection goes to the proxy, so its address is the one that must not be blocked.
#[test]
fn checks_the_address_of_the_proxy() {
    let (issuer, proxy) = (issuer(), Proxy::start(Mode::Open));
    let setup = setup(&issuer, "issuers-ca.pem", "[outbound_networking]\nblock_networks = [\"private\"]\n");
    let broker = setup.environment("HTTPS_PROXY", &format!("http://{}", proxy.authority())).start();
    let why = format!("proxy {}: the address 127.0.0.1 is in the blocked network `private`", proxy.authority());
    fails(&broker, &issuer, &why);
    assert_eq!(proxy.targets(), [""; 0]);
}

#[test]
fn bypasses_the_proxy_for_listed_hosts() {
    let (issuer, proxy) = (issuer(), Proxy::start(Mode::Open));
    let setup =
        setup(&issuer, "issuers-ca.pem", "").environment("HTTPS_PROXY", &format!("http://{}", proxy.authority()));
    let broker = setup.environment("NO_PROXY", "example").start();
    // Only the proxy knows the name, so there is no connection at all.
    assert_eq!(broker.send(&Form::of(&token(&issuer)).request()).status, 503);
    let printed = broker.printed_before("token");
    let failed = printed.iter().find(|line| line.starts_with("serve: GET ")).expect("a line");
    assert!(!failed.contains("proxy"), "{failed}");
    assert_eq!(proxy.targets(), [""; 0]);
}

#[test]
fn refuses_other_kinds_of_proxy() {
    let issuer = issuer();
    for proxy in ["https://user:hunter2@proxy.example", "socks5://proxy.example:1080", "http://"] {
        let setup = setup(&issuer, "issuers-ca.pem", "").environment("HTTPS_PROXY", proxy);
        let Err(reason) = setup.try_start() else { panic!("{proxy}: the broker started") };
        assert!(reason.contains("error: HTTPS_PROXY is not the URL of an HTTP proxy"), "{reason}");
        assert!(!reason.contains("hunter2"), "{reason}");
    }
}
