//! What a log line contains, the ids of requests, and how much an anonymous client can make a broker log.

use std::collections::BTreeSet;
use vouchsafe_harness::bundle::API;
use vouchsafe_harness::cases::Fixture;
use vouchsafe_harness::exchange::Form;
use vouchsafe_harness::http::Request;
use vouchsafe_harness::scene::{START, Scene};
use vouchsafe_harness::{jwt, now};

/// `LINES_PER_MINUTE_MAX` of the exchange.
const LINES: usize = 100;
const MORE: usize = 5;
const JWKS: &str = "/.well-known/jwks.json";

#[test]
fn limits_log_lines_for_unknown_paths() {
    let broker = Scene::new().start_at(0);
    for number in 0..LINES + MORE {
        assert_eq!(broker.get(&format!("/{number}")).status, 404);
    }
    assert_eq!(broker.get(JWKS).status, 200);
    let lines = broker.lines_until("jwks");
    let unknown = lines.iter().filter(|line| line["slug"] == "not_found");
    assert_eq!(unknown.count(), LINES);
    broker.assert_healthy();
}

#[test]
fn logs_time_issuer_and_audience() {
    let scene = Scene::new();
    let broker = scene.start_at(0);
    let token = jwt::mint("ES256", &scene.claims_at(0));
    assert_eq!(broker.send(&Form::of(&token).request()).status, 200);
    let line = broker.line("token");
    let time = line["time"].as_u64().expect("Unix seconds");
    assert!((START..START + 300).contains(&time), "{line}");
    assert_eq!((&line["level"], &line["issuer"], &line["audience"]), (&"info".into(), &"main".into(), &API.into()));
    // What the caller chose is logged only if it is configured.
    let unknown = "https://unknown.example";
    assert_eq!(broker.send(&Form::of(&token).set("audience", unknown).request()).status, 400);
    let line = broker.line("token");
    assert_eq!((&line["issuer"], line.get("audience")), (&"main".into(), None), "{line}");
    let mut claims = scene.claims_at(0);
    claims["iss"] = unknown.into();
    assert_eq!(broker.send(&Form::of(&jwt::mint("ES256", &claims)).request()).status, 400);
    let line = broker.line("token");
    assert_eq!((&line["slug"], line.get("issuer")), (&"token.issuer_untrusted".into(), None), "{line}");
    assert!(!line.to_string().contains(unknown), "{line}");
}

/// Every route, also for methods that it refuses.
fn requests(token: &str) -> Vec<(&'static str, Request)> {
    let post = |path: &str| Request { method: "POST".to_owned(), ..Request::get(path) };
    vec![
        ("token", Form::of(token).request()),
        ("token", Form::of("x").request()),
        ("token", Request::get("/token")),
        ("jwks", Request::get(JWKS)),
        ("jwks", Request::get(JWKS).with("if-none-match", "*")),
        ("jwks", post(JWKS)),
        ("openid-configuration", Request::get("/.well-known/openid-configuration")),
        ("oauth-authorization-server", Request::get("/.well-known/oauth-authorization-server")),
        ("healthz", Request::get("/healthz")),
        ("readyz", Request::get("/readyz")),
        ("other", Request::get("/token/")),
    ]
}

#[test]
fn gives_every_response_an_id() {
    let fixture = Fixture::start();
    let token = fixture.token();
    let mut ids = BTreeSet::new();
    // The host has asked whether the broker is ready.
    fixture.broker.line("readyz");
    for (route, request) in requests(&token) {
        let shown = format!("{} {}", request.method, request.target);
        // A client's own id is ignored.
        let response = fixture.broker.send(&request.with("x-request-id", "chosen-by-the-client"));
        let id = response.header("x-request-id").unwrap_or_default().to_owned();
        assert_eq!(id.len(), 22, "128 bits in base64url: {shown}: {id:?}");
        let line = fixture.broker.line(route);
        assert_eq!(line["request_id"], id.as_str(), "{shown}");
        assert!(line["time"].as_u64().is_some_and(|time| time.abs_diff(now()) < 60), "{line}");
        assert!(ids.insert(id), "{shown}: an id was used twice");
        assert!(response.body.is_empty() || response.body.ends_with(b"\n"), "{shown}: {}", response.text());
    }
}

#[test]
fn ends_refusals_with_an_id() {
    let fixture = Fixture::start();
    let description = |form: Form| {
        let response = fixture.broker.send(&form.request());
        let line = fixture.broker.line("token");
        (response.json()["error_description"].as_str().expect("a description").to_owned(), line)
    };
    let (text, line) = description(Form::of("x"));
    assert_eq!(
        text,
        format!("the subject token is malformed (request {})", line["request_id"].as_str().expect("an id"))
    );
    let (text, line) = description(Form::of(&fixture.token()).set("audience", "https://unknown.example"));
    let id = line["decision_id"].as_str().expect("a decision");
    assert_eq!(text, format!("the requested audience is unknown or not allowed for this subject (decision {id})"));
}

#[test]
fn unknown_path_points_to_endpoints() {
    let fixture = Fixture::start();
    for path in ["/", "/token/", "/tokens"] {
        let response = fixture.broker.get(path);
        let body = response.json();
        assert_eq!((response.status, &body["error"]), (404, &"not_found".into()), "{path}");
        let hint = "nothing has this path: /.well-known/openid-configuration lists the endpoints (request ";
        assert!(body["error_description"].as_str().is_some_and(|text| text.starts_with(hint)), "{body}");
    }
}
