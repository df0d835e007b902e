use std::cell::RefCell;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde_json::json;
use vouchsafe_crypto::Software;
use vouchsafe_jose::{JsonError, KeySetError};

use super::*;
use crate::testkit::{self, ISSUER};
use crate::url::UrlRejection;
use vouchsafe_types::{IssuerRecord, Unreachable, UnreachableCause};

const NOW: UnixSeconds = UnixSeconds(testkit::NOW);
const JWKS_URL: &str = "https://keys.example/jwks";
const DISCOVERY_URL: &str = "https://issuer.example/.well-known/openid-configuration";

type Outcome = Result<Answer, FetchError>;

/// Answers URLs from a list, and records each request with its entity tag.
struct Network {
    answers: Vec<(&'static str, Outcome)>,
    asked: RefCell<Vec<(String, Option<String>)>>,
    /// URLs that received the bearer token.
    shown: RefCell<Vec<String>>,
}

impl Network {
    fn new(answers: Vec<(&'static str, Outcome)>) -> Self {
        Self { answers, asked: RefCell::default(), shown: RefCell::default() }
    }
}

impl DocumentSource for Network {
    async fn get(&self, url: &KeyUrl, known_etag: Option<&str>, bearer: Option<&Bearer>, _bytes_max: usize) -> Outcome {
        if bearer.is_some() {
            self.shown.borrow_mut().push(url.as_str().to_owned());
        }
        self.asked.borrow_mut().push((url.as_str().to_owned(), known_etag.map(str::to_owned)));
        let answer = self.answers.iter().find(|(known, _)| *known == url.as_str());
        answer.map_or_else(|| Err(refused()), |(_, outcome)| outcome.clone())
    }
}

fn refused() -> FetchError {
    let origin = "https://keys.example".to_owned();
    FetchError::Unreachable(Unreachable { origin, cause: UnreachableCause::ConnectionRefused })
}

fn ok(body: impl Into<Vec<u8>>) -> Outcome {
    Ok(Answer { status: 200, body: body.into(), ..Answer::default() })
}

fn status(status: u16) -> Outcome {
    Ok(Answer { status, ..Answer::default() })
}

fn discovery(issuer: &str, jwks_uri: &str) -> Outcome {
    ok(json!({"issuer": issuer, "jwks_uri": jwks_uri, "extra": [1]}).to_string())
}

fn issuer(keys: KeySource) -> TrustedIssuer {
    TrustedIssuer::try_from(IssuerRecord { keys, ..testkit::issuer_record() }).unwrap()
}

/// Runs a future that is always ready.
fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the fake network never waits"),
    }
}

fn fetch(source: &Network, keys: KeySource, known: Option<KeySet>) -> Result<KeySet, FetchError> {
    now_or_never(fetch_keys(source, &issuer(keys), known, None, &[], NOW, &Software))
}

fn fetched(etag: Option<&str>, trusted_until: UnixSeconds) -> KeySet {
    let document = testkit::key_set_document();
    KeySet {
        digest: sha256_hex(document.as_bytes()),
        document,
        trusted_until: trusted_until.0,
        etag: etag.map(|tag| format!("{JWKS_URL} {tag}")),
    }
}

#[test]
fn fetches_keys_by_discovery() {
    let answer = Answer {
        status: 200,
        cache_control: Some("max-age=60".to_owned()),
        etag: Some("\"v1\"".to_owned()),
        body: testkit::key_set_document().into_bytes(),
    };
    let network = Network::new(vec![(DISCOVERY_URL, discovery(ISSUER, JWKS_URL)), (JWKS_URL, Ok(answer))]);
    assert_eq!(fetch(&network, KeySource::Discovery, None), Ok(fetched(Some("\"v1\""), NOW.plus(60))));
    let asked = [(DISCOVERY_URL.to_owned(), None), (JWKS_URL.to_owned(), None)];
    assert_eq!(*network.asked.borrow(), asked);
}

#[test]
fn sends_credential_only_to_issuer_origin() {
    let bearer = Bearer::parse("secret".to_owned());
    let shown = |keys, jwks_uri: &'static str| {
        let network = Network::new(vec![
            (DISCOVERY_URL, discovery(ISSUER, jwks_uri)),
            (jwks_uri, ok(testkit::key_set_document())),
        ]);
        let issuer = issuer(keys);
        let fetched = fetch_keys(&network, &issuer, None, bearer.as_ref(), &[], NOW, &Software);
        assert!(now_or_never(fetched).is_ok(), "{jwks_uri}");
        network.shown.take()
    };
    let own = "https://issuer.example/keys";
    assert_eq!(shown(KeySource::Discovery, own), [DISCOVERY_URL, own]);
    for other in [
        JWKS_URL,
        "https://issuer.example.evil.example/keys",
        "https://issuer.example:8443/keys",
        "https://issuer.example:443/keys",
        "https://ISSUER.example/keys",
    ] {
        assert_eq!(shown(KeySource::Discovery, other), [DISCOVERY_URL]);
    }
    let configured = KeySource::JwksUri(JWKS_URL.to_owned());
    assert_eq!(shown(configured, JWKS_URL), [JWKS_URL]);
}

/// A gateway trusts the broker, so no issuer may make the broker send requests to it.
#[test]
fn never_fetches_from_closed_servers() {
    let closed = |url: &str| vec!["https://other.example".to_owned(), url.to_owned()];
    let refused = Err(FetchError::UrlRefused(UrlRejection::Closed));
    let network = || {
        Network::new(vec![(DISCOVERY_URL, discovery(ISSUER, JWKS_URL)), (JWKS_URL, ok(testkit::key_set_document()))])
    };
    let fetch = |network: &Network, keys, closed: &[String]| {
        now_or_never(fetch_keys(network, &issuer(keys), None, None, closed, NOW, &Software))
    };
    let asked = |network: Network| -> Vec<String> {
        let asked = network.asked.into_inner().into_iter();
        asked.map(|(url, _)| url).collect()
    };
    for url in ["https://keys.example", "https://KEYS.example:443", "https://keys.example.", "http://keys.example:443"]
    {
        let (discovered, configured) = (network(), network());
        let found = fetch(&discovered, KeySource::Discovery, &closed(url));
        let jwks_uri = FetchError::JwksUriRefused { url: JWKS_URL.to_owned(), reason: UrlRejection::Closed };
        assert_eq!(found, Err(jwks_uri), "{url}");
        assert_eq!(asked(discovered), [DISCOVERY_URL], "{url}");
        let keys = KeySource::JwksUri(JWKS_URL.to_owned());
        assert_eq!(fetch(&configured, keys, &closed(url)), refused, "{url}");
        assert_eq!(asked(configured), [""; 0], "{url}");
    }
    // Neither may the discovery document be fetched there.
    let (own, open) = (network(), network());
    let found = fetch(&own, KeySource::Discovery, &closed(ISSUER));
    assert_eq!((found, asked(own)), (refused, vec![]));
    for url in ["https://keys.example:8443", "https://evil.keys.example", "http://keys.example"] {
        let found = fetch(&open, KeySource::Discovery, &closed(url));
        assert!(found.is_ok(), "{url}: {found:?}");
    }
}

/// Two URLs may use the tag `"1"` for different documents.
#[test]
fn sends_etag_only_to_its_own_url() {
    let unchanged = Answer { status: 304, ..Answer::default() };
    let elsewhere = "https://keys.example/jwks2";
    for other in [elsewhere, "https://keys.example/jw"] {
        let network = Network::new(vec![(other, Ok(unchanged.clone()))]);
        let known = Some(fetched(Some("\"1\""), NOW));
        let source = KeySource::JwksUri(other.to_owned());
        assert_eq!(fetch(&network, source, known), Err(FetchError::Status(304)));
        assert_eq!(*network.asked.borrow(), [(other.to_owned(), None)]);
    }
}

#[test]
fn fetches_keys_from_configured_url() {
    let network = Network::new(vec![(JWKS_URL, ok(testkit::key_set_document()))]);
    assert_eq!(fetch(&network, KeySource::JwksUri(JWKS_URL.to_owned()), None), Ok(fetched(None, NOW.plus(300))));
}

#[test]
fn renews_unchanged_keys() {
    let unchanged = Answer { status: 304, cache_control: Some("max-age=100".to_owned()), ..Answer::default() };
    let network = Network::new(vec![(JWKS_URL, Ok(unchanged))]);
    let source = || KeySource::JwksUri(JWKS_URL.to_owned());
    let known = fetched(Some("\"v1\""), UnixSeconds(1));
    assert_eq!(fetch(&network, source(), Some(known)), Ok(fetched(Some("\"v1\""), NOW.plus(100))));
    assert_eq!(network.asked.borrow()[0].1.as_deref(), Some("\"v1\""));
    // An unsolicited 304 renews nothing.
    assert_eq!(fetch(&network, source(), None), Err(FetchError::Status(304)));
    assert_eq!(fetch(&network, source(), Some(fetched(None, UnixSeconds(1)))), Err(FetchError::Status(304)));
}

/// A removed key is gone after the next fetch (regressions.md, row 2).
#[test]
fn replaces_changed_keys() {
    let changed = json!({"keys": [testkit::TestKey::stranger("ES256").jwk("new")]}).to_string();
    let network = Network::new(vec![(JWKS_URL, ok(changed.clone()))]);
    let known = fetched(Some("\"v1\""), NOW.plus(1));
    let keys = fetch(&network, KeySource::JwksUri(JWKS_URL.to_owned()), Some(known)).unwrap();
    assert_eq!((keys.document, keys.etag), (changed, None));
}

#[test]
fn keeps_only_sendable_entity_tags() {
    let long = "x".repeat(ETAG_BYTES_MAX + 1);
    let longest = "x".repeat(ETAG_BYTES_MAX);
    for (etag, kept) in
        [("W/\"a\"", true), (longest.as_str(), true), (&long, false), ("", false), ("a\r\nb", false), ("é", false)]
    {
        assert_eq!(usable_etag(Some(etag.to_owned())).is_some(), kept, "{etag}");
    }
}

fn check_jwks(answer: Outcome, expected: FetchError) {
    let network = Network::new(vec![(JWKS_URL, answer)]);
    let outcome = fetch(&network, KeySource::JwksUri(JWKS_URL.to_owned()), Some(fetched(Some("\"v1\""), NOW.plus(1))));
    assert_eq!(outcome, Err(expected));
}

#[test]
fn rejects_responses_without_keys() {
    let key_set = |error| FetchError::DocumentInvalid(DocumentError::KeySet(error));
    for code in [201, 204, 206, 301, 302, 303, 307, 308, 400, 404, 429, 500, 503] {
        check_jwks(status(code), FetchError::Status(code));
    }
    check_jwks(Err(FetchError::TimedOut), FetchError::TimedOut);
    check_jwks(Err(refused()), refused());
    check_jwks(ok("<html><body>Sign in</body></html>"), key_set(KeySetError::Json(JsonError::Syntax)));
    check_jwks(ok(""), key_set(KeySetError::Json(JsonError::Syntax)));
    check_jwks(ok("{}"), key_set(KeySetError::KeysMissing));
    check_jwks(ok(r#"{"keys":[]}"#), FetchError::DocumentInvalid(DocumentError::NoUsableKey));
    check_jwks(ok(r#"{"keys":[{"kty":"oct","k":"AA"}]}"#), key_set(KeySetError::SecretKey));
    check_jwks(ok(format!(r#"{{"keys":[{}{{}}]}}"#, "{},".repeat(499))), key_set(KeySetError::TooManyKeys));
    check_jwks(ok(vec![b' '; 1024 * 1024]), FetchError::TooLarge);
    check_jwks(ok(vec![0xff; 10]), key_set(KeySetError::Json(JsonError::NotUtf8)));
}

fn check_discovery(answer: Outcome, expected: FetchError) {
    let network = Network::new(vec![(DISCOVERY_URL, answer), (JWKS_URL, ok(testkit::key_set_document()))]);
    assert_eq!(fetch(&network, KeySource::Discovery, None), Err(expected));
    assert_eq!(network.asked.borrow().len(), 1, "no further document is fetched");
}

#[test]
fn rejects_discovery_documents_of_another_issuer() {
    for other in
        ["https://other.example", "https://issuer.example/", "https://ISSUER.example", "http://issuer.example", ""]
    {
        check_discovery(discovery(other, JWKS_URL), FetchError::IssuerMismatch);
    }
}

#[test]
fn rejects_discovery_documents_with_refused_urls() {
    for (jwks_uri, shown, reason) in [
        ("http://keys.example/jwks", "http://keys.example/jwks", UrlRejection::Scheme),
        ("https://169.254.169.254/jwks?secret", "https://169.254.169.254/jwks", UrlRejection::Address),
        ("https://localhost/jwks", "https://localhost/jwks", UrlRejection::Address),
        ("https://a:secret@keys.example/jwks", "…@keys.example/jwks", UrlRejection::Userinfo),
        ("https://keys.example/jwks#x", "https://keys.example/jwks", UrlRejection::Fragment),
        ("/jwks\u{1b}[2J", "/jwks\u{fffd}[2J", UrlRejection::Malformed),
    ] {
        let url = shown.to_owned();
        check_discovery(discovery(ISSUER, jwks_uri), FetchError::JwksUriRefused { url, reason });
    }
    let long = format!("http://keys.example/{}", "a".repeat(300));
    let url = long[..300].to_owned();
    check_discovery(discovery(ISSUER, &long), FetchError::JwksUriRefused { url, reason: UrlRejection::Scheme });
}

#[test]
fn rejects_invalid_discovery_documents() {
    let invalid = FetchError::DocumentInvalid;
    check_discovery(status(302), FetchError::Status(302));
    check_discovery(status(304), FetchError::Status(304));
    check_discovery(status(404), FetchError::Status(404));
    check_discovery(ok("<html>"), invalid(DocumentError::Discovery(JsonError::Syntax)));
    check_discovery(ok("[]"), invalid(DocumentError::Discovery(JsonError::NotAnObject)));
    check_discovery(ok("{}"), invalid(DocumentError::DiscoveryMember("issuer")));
    check_discovery(ok(json!({"issuer": [ISSUER]}).to_string()), invalid(DocumentError::DiscoveryMember("issuer")));
    check_discovery(ok(json!({"issuer": ISSUER}).to_string()), invalid(DocumentError::DiscoveryMember("jwks_uri")));
    let twice = format!(r#"{{"issuer":"{ISSUER}","issuer":"{ISSUER}","jwks_uri":"{JWKS_URL}"}}"#);
    check_discovery(ok(twice), invalid(DocumentError::Discovery(JsonError::DuplicateMember)));
}

#[test]
fn bounds_discovery_document() {
    let document = json!({"issuer": ISSUER, "jwks_uri": JWKS_URL}).to_string();
    let padded = |bytes: usize| format!("{document}{}", " ".repeat(bytes - document.len()));
    let network = Network::new(vec![
        (DISCOVERY_URL, ok(padded(DISCOVERY_BYTES_MAX))),
        (JWKS_URL, ok(testkit::key_set_document())),
    ]);
    assert!(fetch(&network, KeySource::Discovery, None).is_ok());
    check_discovery(ok(padded(DISCOVERY_BYTES_MAX + 1)), FetchError::TooLarge);
}

#[test]
fn never_fetches_from_refused_configured_url() {
    for (keys, rejection) in [
        (KeySource::JwksUri("https://127.0.0.1/jwks".to_owned()), UrlRejection::Address),
        (KeySource::JwksUri("http://keys.example/jwks".to_owned()), UrlRejection::Scheme),
    ] {
        let network = Network::new(Vec::new());
        assert_eq!(fetch(&network, keys, None), Err(FetchError::UrlRefused(rejection)));
        assert_eq!(network.asked.borrow().len(), 0);
    }
}

#[test]
fn uses_pinned_keys_until_they_expire() {
    let pinned = |expires| KeySource::Pinned(PinnedKeys { document: testkit::key_set_document(), expires });
    let network = Network::new(Vec::new());
    assert_eq!(fetch(&network, pinned(NOW.0 + 1), None), Ok(fetched(None, NOW.plus(1))));
    assert_eq!(fetch(&network, pinned(NOW.0), None), Err(FetchError::PinnedKeysExpired));
    assert_eq!(network.asked.borrow().len(), 0);
}
