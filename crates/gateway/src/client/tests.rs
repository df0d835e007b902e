//! The signer against gateways made of this crate's other end, with a software HSM.

mod gateways;
mod several;

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use vouchsafe_signer::{
    Algorithm, Epoch, EpochKey, Fault, KeyDerivationInfo, Seed, TokenType, UnixSeconds, Variable, Variables,
};
use vouchsafe_types::BackendStatus;
use zeroize::Zeroizing;

use super::calls::FAILING_SECONDS;
use super::*;
use crate::rules::tests::{AUDIENCE, ISSUER, credential};
use crate::wire::KEYS_PATH;
use gateways::Gateways;

const START: u64 = 1_800_000_000;
const NOON: u64 = START + 1800;
const HOUR: u64 = 3600;

async fn yield_once() {
    let mut yielded = false;
    poll_fn(|_| if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..10_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
    panic!("it waits forever");
}

fn variables() -> Variables {
    Variables {
        development: "false".into(),
        gateway_token: Zeroizing::new(credential()),
        gateway_urls: "https://a https://b".into(),
        issuer: ISSUER.into(),
        signer_algorithms: "ES256 EdDSA".into(),
        signer_audiences: "*".into(),
        signer_epoch: "3600".into(),
        signer_group: "default".into(),
        signer_hsm_algorithms: "ES256".into(),
        signer_lifetime_max: "3540".into(),
        ..Variables::default()
    }
}

fn signer_with(change: impl FnOnce(&mut Variables)) -> GatewaySigner {
    let mut variables = variables();
    change(&mut variables);
    GatewaySigner::new(GatewayConfig::parse(&variables).unwrap(), &vouchsafe_crypto::Software)
}

fn signer() -> GatewaySigner {
    signer_with(|_| {})
}

fn request(tier: Tier, now: u64) -> SigningRequest {
    SigningRequest {
        issuer: ISSUER.into(),
        view: None,
        subject: "github:repo".into(),
        audience: AUDIENCE.into(),
        tier,
        algorithm: "ES256".into(),
        token_type: TokenType::AccessToken,
        issued_at: now,
        lifetime_seconds: 300,
        jti: "AAECAwQFBgcICQoLDA0ODw".into(),
        scopes: vec!["read".into()],
        extra_claims: vec![],
        key_thumbprint: None,
        actors: Vec::new(),
        txn: None,
        status: None,
        presented: None,
    }
}

fn sign(signer: &GatewaySigner, gateways: &Gateways, tier: Tier) -> Result<SignedToken, Error> {
    run(signer.sign(&request(tier, gateways.now.get()), gateways))
}

/// The document of what is revoked has an epoch key, whose seed a gateway releases.
#[test]
fn signs_revocations_with_an_epoch_key() {
    let (signer, gateways) = (signer(), Gateways::new());
    let document = |generation_min| {
        let now = gateways.now.get();
        run(signer.sign_revocations(&RevocationList::default(), now, generation_min, &gateways))
    };
    let jwt = document(1).unwrap();
    let key = sign(&signer, &gateways, Tier::Delegated).unwrap().kid;
    let header = jwt.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).unwrap();
    let header = String::from_utf8(header).unwrap();
    assert_eq!(header, format!(r#"{{"alg":"ES256","kid":"{key}","typ":"vouchsafe-revocations+jwt"}}"#));
    assert_eq!(document(2), Err(Error::Superseded(Superseded { generation: 1, latest: 2 })));
    gateways.without_entropy.set(true);
    assert_eq!(document(1), Err(Error::Internal));
}

#[test]
fn signs_introspections_with_an_epoch_key() {
    let (signer, gateways) = (signer(), Gateways::new());
    let respond = |generation_min| {
        let now = gateways.now.get();
        run(signer.sign_introspection("apache", r#"{"active":false}"#, now, generation_min, &gateways))
    };
    let jwt = respond(1).unwrap();
    let key = sign(&signer, &gateways, Tier::Delegated).unwrap().kid;
    let header = jwt.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).unwrap();
    let header = String::from_utf8(header).unwrap();
    assert_eq!(header, format!(r#"{{"alg":"ES256","kid":"{key}","typ":"token-introspection+jwt"}}"#));
    assert_eq!(respond(2), Err(Error::Superseded(Superseded { generation: 1, latest: 2 })));
}

#[test]
fn signs_nothing_delegated_without_entropy() {
    let (signer, gateways) = (signer(), Gateways::new());
    gateways.without_entropy.set(true);
    let outcome = sign(&signer, &gateways, Tier::Delegated).map(drop);
    assert_eq!(outcome, Err(Error::Internal));
    // The HSM has its own.
    assert!(sign(&signer, &gateways, Tier::Hsm).is_ok());
    gateways.without_entropy.set(false);
    assert!(sign(&signer, &gateways, Tier::Delegated).is_ok());
}

fn kid_of(outcome: Result<SignedToken, Error>) -> String {
    match outcome {
        Ok(token) => token.kid,
        Err(error) => panic!("{error}"),
    }
}

/// The key that a signer with the root would derive.
fn local_kid(start: u64) -> String {
    let scope = KeyDerivationInfo { issuer: ISSUER, group: "default", generation: 1 };
    let epoch = Epoch::starting_at(start, HOUR).unwrap();
    let seed = Seed::derive(&[7; 32], scope, Algorithm::Es256, epoch).unwrap();
    let key = EpochKey::from_seed(&seed, Algorithm::Es256, epoch, &vouchsafe_crypto::Software).unwrap();
    key.kid().to_owned()
}

#[test]
fn signs_with_the_key_that_the_root_gives() {
    let (signer, gateways) = (signer(), Gateways::new());
    let kid = kid_of(sign(&signer, &gateways, Tier::Delegated));
    assert_eq!(kid, local_kid(START));
    let keys = run(signer.public_keys(0, &gateways)).unwrap();
    assert!(keys.document.contains(&kid));
    assert_eq!(
        keys.document.matches("\"kty\"").count(),
        17,
        "two generations of four epochs and two algorithms, one of the hsm"
    );
}

#[test]
fn fetches_one_seed_per_epoch_and_algorithm() {
    let (signer, gateways) = (signer(), Gateways::new());
    for _ in 0..5 {
        sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
    }
    assert_eq!(gateways.take_asked(), ["a /v1/keys", "a /v1/epoch-seed"]);
    gateways.now.set(START + HOUR);
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
    assert_eq!(gateways.take_asked(), ["a /v1/keys", "a /v1/epoch-seed"]);
}

#[test]
fn concurrent_requests_share_one_fetch() {
    let (signer, gateways) = (signer(), Gateways::new());
    let request = request(Tier::Delegated, NOON);
    let mut calls: Vec<_> = (0..16).map(|_| Box::pin(signer.sign(&request, &gateways))).collect();
    let mut done = 0;
    for _ in 0..100 {
        calls.retain_mut(|call| match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => {
                kid_of(outcome);
                done += 1;
                false
            }
            Poll::Pending => true,
        });
    }
    assert_eq!(done, 16);
    assert_eq!(gateways.take_asked(), ["a /v1/keys", "a /v1/epoch-seed"]);
}

/// A disconnected client doesn't keep its turn.
#[test]
fn dropped_request_blocks_nobody() {
    let (signer, gateways) = (signer(), Gateways::new());
    {
        let request = request(Tier::Delegated, NOON);
        let mut call = pin!(signer.sign(&request, &gateways));
        let poll = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll.is_pending());
    }
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
}

#[test]
fn fetches_next_seed_shortly_before_its_epoch() {
    let (signer, gateways) = (signer(), Gateways::new());
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
    assert!(!signer.prefetch_is_due(UnixSeconds(START + HOUR - 26)));
    gateways.now.set(START + HOUR - 25);
    assert!(signer.prefetch_is_due(gateways.now()));
    run(signer.prefetch(&gateways));
    assert!(!signer.prefetch_is_due(gateways.now()));
    gateways.take_asked();
    *gateways.down.borrow_mut() = vec!['a', 'b'];
    gateways.now.set(START + HOUR);
    assert_eq!(kid_of(sign(&signer, &gateways, Tier::Delegated)), local_kid(START + HOUR));
    assert_eq!(gateways.take_asked(), ["a /v1/keys", "b /v1/keys"]);
}

#[test]
fn tries_gateways_in_order_and_failed_ones_last() {
    let (signer, gateways) = (signer(), Gateways::new());
    gateways.down.borrow_mut().push('a');
    sign(&signer, &gateways, Tier::Hsm).map(drop).unwrap();
    assert_eq!(gateways.take_asked(), ["a /v1/keys", "b /v1/keys", "b /v1/sign-token"]);
    gateways.down.borrow_mut().clear();
    gateways.now.set(NOON + FAILING_SECONDS - 1);
    sign(&signer, &gateways, Tier::Hsm).map(drop).unwrap();
    assert_eq!(gateways.take_asked(), ["b /v1/sign-token"]);
    gateways.now.set(NOON + FAILING_SECONDS);
    sign(&signer, &gateways, Tier::Hsm).map(drop).unwrap();
    assert_eq!(gateways.take_asked(), ["a /v1/sign-token"]);
}

#[test]
fn uses_held_keys_during_outage() {
    let (signer, gateways) = (signer(), Gateways::new());
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
    *gateways.down.borrow_mut() = vec!['a', 'b'];
    gateways.now.set(START + HOUR - 1);
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
    run(signer.public_keys(0, &gateways)).unwrap();
    assert_eq!(sign(&signer, &gateways, Tier::Hsm).map(drop), Err(Error::Unavailable));
    gateways.now.set(START + HOUR);
    assert_eq!(sign(&signer, &gateways, Tier::Delegated).map(drop), Err(Error::Unavailable));
    // The keys of four epochs are known, so verifiers are still served.
    run(signer.public_keys(0, &gateways)).unwrap();
    gateways.now.set(START + 3 * HOUR);
    assert_eq!(run(signer.public_keys(0, &gateways)), Err(Error::Unavailable));
    // Recovery needs no operator.
    gateways.down.borrow_mut().clear();
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
    sign(&signer, &gateways, Tier::Hsm).map(drop).unwrap();
}

#[test]
fn signs_nothing_beyond_30_seconds_of_skew() {
    for (skew, expected) in [(30, Ok(())), (31, Err(Error::Unavailable))] {
        let (signer, gateways) = (signer(), Gateways::new());
        gateways.skew.set(skew);
        assert_eq!(sign(&signer, &gateways, Tier::Delegated).map(drop), expected, "{skew}");
        assert_eq!(sign(&signer, &gateways, Tier::Hsm).map(drop), expected, "{skew}");
        assert_eq!(run(signer.public_keys(0, &gateways)).map(drop), expected, "{skew}");
    }
}

#[test]
fn finds_another_key_version_at_once() {
    let (signer, gateways) = (signer(), Gateways::new());
    let first = kid_of(sign(&signer, &gateways, Tier::Hsm));
    gateways.key_version.set(2);
    gateways.take_asked();
    let second = kid_of(sign(&signer, &gateways, Tier::Hsm));
    assert_ne!(first, second);
    assert_eq!(gateways.take_asked(), ["a /v1/sign-token", "a /v1/keys", "a /v1/sign-token"]);
}

fn sign_for(signer: &GatewaySigner, gateways: &Gateways, principal: &str) -> Result<SignedToken, Error> {
    let mut request = request(Tier::Hsm, gateways.now.get());
    request.presented = Some(vouchsafe_signer::PresentedIdentity {
        issuer: "https://issuer.example".into(),
        principal: principal.into(),
    });
    run(signer.sign(&request, gateways))
}

/// The gateway chooses the version by workload, and the token names it.
#[test]
fn canary_signs_for_its_share() {
    let (signer, gateways) = (signer(), Gateways::new());
    gateways.canary.set(Some(2));
    let published = run(signer.public_keys(0, &gateways)).unwrap().document;
    gateways.take_asked();
    for (principal, version) in [("in-share", "2"), ("another", "1")] {
        let token = sign_for(&signer, &gateways, principal).map_err(drop).unwrap();
        assert_eq!((token.key_version.as_str(), token.generation), (version, None));
        assert!(published.contains(&token.kid));
        let header = token.jwt.split('.').next().unwrap();
        use base64::Engine as _;
        let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header).unwrap();
        assert!(String::from_utf8(header).unwrap().contains(&token.kid));
    }
    assert_eq!(gateways.take_asked(), ["a /v1/sign-token", "a /v1/sign-token"]);
}

/// A version that is unknown to the signer is in none of its JWK Sets, so it fetches the keys before it releases a token.
#[test]
fn fetches_unknown_version_before_releasing_its_token() {
    let (signer, gateways) = (signer(), Gateways::new());
    sign(&signer, &gateways, Tier::Hsm).map(drop).unwrap();
    gateways.canary.set(Some(2));
    gateways.take_asked();
    let token = sign_for(&signer, &gateways, "in-share").map_err(drop).unwrap();
    assert_eq!(gateways.take_asked(), ["a /v1/sign-token", "a /v1/keys"]);
    assert!(run(signer.public_keys(0, &gateways)).unwrap().document.contains(&token.kid));
}

#[test]
fn delegated_tokens_carry_their_generation() {
    let (signer, gateways) = (signer(), Gateways::new());
    assert_eq!(run(signer.backend(&gateways)), None);
    let token = sign(&signer, &gateways, Tier::Delegated).map_err(drop).unwrap();
    assert_eq!(token.generation, Some(1));
    gateways.take_asked();
    *gateways.down.borrow_mut() = vec!['b'];
    for (passed, seconds_left, asked) in [(0, 7_200, "b"), (4, 7_196, ""), (5, 7_195, "ab"), (7_201, 0, "ab")] {
        gateways.now.set(NOON + passed);
        let backend = BackendStatus { generation: 1, seconds_left, gateways: 2, gateways_up: 1 };
        assert_eq!(run(signer.backend(&gateways)), Some(backend), "{passed}");
        let expected: Vec<_> = asked.chars().map(|host| format!("{host} /v1/keys")).collect();
        assert_eq!(gateways.take_asked(), expected, "{passed}");
    }
}

/// A gateway that answers, but not with this signer's keys, is not up.
#[test]
fn counts_gateways_that_have_the_keys() {
    let (signer, gateways) = (signer(), Gateways::new());
    sign(&signer, &gateways, Tier::Delegated).map_err(drop).unwrap();
    let up = |passed| {
        gateways.now.set(NOON + passed);
        run(signer.backend(&gateways)).map(|backend| backend.gateways_up)
    };
    assert_eq!(up(0), Some(2));
    *gateways.ahead.borrow_mut() = vec!['a'];
    *gateways.foreign.borrow_mut() = vec!['b'];
    assert_eq!(up(4), Some(2), "known for 5 s");
    assert_eq!(up(5), Some(0));
    gateways.ahead.borrow_mut().clear();
    assert_eq!(up(10), Some(1));
}

#[test]
fn names_audience_without_hsm_key() {
    let signer = signer();
    let audience = |id: &str| Audience {
        id: id.to_owned(),
        view: None,
        tier: Tier::Hsm,
        algorithm: "ES256".into(),
        default_lifetime_seconds: 300,
        max_lifetime_seconds: 900,
        scopes: vec![],
        scopes_required: false,
        claims: vec![],
        replay: vouchsafe_types::ReplayMode::Allow,
        outlive_subject: false,
        proof_required: false,
        allow_act: false,
        authorization_server: false,
        status_list: false,
    };
    let audiences = [audience(AUDIENCE), audience("https://other.example")];
    assert_eq!(signer.conflicts(&audiences), [""; 0], "no keys are known yet");
    run(signer.public_keys(0, &Gateways::new())).unwrap();
    let lacking = "the HSM has no `ES256` key that signs for audience `https://other.example`";
    assert_eq!(signer.conflicts(&audiences), [lacking]);
    let without_hsm = signer_with(|variables| variables.signer_hsm_algorithms.clear());
    let algorithm = format!("algorithm `ES256` of audience `{AUDIENCE}` is not in `signer_hsm_algorithms`");
    assert_eq!(without_hsm.conflicts(&audiences[..1]), [algorithm]);
}

/// A broker that issues nothing follows as fast as one that issues tokens.
#[test]
fn published_keys_are_no_older_than_three_seconds() {
    let (signer, gateways) = (signer(), Gateways::new());
    let before = run(signer.public_keys(0, &gateways)).unwrap();
    gateways.generation.set(2);
    gateways.now.set(NOON + GENERATION_FRESH_SECONDS - 1);
    assert_eq!(run(signer.public_keys(0, &gateways)), Ok(before.clone()));
    gateways.now.set(NOON + GENERATION_FRESH_SECONDS);
    assert_ne!(run(signer.public_keys(0, &gateways)), Ok(before));
}

#[test]
fn outage_names_gateways_until_one_answers() {
    let (signer, gateways) = (signer(), Gateways::new());
    *gateways.down.borrow_mut() = vec!['a', 'b'];
    assert_eq!(sign(&signer, &gateways, Tier::Hsm).map(drop), Err(Error::Unavailable));
    let why = "gateway https://a: connection failed; gateway https://b: connection failed";
    assert_eq!(signer.outage().as_deref(), Some(why));
    gateways.down.borrow_mut().clear();
    sign(&signer, &gateways, Tier::Hsm).map(drop).unwrap();
    assert_eq!(signer.outage(), None);
}

#[test]
fn follows_raised_generation_and_refuses_lower() {
    let (signer, gateways) = (signer(), Gateways::new());
    let first = kid_of(sign(&signer, &gateways, Tier::Delegated));
    let published = run(signer.public_keys(0, &gateways)).unwrap().document;
    gateways.generation.set(2);
    gateways.now.set(NOON + GENERATION_FRESH_SECONDS - 1);
    assert_eq!(kid_of(sign(&signer, &gateways, Tier::Delegated)), first);
    gateways.now.set(NOON + GENERATION_FRESH_SECONDS);
    let second = kid_of(sign(&signer, &gateways, Tier::Delegated));
    assert_ne!(second, first);
    assert!(published.contains(&second), "verifiers knew it before");
    let published = run(signer.public_keys(0, &gateways)).unwrap().document;
    assert!(published.contains(&second) && !published.contains(&first));
    // A gateway that was restored from an older copy of its PKCS#11 token is not trusted.
    gateways.generation.set(1);
    gateways.now.set(NOON + 100);
    assert_eq!(kid_of(sign(&signer, &gateways, Tier::Delegated)), second);
    gateways.now.set(START + HOUR);
    assert_eq!(sign(&signer, &gateways, Tier::Delegated).map(drop), Err(Error::Unavailable));
}

/// Following the generation costs one request in three seconds, and fails no request during an outage.
#[test]
fn asks_for_the_generation_every_three_seconds() {
    let (signer, gateways) = (signer(), Gateways::new());
    for second in 0..7 {
        gateways.now.set(NOON + second);
        for _ in 0..3 {
            sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
        }
    }
    let asked = gateways.take_asked();
    let keys = asked.iter().filter(|it| it.ends_with(KEYS_PATH));
    assert_eq!(keys.count(), 3, "{asked:?}");
}

#[test]
fn later_clock_skew_stops_signing() {
    let (signer, gateways) = (signer(), Gateways::new());
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
    gateways.skew.set(31);
    gateways.now.set(NOON + GENERATION_FRESH_SECONDS);
    for _ in 0..2 {
        assert_eq!(sign(&signer, &gateways, Tier::Delegated).map(drop), Err(Error::Unavailable));
    }
    gateways.skew.set(0);
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
}

#[test]
fn checks_ceilings_before_asking_gateways() {
    let (signer, gateways) = (signer_with(|it| it.signer_audiences = "https://api.example".into()), Gateways::new());
    for tier in [Tier::Delegated, Tier::Hsm] {
        assert_eq!(sign(&signer, &gateways, tier).map(drop), Err(Error::Refused(Ceiling::Audience)));
        let mut request = request(tier, NOON);
        request.algorithm = "RS256".into();
        let outcome = run(signer.sign(&request, &gateways));
        assert_eq!(outcome.map(drop), Err(Error::Refused(Ceiling::Algorithm)));
    }
    assert!(gateways.take_asked().is_empty());
}

#[test]
fn tier_hsm_needs_a_configured_algorithm() {
    let (signer, gateways) = (signer_with(|it| it.signer_hsm_algorithms = String::new()), Gateways::new());
    assert_eq!(sign(&signer, &gateways, Tier::Hsm).map(drop), Err(Error::TierUnavailable));
}

#[test]
fn rejects_audience_of_no_hsm_key() {
    let (signer, gateways) = (signer(), Gateways::new());
    let mut request = request(Tier::Hsm, NOON);
    request.audience = "https://api.example".into();
    let outcome = run(signer.sign(&request, &gateways));
    assert_eq!(outcome.map(drop), Err(Error::Refused(Ceiling::Gateway)));
}

/// One gateway doesn't know the credential yet, or a load balancer answers in its place.
#[test]
fn skips_unavailable_gateway_and_reports_401() {
    for status in [200, 302, 400, 401, 403, 404, 409, 429, 503] {
        let (signer, gateways) = (signer(), Gateways::new());
        gateways.strange.borrow_mut().push(('a', status));
        for tier in [Tier::Delegated, Tier::Hsm] {
            let outcome = sign(&signer, &gateways, tier).map(drop);
            assert_eq!(outcome, Ok(()), "{status} {tier:?}");
        }
        gateways.strange.borrow_mut().push(('b', 404));
        let (signer, expected) = (
            self::signer(),
            match status {
                401 => Error::Misconfigured { variable: Variable::GatewayToken, fault: Fault::NotAccepted },
                _ => Error::Unavailable,
            },
        );
        let outcome = sign(&signer, &gateways, Tier::Delegated).map(drop);
        assert_eq!(outcome, Err(expected), "{status}");
    }
}

/// A 429 doesn't depend on the token: the next gateway is asked, or the request can be retried.
#[test]
fn rate_limit_of_gateway_refuses_no_token() {
    for path in ["/v1/keys", "/v1/epoch-seed"] {
        let (signer, gateways) = (signer(), Gateways::new());
        let limit = |hosts: &[&'static str]| *gateways.limited.borrow_mut() = hosts.to_vec();
        let (at_a, at_b) = match path {
            "/v1/keys" => ("a /v1/keys", "b /v1/keys"),
            _ => ("a /v1/epoch-seed", "b /v1/epoch-seed"),
        };
        limit(&[at_a, at_b]);
        let outcome = sign(&signer, &gateways, Tier::Delegated).map(drop);
        assert_eq!(outcome, Err(Error::Unavailable), "{path}");
        let outage = signer.outage().unwrap_or_default();
        assert!(outage.contains("gateway https://b: status 429"), "{outage}");
        limit(&[at_a]);
        let outcome = sign(&signer, &gateways, Tier::Delegated).map(drop);
        assert_eq!(outcome, Ok(()), "{path}");
        // Held keys remain in use.
        limit(&[at_a, at_b]);
        gateways.now.set(NOON + GENERATION_FRESH_SECONDS);
        let outcome = sign(&signer, &gateways, Tier::Delegated).map(drop);
        assert_eq!(outcome, Ok(()), "{path}");
    }
}

/// A refusal to sign is final: no other gateway is asked.
#[test]
fn propagates_refusal_of_signature() {
    let (signer, gateways) = (signer(), Gateways::new());
    sign(&signer, &gateways, Tier::Hsm).map(drop).unwrap();
    gateways.take_asked();
    *gateways.busy.borrow_mut() = vec!['a'];
    assert_eq!(sign(&signer, &gateways, Tier::Hsm).map(drop), Err(Error::Unavailable));
    assert_eq!(gateways.take_asked(), ["a /v1/sign-token"]);
}

#[test]
fn names_variable_that_differs_from_the_gateway() {
    type Change = fn(&mut Variables);
    let cases: [(Change, Variable, Fault); 6] = [
        (|it| it.gateway_token = Zeroizing::new("A".repeat(43)), Variable::GatewayToken, Fault::NotAccepted),
        (|it| it.signer_group = "other".into(), Variable::SignerGroup, Fault::DiffersFromGateway),
        (|it| it.signer_group = "nobody".into(), Variable::SignerGroup, Fault::DiffersFromGateway),
        (|it| it.issuer = "https://two.example".into(), Variable::Issuer, Fault::DiffersFromGateway),
        (|it| it.signer_epoch = "7200".into(), Variable::SignerEpoch, Fault::DiffersFromGateway),
        (|it| it.gateway_urls = "https://b https://a".into(), Variable::GatewayUrls, Fault::Missing),
    ];
    for (change, variable, fault) in cases {
        let (signer, gateways) = (signer_with(change), Gateways::new());
        let expected = match variable {
            Variable::GatewayUrls => Ok(()),
            _ => Err(Error::Misconfigured { variable, fault }),
        };
        assert_eq!(run(signer.public_keys(0, &gateways)).map(drop), expected);
    }
}

#[test]
fn reads_the_variables_of_gateways() {
    #[track_caller]
    fn check(variable: Variable, text: &str, expected: Result<(), Fault>) {
        let mut variables = variables();
        *variables.slot(variable) = text.into();
        let expected = expected.map_err(|fault| Error::Misconfigured { variable, fault });
        assert_eq!(GatewayConfig::parse(&variables).map(drop), expected, "{variable} = {text}");
    }
    for text in ["https://a", "https://a:8443/ https://b", "https://[::1]:8443", "https://A.example"] {
        check(Variable::GatewayUrls, text, Ok(()));
    }
    for text in [
        "http://a",
        "http://127.0.0.1:8443",
        "https://",
        "https://a/b",
        "https://u@a",
        "https://a?x",
        "https://a:0",
        "https://a:x",
        "a",
    ] {
        check(Variable::GatewayUrls, text, Err(Fault::NotHttpsUrl));
    }
    check(Variable::GatewayUrls, "", Err(Fault::Empty));
    check(Variable::GatewayUrls, "https://a https://a/", Err(Fault::Repeated));
    let many = |count: usize| (0..count).map(|it| format!("https://h{it}")).collect::<Vec<_>>().join(" ");
    check(Variable::GatewayUrls, &many(GATEWAYS_MAX), Ok(()));
    check(Variable::GatewayUrls, &many(GATEWAYS_MAX + 1), Err(Fault::OutOfRange { min: 1, max: 8 }));
    check(Variable::GatewayToken, "", Err(Fault::Empty));
    check(Variable::GatewayToken, "short", Err(Fault::NotBase64Url));
    check(Variable::SignerHsmAlgorithms, "", Ok(()));
    check(Variable::SignerHsmAlgorithms, "ES256 EdDSA RS256", Ok(()));
    check(Variable::SignerHsmAlgorithms, "HS256", Err(Fault::UnknownAlgorithm));
    check(Variable::SignerHsmAlgorithms, "ES256 ES256", Err(Fault::Repeated));
}

#[test]
fn allows_http_on_loopback_in_development_only() {
    for (url, expected) in [
        ("http://127.0.0.1:8443", true),
        ("http://[::1]:8443", true),
        ("http://localhost", true),
        ("http://127.0.0.1.example", false),
        ("http://gateway.example", false),
    ] {
        let variables = Variables {
            development: "true".into(),
            issuer: "http://127.0.0.1:3000".into(),
            gateway_urls: url.into(),
            ..variables()
        };
        assert_eq!(GatewayConfig::parse(&variables).is_ok(), expected, "{url}");
    }
}

/// I6.
#[test]
fn debug_shows_no_credential_and_no_seed() {
    let (signer, gateways) = (signer(), Gateways::new());
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
    let shown = format!("{signer:?} {:?}", variables());
    assert!(!shown.contains(&credential()) && !shown.contains("7, 7"), "{shown}");
}
