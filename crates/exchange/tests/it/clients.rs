//! Client authentication.

use crate::fake::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use vouchsafe_exchange::client::{self, ClientDecision, Presented};
use vouchsafe_exchange::client_address::ForwardedFor;
use vouchsafe_exchange::exchange;
use vouchsafe_exchange::form::Form;
use vouchsafe_exchange::limits::{CLIENT_SECRET_BYTES_MAX, SUBJECT_TOKEN_BYTES_MAX};
use vouchsafe_exchange::ports::{Policy as _, Signer as _};
use vouchsafe_exchange::refusal::{ClientFault, Part, Refusal};
use vouchsafe_exchange::wire::WireError;
use vouchsafe_types::{Client, ClientCredential, IssuerRecord, Principal, ReplayMode, TokenError};

const PRIVATE_KEY_JWT: &str =
    "client_assertion=a.b.c&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const SPIFFE_JWT: &str =
    "client_assertion=a.b.c&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

fn principal(id: &str) -> Principal {
    Principal {
        entity_type: "Vouchsafe::Client".into(),
        id: id.into(),
        issuer_name: "clients".into(),
        attributes: vec![],
    }
}

fn hashed(secret: &str) -> String {
    base16ct::lower::encode_string(&Sha256::digest(secret))
}

/// A broker with the clients `apache`, with two secrets, and `gateway`, with a key.
fn configured() -> Fake {
    let fake = Fake::new();
    let secrets = ClientCredential::Secret(vec![hashed("old secret"), hashed("new+secret")]);
    let key = ClientCredential::Key(IssuerRecord { issuer: "gateway".into(), ..issuer(ReplayMode::SingleUse) });
    fake.clients.replace(vec![
        Client { principal: principal("apache"), credential: secrets },
        Client { principal: principal("gateway"), credential: key },
    ]);
    fake.subject.borrow_mut().iss = "gateway".into();
    fake.subject.borrow_mut().principal = principal("gateway");
    fake
}

fn authenticate(fake: &Fake, authorization: &[&str], form: &str) -> Result<Option<Principal>, Refusal> {
    let authorization: Vec<String> = authorization.iter().map(|header| (*header).to_owned()).collect();
    let mut form = Form::parse(form.as_bytes()).unwrap();
    let presented = Presented::take(&authorization, &mut form).map_err(Refusal::Client)?;
    let Some(presented) = presented else { return Ok(None) };
    let settings = run(fake.settings()).unwrap();
    let bundle = run(fake.bundle(&settings)).unwrap();
    let client = run(client::authenticate(fake, &settings, &bundle, presented));
    client.map(Some).map_err(|failure| failure.refusal)
}

fn check(fake: &Fake, authorization: &[&str], form: &str, expected: Result<Option<&str>, ClientFault>) {
    let client = authenticate(fake, authorization, form);
    let expected = expected.map(|id| id.map(principal)).map_err(Refusal::Client);
    assert_eq!(client, expected, "{authorization:?} {form}");
}

fn basic(text: &str) -> String {
    format!("Basic {}", STANDARD.encode(text))
}

#[test]
fn accepts_each_secret_of_a_client() {
    let fake = configured();
    // RFC 6749 §2.3.1 encodes both; some clients encode more than they must.
    for text in ["apache:old+secret", "apache:new%2Bsecret", "%61pache:%6Fld%20secret"] {
        check(&fake, &[&basic(text)], "", Ok(Some("apache")));
        check(&fake, &[&basic(text).replace("Basic ", "bASIC  ")], "client_id=apache", Ok(Some("apache")));
    }
    check(&fake, &[], "client_id=apache&client_secret=new%2Bsecret", Ok(Some("apache")));
}

#[test]
fn refuses_wrong_secrets() {
    let fake = configured();
    let wrong = [("apache:", ClientFault::SecretWrong), ("apache:new+secret", ClientFault::SecretWrong)];
    let hash = format!("apache:{}", hashed("old secret"));
    for (text, fault) in wrong.into_iter().chain([
        ("apache:old+secre", ClientFault::SecretWrong),
        ("apache:old+secret+", ClientFault::SecretWrong),
        (&hash, ClientFault::SecretWrong),
        ("Apache:old+secret", ClientFault::Unknown),
        ("nginx:old+secret", ClientFault::Unknown),
        (":old+secret", ClientFault::Unknown),
        ("gateway:old+secret", ClientFault::MethodMismatch),
        ("apache", ClientFault::Malformed),
        ("apache:%zz", ClientFault::Malformed),
    ]) {
        check(&fake, &[&basic(text)], "", Err(fault));
    }
    check(&fake, &["Basic"], "", Err(ClientFault::Malformed));
    check(&fake, &["Basic YTpi="], "", Err(ClientFault::Malformed));
    check(&fake, &[], "client_secret=old+secret", Err(ClientFault::Malformed));
    check(&fake, &[&basic("apache:old+secret")], "client_id=nginx", Err(ClientFault::IdMismatch));
}

#[test]
fn bounds_secrets_and_assertions() {
    let fake = configured();
    let long = "x".repeat(CLIENT_SECRET_BYTES_MAX);
    fake.clients.borrow_mut()[0].credential =
        ClientCredential::Secret(vec![hashed(&long), hashed(&format!("{long}x"))]);
    check(&fake, &[], &format!("client_id=apache&client_secret={long}"), Ok(Some("apache")));
    check(&fake, &[], &format!("client_id=apache&client_secret={long}x"), Err(ClientFault::SecretWrong));
    let assertion = |bytes: usize| PRIVATE_KEY_JWT.replace("a.b.c", &"x".repeat(bytes));
    check(&fake, &[], &assertion(SUBJECT_TOKEN_BYTES_MAX), Ok(Some("gateway")));
    let too_large = ClientFault::Assertion(TokenError::TooLarge);
    check(&fake, &[], &assertion(SUBJECT_TOKEN_BYTES_MAX + 1), Err(too_large));
}

#[test]
fn client_id_alone_is_no_credential() {
    let fake = configured();
    for (authorization, form) in [
        (vec![], ""),
        (vec![], "client_id=apache"),
        (vec![], "client_id=apache&client_secret="),
        (vec!["Bearer x"], ""),
    ] {
        check(&fake, &authorization, form, Ok(None));
    }
}

/// RFC 7523 §3: each assertion counts once.
#[test]
fn accepts_each_assertion_once() {
    let fake = configured();
    check(&fake, &[], PRIVATE_KEY_JWT, Ok(Some("gateway")));
    check(&fake, &[], PRIVATE_KEY_JWT, Err(ClientFault::AssertionSpent));
    fake.subject.borrow_mut().jti = Some("another".into());
    check(&fake, &[], &format!("{PRIVATE_KEY_JWT}&client_id=gateway"), Ok(Some("gateway")));
    fake.subject.borrow_mut().jti = None;
    let missing = ClientFault::Assertion(TokenError::ClaimMissing("jti".into()));
    check(&fake, &[], PRIVATE_KEY_JWT, Err(missing));
}

#[test]
fn refused_assertions_are_not_used_up() {
    let fake = configured();
    for error in [TokenError::AudienceMismatch, TokenError::SignatureInvalid, TokenError::TooOld] {
        fake.verify_error.replace(Some(error.clone()));
        check(&fake, &[], PRIVATE_KEY_JWT, Err(ClientFault::Assertion(error)));
    }
    fake.verify_error.replace(None);
    fake.subject.borrow_mut().key_thumbprint = Some("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k".into());
    let bound = ClientFault::Assertion(TokenError::ClaimInvalid("cnf".into()));
    check(&fake, &[], PRIVATE_KEY_JWT, Err(bound));
    assert_eq!(fake.count("consume"), 0);
}

#[test]
fn finds_the_client_by_its_own_id_only() {
    let fake = configured();
    for (iss, fault) in [("apache", ClientFault::MethodMismatch), ("https://ci.example", ClientFault::Unknown)] {
        fake.subject.borrow_mut().iss = iss.into();
        check(&fake, &[], PRIVATE_KEY_JWT, Err(fault));
    }
    assert_eq!((fake.count("verify"), fake.count("fetch_keys")), (0, 0), "no key is fetched for a stranger");
}

/// A JWT-SVID has no `jti` and is sent again and again (draft-ietf-oauth-spiffe-client-auth).
#[test]
fn accepts_svids_of_spiffe_issuers_only() {
    let fake = Fake::new();
    fake.subject.borrow_mut().jti = None;
    let expected = fake.subject.borrow().principal.clone();
    check(&fake, &[], SPIFFE_JWT, Err(ClientFault::NotSpiffe));
    fake.issuer.borrow_mut().as_mut().unwrap().provider = "spiffe".into();
    for _ in 0..2 {
        assert_eq!(authenticate(&fake, &[], SPIFFE_JWT), Ok(Some(expected.clone())));
    }
    assert_eq!(fake.count("consume"), 0);
    // Not with the type of the client's own assertions.
    check(&fake, &[], PRIVATE_KEY_JWT, Err(ClientFault::Unknown));
    fake.issuer.borrow_mut().as_mut().unwrap().replay = ReplayMode::SingleUse;
    assert_eq!(authenticate(&fake, &[], SPIFFE_JWT), Ok(Some(expected)));
    check(&fake, &[], SPIFFE_JWT, Err(ClientFault::AssertionSpent));
    fake.issuer.replace(None);
    check(&fake, &[], SPIFFE_JWT, Err(ClientFault::Assertion(TokenError::IssuerUntrusted)));
}

/// An outage is none of the client's faults.
#[test]
fn fails_closed_during_outages() {
    for (call, part) in [("client", Part::Policy), ("fetch_keys", Part::Issuer), ("consume", Part::Store)] {
        let fake = configured();
        fake.unavailable.borrow_mut().push(call);
        assert_eq!(authenticate(&fake, &[], PRIVATE_KEY_JWT), Err(Refusal::Unavailable(part)), "{call}");
    }
}

#[test]
fn decides_as_about_a_token_for_the_scope() {
    let fake = configured();
    let decide = |audience: &str, scope: &str| {
        let settings = run(fake.settings()).unwrap();
        let bundle = run(fake.bundle(&settings)).unwrap();
        let client = principal("apache");
        client::decide(&fake, &settings, &bundle, &client, (audience, scope), &ForwardedFor::default(), NOW).unwrap()
    };
    let decided = |is_permitted: bool, rules: &[&str]| {
        let determining_rules = rules.iter().map(|rule| (*rule).to_owned()).collect();
        Some(ClientDecision { is_permitted, determining_rules, erring_rules: vec![] })
    };
    let api = "https://api.example";
    assert_eq!(decide(api, "read"), decided(true, &["rule-1"]));
    assert_eq!(decide(api, "admin"), decided(false, &["rule-1"]), "permitted, but not offered");
    assert_eq!(decide("https://other.example", "read"), None);
    let asked = fake.questions.borrow()[0].clone();
    assert_eq!((asked.scopes, asked.requested_lifetime_seconds), (vec!["read".to_owned()], 300));
    fake.audience.borrow_mut().as_mut().unwrap().proof_required = true;
    assert_eq!(decide(api, "read"), decided(false, &["rule-1"]), "a client proves possession of nothing");
    fake.audience.borrow_mut().as_mut().unwrap().proof_required = false;
    fake.permitted.set(false);
    assert_eq!(decide(api, "read"), decided(false, &[]));
}

const FORM: &str = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token=a.b.c\
    &subject_token_type=urn:ietf:params:oauth:token-type:jwt&audience=https://api.example";

fn request_token(fake: &Fake, authorization: &[String], more: &str) -> Result<(), Refusal> {
    let form = format!("{FORM}{more}");
    let attempt = run(exchange(fake, form.as_bytes(), &[], authorization, &ForwardedFor::default()));
    attempt.outcome.map(|_| ()).map_err(|failure| failure.refusal)
}

/// Many clients insist on sending a secret, although the subject token is the credential.
#[test]
fn token_endpoint_ignores_secrets_without_clients() {
    let fake = Fake::new();
    for (authorization, more) in [
        (vec![basic("any:thing")], ""),
        (vec!["Basic !".to_owned()], ""),
        (vec![], "&client_id=any&client_secret=thing"),
        (vec![], "&client_secret=thing"),
    ] {
        assert_eq!(request_token(&fake, &authorization, more), Ok(()), "{authorization:?} {more}");
    }
}

#[test]
fn token_endpoint_never_ignores_assertions_or_several_credentials() {
    let fake = Fake::new();
    for (more, fault) in [
        (format!("&{PRIVATE_KEY_JWT}"), ClientFault::Unknown),
        (format!("&{SPIFFE_JWT}"), ClientFault::NotSpiffe),
        ("&client_assertion=x".to_owned(), ClientFault::AssertionIncomplete),
        ("&client_assertion=x&client_assertion_type=x".to_owned(), ClientFault::AssertionTypeUnsupported),
        ("&client_secret=x&client_assertion=x".to_owned(), ClientFault::Several),
    ] {
        assert_eq!(request_token(&fake, &[], &more), Err(Refusal::Client(fault)), "{more}");
    }
    assert_eq!(fake.records.borrow().len(), 0, "nothing is recorded without a verified subject token");
}

#[test]
fn token_endpoint_checks_secrets_once_there_is_a_client() {
    let fake = configured();
    *fake.subject.borrow_mut() = subject();
    assert_eq!(request_token(&fake, &[basic("apache:old+secret")], ""), Ok(()));
    assert_eq!(request_token(&fake, &[], ""), Ok(()), "a client without credentials needs none");
    let wrong = Err(Refusal::Client(ClientFault::SecretWrong));
    assert_eq!(request_token(&fake, &[basic("apache:wrong")], ""), wrong);
    assert_eq!(request_token(&fake, &[], "&client_id=apache&client_secret=wrong"), wrong);
    let error = WireError::from(&Refusal::Client(ClientFault::SecretWrong));
    let answer = (error.status, error.error, error.challenge(), &*error.description);
    assert_eq!(
        answer,
        (401, "invalid_client", Some("Basic realm=\"vouchsafe\""), "client authentication failed"),
        "callers learn no reason"
    );
}

/// What no request needs costs none: not even a question to policy.
#[test]
fn requests_without_credentials_cost_nothing_more() {
    let fake = configured();
    *fake.subject.borrow_mut() = subject();
    assert_eq!(request_token(&fake, &[], "&client_id=apache"), Ok(()));
    assert_eq!((fake.count("has_clients"), fake.count("client")), (0, 0));
}
