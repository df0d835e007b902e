//! A discovery document: whatever it says, only https URLs of named hosts are asked for more.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a fuzz target fails by a panic"
)]
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use vouchsafe_identity::{Answer, Bearer, DocumentSource, FetchError, KeyUrl, TrustedIssuer, fetch_keys};
use vouchsafe_types::{IssuerRecord, KeySource, ReplayMode, UnixSeconds};

/// Answers the first request with the document, and notes every URL.
struct Network<'d> {
    document: &'d [u8],
    asked: RefCell<Vec<String>>,
}

impl DocumentSource for Network<'_> {
    async fn get(
        &self,
        url: &KeyUrl,
        _: Option<&str>,
        bearer: Option<&Bearer>,
        _: usize,
    ) -> Result<Answer, FetchError> {
        let rest = url.as_str().strip_prefix("https://issuer.example");
        let issuers_own = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        assert!(bearer.is_none() || issuers_own, "a credential for {}", url.as_str());
        self.asked.borrow_mut().push(url.as_str().to_owned());
        Ok(Answer { status: 200, body: self.document.to_vec(), ..Answer::default() })
    }
}

fuzz_target!(|document: &[u8]| {
    let issuer = TrustedIssuer::try_from(IssuerRecord {
        name: "idp".to_owned(),
        issuer: "https://issuer.example".to_owned(),
        provider: "oidc".to_owned(),
        audiences: vec!["https://broker.example".to_owned()],
        algorithms: vec!["RS256".to_owned()],
        keys: KeySource::Discovery,
        keys_max_age_seconds: 300,
        max_token_age_seconds: 600,
        leeway_seconds: 30,
        claims: Vec::new(),
        require: Vec::new(),
        subject_template: None,
        allow_act: false,
        development: false,
        stale_keys_max_seconds: 0,
        replay: ReplayMode::Allow,
        authenticated: false,
    })
    .expect("a record");
    let network = Network { document, asked: RefCell::default() };
    let bearer = Bearer::parse("secret".to_owned());
    let mut fetch =
        pin!(fetch_keys(&network, &issuer, None, bearer.as_ref(), &[], UnixSeconds(1), &vouchsafe_crypto::Software));
    let Poll::Ready(_) = fetch.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("nothing here waits");
    };
    let asked = network.asked.borrow();
    assert!(asked.len() <= 2);
    assert_eq!(asked[0], "https://issuer.example/.well-known/openid-configuration");
    for url in asked.iter() {
        let rest = url.strip_prefix("https://").expect("https");
        let host = rest.split(['/', '?', ':']).next().unwrap_or_default();
        assert!(!host.is_empty() && !host.contains(['@', '#', '[', '\\']), "{url}");
        assert!(host.parse::<std::net::Ipv4Addr>().is_err(), "{url}");
    }
});
