//! Correctly signed tokens whose claims are missing, wrong, or on one side of a limit.

use serde_json::{Value, json};
use vouchsafe_harness::bundle::{API, BROKER, LONG};
use vouchsafe_harness::cases::{Fixture, TokenCase, case, claims_case};
use vouchsafe_harness::exchange::{Form, Want, bad, refused};
use vouchsafe_harness::jwt::{mint, mint_raw};
use vouchsafe_harness::keys::Key;

/// The commonest first mistake is answered with what is accepted, never with what the token says.
#[test]
fn names_accepted_audience_to_holder_of_token() {
    let fixture = Fixture::start();
    let mut claims = fixture.claims();
    claims["aud"] = format!("{BROKER}/").into();
    let ask = |token: &str| fixture.broker.send(&Form::of(token).request()).json()["error_description"].to_string();
    let token = mint("RS256", &claims);
    let named = format!("the subject token's audience is not this broker: its aud must be {BROKER} (request ");
    assert!(ask(&token).starts_with(&format!("\"{named}")), "{}", ask(&token));
    // Without a valid signature, nothing is said about the audience.
    let forged = format!("{}.{}", token.rsplit_once('.').expect("a signature").0, "A".repeat(342));
    assert!(ask(&forged).starts_with("\"the subject token's signature is invalid (request "), "{}", ask(&forged));
}

const EXPIRED: Want = bad("token.expired");
const EARLY: Want = bad("token.not_yet_valid");
const INVALID: Want = bad("token.claim_invalid");
const MISSING: Want = bad("token.claim_missing");
const MISMATCH: Want = bad("token.audience_mismatch");
const UNTRUSTED: Want = bad("token.issuer_untrusted");

/// The defaults, which the tests' issuer files leave unchanged.
const LEEWAY_SECONDS: u64 = 30;
const TOKEN_AGE_SECONDS: u64 = 600;
const NUMERIC_DATE_MAX: u64 = 253_402_300_799;
const SUB_BYTES_MAX: usize = 1024;
const JTI_BYTES_MAX: usize = 256;

fn set(name: impl Into<String>, want: Want, claim: &'static str, value: Value) -> TokenCase {
    claims_case(name, want, move |claims, _, _| claims[claim] = value.clone())
}

fn without(claim: &'static str, want: Want) -> TokenCase {
    claims_case(format!("no {claim}"), want, move |claims, _, _| {
        claims.as_object_mut().expect("claims").remove(claim);
    })
}

/// A time claim `offset` seconds from now.
fn time(claim: &'static str, offset: i64, want: Want) -> TokenCase {
    claims_case(format!("{claim} {offset:+} s"), want, move |claims, _, now| {
        claims[claim] = json!(now.checked_add_signed(offset).expect("a time"));
    })
}

/// A number that `serde_json` would not write, as text.
fn literal(claim: &'static str, text: &'static str, want: Want) -> TokenCase {
    case(format!("{claim} {text}"), want, move |fixture: &Fixture| {
        let mut claims = fixture.claims();
        claims[claim] = json!("LITERAL");
        let payload = claims.to_string().replace("\"LITERAL\"", text);
        mint_raw(&Key::issuer("RS256"), r#"{"alg":"RS256","kid":"RS256"}"#, payload)
    })
}

fn edges() -> Vec<TokenCase> {
    let leeway = i64::try_from(LEEWAY_SECONDS).expect("small");
    let age = i64::try_from(TOKEN_AGE_SECONDS).expect("small");
    vec![
        // Within the leeway such a token has no lifetime left to pass on, unless the audience opts out.
        time("exp", 1, Want::Issued),
        time("exp", 0, EXPIRED),
        time("exp", 0, Want::Issued).for_audience(LONG),
        time("exp", 1 - leeway, Want::Issued).for_audience(LONG),
        time("exp", -leeway, EXPIRED).for_audience(LONG),
        time("exp", -leeway - 1, EXPIRED).for_audience(LONG),
        time("nbf", leeway, Want::Issued),
        time("nbf", leeway + 1, EARLY),
        time("nbf", 1_000_000, EARLY),
        time("iat", leeway, Want::Issued),
        time("iat", leeway + 1, EARLY),
        time("iat", -age - leeway, Want::Issued),
        time("iat", -age - leeway - 1, bad("token.too_old")),
        without("nbf", Want::Issued),
        without("iat", MISSING),
        without("exp", MISSING),
    ]
}

fn times() -> Vec<TokenCase> {
    let mut cases = edges();
    for claim in ["exp", "nbf", "iat"] {
        for value in [json!("1900000000"), json!(true), json!(null), json!([1_900_000_000]), json!({}), json!("")] {
            cases.push(set(format!("{claim} {value}"), INVALID, claim, value));
        }
        for text in ["-1", "-0.5", "253402300800", "1e300", "18446744073709551616", "-9223372036854775809"] {
            cases.push(literal(claim, text, INVALID));
        }
        cases.push(literal(claim, "1e400", bad("token.malformed")));
        cases.push(literal(claim, "0x7fffffff", bad("token.malformed")));
        cases.push(literal(claim, "01900000000", bad("token.malformed")));
    }
    cases.extend([
        set("the last NumericDate", Want::Issued, "exp", json!(NUMERIC_DATE_MAX)),
        set("exp 0", EXPIRED, "exp", json!(0)),
        literal("exp", "0.0", EXPIRED),
        literal("exp", "253402300799.0", Want::Issued),
        literal("exp", "2e11", Want::Issued),
        claims_case("an exp with a fraction", Want::Issued, |claims, _, now| claims["exp"] = json!(now as f64 + 60.5)),
        // The fraction is truncated, so the token expires now.
        claims_case("an exp that ends within this second", EXPIRED, |claims, _, now| {
            claims["exp"] = json!(now as f64 + 0.75)
        }),
        set("nbf 0", Want::Issued, "nbf", json!(0)),
        set("iat 0", bad("token.too_old"), "iat", json!(0)),
    ]);
    cases
}

fn audiences() -> Vec<TokenCase> {
    let mismatch = |name: &str, value: Value| set(name, MISMATCH, "aud", value);
    let mut cases = vec![
        without("aud", MISSING),
        set("the broker in an array", Want::Issued, "aud", json!([BROKER])),
        mismatch("an empty aud", json!("")),
        mismatch("an empty array", json!([])),
        mismatch("an empty text in an array", json!([""])),
        mismatch("another audience", json!("https://other.example")),
        mismatch("another audience in an array", json!(["https://other.example"])),
        mismatch("two audiences", json!([BROKER, "https://other.example"])),
        mismatch("the broker behind another", json!(["https://other.example", BROKER])),
        mismatch("the broker twice", json!([BROKER, BROKER])),
        mismatch("the requested audience", json!(API)),
        mismatch("the broker and a slash", json!(format!("{BROKER}/"))),
        mismatch("the broker and a space", json!(format!("{BROKER} "))),
        mismatch("the broker in capitals", json!(BROKER.to_uppercase())),
        mismatch("less than the broker", json!(&BROKER[..BROKER.len() - 1])),
        mismatch("the broker and a NUL", json!(format!("{BROKER}\0"))),
    ];
    for value in
        [json!(null), json!(1), json!(true), json!({ "a": BROKER }), json!([1]), json!([BROKER, 1]), json!([null])]
    {
        cases.push(set(format!("aud {value}"), INVALID, "aud", value));
    }
    cases
}

fn issuers() -> Vec<TokenCase> {
    let of = |name: &str, change: fn(&str) -> String| {
        claims_case(name, UNTRUSTED, move |claims, fixture, _| {
            claims["iss"] = json!(change(&fixture.issuer.url("main")))
        })
    };
    let mut cases = vec![
        without("iss", MISSING),
        of("a slash too many", |url| format!("{url}/")),
        of("a letter too few", |url| url[..url.len() - 1].to_owned()),
        of("a letter too many", |url| format!("{url}x")),
        of("a letter in capitals", |url| url.replace("main", "Main")),
        of("the scheme in capitals", |url| url.replace("http", "HTTP")),
        of("https for http", |url| url.replace("http", "https")),
        of("localhost for the address", |url| url.replace("127.0.0.1", "localhost")),
        of("a user in front", |url| url.replace("127", "user@127")),
        of("a query", |url| format!("{url}?")),
        of("a fragment", |url| format!("{url}#")),
        of("an escaped letter", |url| url.replace("main", "%6dain")),
        of("a dot segment", |url| url.replace("main", "./main")),
        of("a space behind", |url| format!("{url} ")),
        of("nothing", |_| String::new()),
        set("our own issuer", UNTRUSTED, "iss", json!(BROKER)),
        set(
            "GitHub, which this bundle does not trust",
            UNTRUSTED,
            "iss",
            json!("https://token.actions.githubusercontent.com"),
        ),
        claims_case("an issuer that could be fetched, and is not configured", UNTRUSTED, |claims, fixture, _| {
            claims["iss"] = json!(fixture.canary.url("keys"));
        }),
        // The same claims, correctly signed, from a second issuer of the same provider.
        claims_case(
            "the same claims from another issuer",
            refused(400, "invalid_target", "policy.denied"),
            |claims, fixture, _| {
                claims["iss"] = json!(fixture.issuer.url("other"));
            },
        ),
    ];
    for value in [json!(null), json!(1), json!({})] {
        cases.push(set(format!("iss {value}"), INVALID, "iss", value));
    }
    for claim in ["act", "may_act"] {
        cases.push(set(claim, INVALID, claim, json!({ "sub": "service" })));
    }
    cases.push(claims_case("an array of issuers", INVALID, |claims, fixture, _| {
        claims["iss"] = json!([fixture.issuer.url("main")])
    }));
    cases
}

fn workload() -> Vec<TokenCase> {
    let sub = |name: &str, want, value| set(name, want, "sub", value);
    let jti = |name: &str, want, value| set(name, want, "jti", value);
    let mut cases = vec![
        without("sub", MISSING),
        sub("a sub at the limit", Want::Issued, json!("s".repeat(SUB_BYTES_MAX))),
        sub("a sub over the limit", INVALID, json!("s".repeat(SUB_BYTES_MAX + 1))),
        sub("an empty sub", INVALID, json!("")),
        sub("a sub with a line feed", INVALID, json!("a\nb")),
        sub("a sub with a NUL", INVALID, json!("a\0b")),
        sub("a sub that reads backwards", INVALID, json!("a\u{202e}b")),
        sub("a sub with a line separator", INVALID, json!("a\u{2028}b")),
        sub("a sub with a zero-width space", INVALID, json!("a\u{200b}b")),
        sub("a sub with quotes and colons", Want::Issued, json!("a:\"b\\\":c")),
        without("jti", Want::Issued),
        jti("a jti at the limit", Want::Issued, json!("j".repeat(JTI_BYTES_MAX))),
        jti("a jti over the limit", INVALID, json!("j".repeat(JTI_BYTES_MAX + 1))),
        jti("an empty jti", INVALID, json!("")),
        set("another repository", refused(400, "invalid_target", "policy.denied"), "repository_id", json!("123457")),
        set("an empty required claim", INVALID, "repository_id", json!("")),
        set("an empty optional claim", Want::Issued, "environment", json!("")),
        without("environment", Want::Issued),
    ];
    cases.extend(types_of_workload_claims());
    for claim in ["repository", "repository_id", "repository_owner", "ref", "event_name", "workflow", "run_id", "actor"]
    {
        cases.push(without(claim, MISSING));
    }
    cases
}

fn types_of_workload_claims() -> Vec<TokenCase> {
    let mut cases = Vec::new();
    for value in [json!(null), json!(1), json!(["x"]), json!({})] {
        cases.push(set(format!("sub {value}"), INVALID, "sub", value.clone()));
        cases.push(set(format!("jti {value}"), INVALID, "jti", value.clone()));
        cases.push(set(format!("repository_id {value}"), INVALID, "repository_id", value.clone()));
        cases.push(set(format!("optional environment {value}"), INVALID, "environment", value));
    }
    cases
}

pub fn cases() -> Vec<TokenCase> {
    [times(), audiences(), issuers(), workload()].into_iter().flatten().collect()
}

#[test]
fn checks_both_sides_of_each_claim_limit() {
    Fixture::start().run(cases());
}

/// Tokens that Vouchsafe issued can't be exchanged.
#[test]
fn rejects_token_that_broker_issued_itself() {
    let fixture = Fixture::start();
    let issued = fixture.broker.send(&vouchsafe_harness::exchange::Form::of(&fixture.token()).request()).json();
    fixture.broker.line("token");
    let own = issued["access_token"].as_str().expect("a token").to_owned();
    fixture.run(vec![case("our own token", UNTRUSTED, move |_| own.clone())]);
}

/// `iat` of the issued token is the broker's clock, so the limits above are exact.
#[test]
fn limits_lifetime_to_subject_token_expiry() {
    let fixture = Fixture::start();
    let mut claims = fixture.claims();
    let exp = claims["iat"].as_u64().expect("a time") + 100;
    claims["exp"] = json!(exp);
    let form = vouchsafe_harness::exchange::Form::of(&mint("RS256", &claims));
    let body = fixture.broker.send(&form.request()).json();
    let issued = vouchsafe_harness::jwt::Issued::parse(body["access_token"].as_str().expect("a token"));
    assert_eq!(issued.number("exp"), exp);
    assert_eq!(body["expires_in"].as_u64(), Some(exp - issued.number("iat")));
}
