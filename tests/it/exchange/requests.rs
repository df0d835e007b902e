//! Requests that are wrong regardless of their token, and valid ones next to them.

use vouchsafe_harness::bundle::{API, BEYOND, DEPLOY, HSM, SCOPED};
use vouchsafe_harness::cases::Fixture;
use vouchsafe_harness::exchange::{
    FORM, Form, GRANT, GRANT_JWT_BEARER, TYPE_ACCESS, TYPE_ID, TYPE_JWT, Want, bad, check, refused,
};
use vouchsafe_harness::http::Request;

const BODY_BYTES_MAX: usize = 64 * 1024;
const PARAMETERS_MAX: usize = 64;
const SCOPES_MAX: usize = 32;
const AUDIENCE_BYTES_MAX: usize = 2048;
const MALFORMED: Want = bad("request.malformed");
const MISSING: Want = bad("request.parameter_missing");
const REPEATED: Want = bad("request.parameter_repeated");
const METHOD: Want = refused(405, "invalid_request", "request.method_not_allowed");
const CLIENT: Want = refused(401, "invalid_client", "client.invalid");
const CONTENT_TYPE: Want = refused(415, "invalid_request", "request.content_type_unsupported");
const TOO_LARGE: Want = refused(413, "invalid_request", "request.too_large");
const UNKNOWN: Want = refused(400, "invalid_target", "audience.unknown");
const LIFETIME: Want = bad("request.lifetime_invalid");
const CEILING: Want = bad("request.lifetime_over_ceiling");
const SCOPE: Want = refused(400, "invalid_scope", "scope.malformed");

type Make = Box<dyn Fn(Form) -> Request>;

/// A request built from a valid form.
pub struct RequestCase {
    name: String,
    pub want: Want,
    make: Make,
}

fn request(name: impl Into<String>, want: Want, make: impl Fn(Form) -> Request + 'static) -> RequestCase {
    RequestCase { name: name.into(), want, make: Box::new(make) }
}

fn form(name: impl Into<String>, want: Want, change: impl Fn(Form) -> Form + 'static) -> RequestCase {
    request(name, want, move |form| change(form).request())
}

fn set(parameter: &'static str, value: impl Into<String>, want: Want) -> RequestCase {
    let value = value.into();
    let shown: String = value.chars().take(40).collect();
    form(format!("{parameter} {shown:?}"), want, move |form| form.set(parameter, &value))
}

fn methods_and_types() -> Vec<RequestCase> {
    let mut cases = vec![form("a plain request", Want::Issued, |form| form)];
    for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "post", "TRACE", "BREW"] {
        cases.push(request(format!("method {method}"), METHOD, move |form| Request {
            method: method.to_owned(),
            ..form.request()
        }));
    }
    for (kind, want) in [
        ("application/x-www-form-urlencoded", Want::Issued),
        ("APPLICATION/X-WWW-FORM-URLENCODED", Want::Issued),
        ("application/x-www-form-urlencoded; charset=utf-8", Want::Issued),
        ("application/x-www-form-urlencoded ;charset=UTF-8", Want::Issued),
        ("application/json", CONTENT_TYPE),
        ("multipart/form-data; boundary=x", CONTENT_TYPE),
        ("text/plain", CONTENT_TYPE),
        ("application/x-www-form-urlencodedx", CONTENT_TYPE),
        ("application/json; x=application/x-www-form-urlencoded", CONTENT_TYPE),
        ("", CONTENT_TYPE),
    ] {
        cases.push(request(format!("content type {kind:?}"), want, move |form| {
            Request::post("/token", kind, form.body())
        }));
    }
    cases
}

fn targets_and_headers() -> Vec<RequestCase> {
    vec![
        request("no content type", CONTENT_TYPE, |form| Request { headers: Vec::new(), ..form.request() }),
        request("an empty query", Want::Issued, |form| Request { target: "/token?".into(), ..form.request() }),
        request("a parameter in the query", bad("request.query_not_allowed"), |form| Request {
            target: "/token?scope=read".into(),
            ..form.request()
        }),
        request("all parameters in the query", bad("request.query_not_allowed"), |form| Request {
            target: format!("/token?{}", form.body()),
            ..Request::post("/token", FORM, "")
        }),
        request("client credentials in a header", Want::Issued, |form| {
            form.request().with("authorization", "Basic Y2xpZW50OnNlY3JldA==")
        }),
        form("client credentials in the body", Want::Issued, |form| {
            form.and("client_id", "a").and("client_secret", "b")
        }),
        form("two client credentials", bad("client.several_credentials"), |form| {
            form.and("client_id", "a").and("client_secret", "b").and("client_assertion", "c")
        }),
        form("a client assertion that nobody trusts", CLIENT, |form| {
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            form.and("client_assertion", "a.b.c").and("client_assertion_type", kind)
        }),
        request("a forged path", Want::Issued, |form| form.request().with("spin-path-info", "/healthz")),
    ]
}

/// A body of exactly `bytes` bytes.
fn filled(form: &Form, bytes: usize) -> String {
    let body = form.body() + "&pad=";
    let missing = bytes - body.len();
    body + &"x".repeat(missing)
}

fn body() -> Vec<RequestCase> {
    let sized = |bytes: usize, chunk_bytes: Option<usize>, want| {
        let how = chunk_bytes.map_or("with a length".to_owned(), |size| format!("in chunks of {size}"));
        request(format!("a body of {bytes} bytes {how}"), want, move |form| Request {
            chunk_bytes,
            ..Request::post("/token", FORM, filled(&form, bytes))
        })
    };
    let raw = |name: &str, want, body: &'static [u8]| {
        request(name, want, move |form| Request::post("/token", FORM, [form.body().as_bytes(), body].concat()))
    };
    let many = |count: usize, want| {
        form(format!("{count} parameters"), want, move |form| {
            (4..count).fold(form, |form, index| form.and(&format!("p{index}"), "1"))
        })
    };
    vec![
        sized(BODY_BYTES_MAX, None, Want::Issued),
        sized(BODY_BYTES_MAX + 1, None, TOO_LARGE),
        sized(BODY_BYTES_MAX, Some(1000), Want::Issued),
        sized(BODY_BYTES_MAX + 1, Some(1000), TOO_LARGE),
        request("an empty body", MISSING, |_| Request::post("/token", FORM, "")),
        request("only ampersands", MISSING, |_| Request::post("/token", FORM, "&&&")),
        many(PARAMETERS_MAX, Want::Issued),
        many(PARAMETERS_MAX + 1, MALFORMED),
        raw("a broken escape", MALFORMED, b"&x=%"),
        raw("half an escape", MALFORMED, b"&x=%4"),
        raw("an escape of other letters", MALFORMED, b"&x=%zz"),
        raw("an escape that is not UTF-8", MALFORMED, b"&x=%ff"),
        raw("a byte that is not UTF-8", MALFORMED, b"&x=\xff"),
        raw("a name that is not UTF-8", MALFORMED, b"&%fe=x"),
        raw("a parameter without a value", Want::Issued, b"&x"),
        raw("a NUL in an unknown parameter", Want::Issued, b"&x=%00"),
        request("a JSON body called a form", MISSING, |_| Request::post("/token", FORM, r#"{"grant_type":"x"}"#)),
    ]
}

fn parameters() -> Vec<RequestCase> {
    let mut cases = Vec::new();
    for name in ["grant_type", "subject_token", "subject_token_type", "audience"] {
        cases.push(form(format!("no {name}"), MISSING, move |form| form.without(name)));
        cases.push(set(name, "", MISSING));
        cases.push(form(format!("{name} twice"), REPEATED, move |form| form.and(name, "x")));
        cases.push(form(format!("{name} twice, once empty"), REPEATED, move |form| form.and(name, "")));
    }
    cases.extend([
        form("an unknown parameter", Want::Issued, |form| form.and("unknown", "x")),
        form("an unknown parameter twice", REPEATED, |form| form.and("unknown", "x").and("unknown", "x")),
        request("a parameter twice, once in escapes", REPEATED, |form| {
            Request::post("/token", FORM, form.body() + "&%61udience=x")
        }),
        form("audience and resource", bad("request.audience_and_resource"), |form| form.and("resource", API)),
        form("resource alone", Want::Issued, |form| form.without("audience").and("resource", API)),
        form("resource twice", REPEATED, |form| form.without("audience").and("resource", API).and("resource", API)),
        form("an actor_token that is no token", bad("actor.token_rejected"), |form| {
            form.and("actor_token", "x").and("actor_token_type", TYPE_JWT)
        }),
        form(
            "authorization_details",
            refused(400, "invalid_authorization_details", "request.authorization_details_unsupported"),
            |form| form.and("authorization_details", "[]"),
        ),
        form("an actor_token alone", bad("request.parameter_missing"), |form| form.and("actor_token", "x")),
        form("an actor_token_type alone", bad("request.parameter_missing"), |form| {
            form.and("actor_token_type", TYPE_JWT)
        }),
    ]);
    cases
}

fn grants_and_types() -> Vec<RequestCase> {
    let mut cases = Vec::new();
    let grant = refused(400, "unsupported_grant_type", "grant.unsupported");
    for value in ["client_credentials", "authorization_code", "refresh_token"] {
        cases.push(set("grant_type", value, grant));
    }
    cases.push(set("grant_type", GRANT.to_uppercase(), grant));
    cases.push(set("grant_type", format!("{GRANT} "), grant));
    for (value, want) in [
        (TYPE_JWT, Want::Issued),
        (TYPE_ID, Want::Issued),
        (TYPE_ACCESS, bad("request.subject_token_type_unsupported")),
        ("urn:ietf:params:oauth:token-type:saml2", bad("request.subject_token_type_unsupported")),
        ("jwt", bad("request.subject_token_type_unsupported")),
    ] {
        cases.push(set("subject_token_type", value, want));
    }
    for (value, want) in [
        (TYPE_JWT, Want::Issued),
        (TYPE_ACCESS, Want::Issued),
        ("", Want::Issued),
        (TYPE_ID, bad("request.requested_token_type_unsupported")),
        ("urn:ietf:params:oauth:token-type:refresh_token", bad("request.requested_token_type_unsupported")),
        ("x", bad("request.requested_token_type_unsupported")),
    ] {
        cases.push(set("requested_token_type", value, want));
    }
    cases
}

/// RFC 7523 §2.1 and §3.1.
fn assertions() -> Vec<RequestCase> {
    let bearer = |name: &str, want, change: fn(Form) -> Form| {
        form(format!("an assertion, {name}"), want, move |form| change(form.as_assertion()))
    };
    let invalid = |slug| refused(400, "invalid_grant", slug);
    vec![
        bearer("for an audience", Want::Issued, |form| form),
        bearer("for a resource", Want::Issued, |form| form.without("audience").and("resource", API)),
        bearer("with a scope", Want::Issued, |form| form.and("scope", "read")),
        bearer("with a line feed", Want::Issued, |form| {
            let token = form.get("assertion");
            form.set("assertion", &format!("{token}\n"))
        }),
        bearer("and a subject token", Want::Issued, |form| form.and("subject_token", "x")),
        bearer("without one", MISSING, |form| form.without("assertion")),
        bearer("empty", MISSING, |form| form.set("assertion", "")),
        bearer("twice", REPEATED, |form| form.and("assertion", "x")),
        bearer("without audience", MISSING, |form| form.without("audience")),
        bearer("not a token", invalid("token.malformed"), |form| form.set("assertion", "x")),
        bearer("called Bearer", invalid("request.subject_token_bearer"), |form| form.set("assertion", "Bearer a.b.c")),
        bearer("with a space", invalid("request.subject_token_white_space"), |form| form.set("assertion", "a.b .c")),
        bearer("too long", invalid("token.too_large"), |form| form.set("assertion", &"x".repeat(16 * 1024 + 1))),
        bearer("for an unknown audience", UNKNOWN, |form| form.set("audience", "https://unknown.example")),
        bearer("and an actor", bad("request.actor_token_unsupported"), |form| form.and("actor_token", "x")),
        form("a subject token by the other grant", MISSING, |form| form.set("grant_type", GRANT_JWT_BEARER)),
    ]
}

/// How clients send the contents of a file, the output of a command or a header's value.
fn subject_tokens() -> Vec<RequestCase> {
    let around = |before: &'static str, after: &'static str, want| {
        request(format!("a token between {before:?} and {after:?}"), want, move |form: Form| {
            let token = form.get("subject_token");
            form.set("subject_token", &format!("{before}{token}{after}")).request()
        })
    };
    let (bearer, space) = (bad("request.subject_token_bearer"), bad("request.subject_token_white_space"));
    vec![
        around("", "\n", Want::Issued),
        around("\t ", " \r\n", Want::Issued),
        around("", "\u{a0}", bad("token.malformed")),
        around("Bearer ", "", bearer),
        around(" bearer ", "\n", bearer),
        around("Bearer", "", bad("token.malformed")),
        around("a ", "", space),
        around("", "\n.x", space),
        set("subject_token", "\n", MISSING),
    ]
}

fn targets() -> Vec<RequestCase> {
    let upper = API.to_uppercase();
    let mut cases: Vec<_> = [
        "https://unknown.example",
        "https://api.example/",
        "api",
        "*",
        "\u{0}",
        "https://api.example https://deploy.example",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([upper, "a".repeat(AUDIENCE_BYTES_MAX), "a".repeat(AUDIENCE_BYTES_MAX + 1)])
    .map(|audience| set("audience", audience, UNKNOWN))
    .collect();
    cases.extend([
        set("audience", HSM, refused(400, "invalid_target", "audience.tier_unavailable")),
        set("audience", BEYOND, refused(400, "invalid_target", "signer.refused")),
        set("audience", DEPLOY, Want::Issued),
    ]);
    cases
}

fn scopes() -> Vec<RequestCase> {
    let offered = refused(400, "invalid_scope", "scope.not_offered");
    let numbered = |count: usize| (0..count).map(|index| format!("s{index}")).collect::<Vec<_>>().join(" ");
    let mut cases = vec![
        set("scope", "read", Want::Issued),
        set("scope", "read write", Want::Issued),
        set("scope", "write read write", Want::Issued),
        set("scope", "", Want::Issued),
        set("scope", "admin", offered),
        set("scope", "read admin", offered),
        set("scope", "Read", offered),
        set("scope", "read,write", offered),
        set("scope", "*", offered),
        set("scope", numbered(SCOPES_MAX), offered),
        set("scope", numbered(SCOPES_MAX + 1), refused(400, "invalid_scope", "scope.too_many")),
        set("scope", vec!["read"; 1000].join(" "), Want::Issued),
    ];
    for scope in [
        " ",
        " read",
        "read ",
        "read  write",
        "read\twrite",
        "read\nwrite",
        "re\"ad",
        "re\\ad",
        "réad",
        "\u{7f}",
        "read\u{0}",
    ] {
        cases.push(set("scope", scope, SCOPE));
    }
    let scoped = |scope: &'static str, want| {
        form(format!("scope {scope:?} where one is required"), want, move |form| {
            form.set("audience", SCOPED).set("scope", scope)
        })
    };
    let missing = refused(400, "invalid_scope", "scope.missing");
    cases.extend([
        form("no scope where one is required", missing, |form| form.set("audience", SCOPED)),
        scoped("", missing),
        scoped("read", Want::Issued),
        scoped("read write", Want::Issued),
        scoped("admin", offered),
    ]);
    cases
}

fn lifetimes() -> Vec<RequestCase> {
    let mut cases = vec![
        set("requested_expires_in", "1", Want::Issued),
        set("requested_expires_in", "007", Want::Issued),
        set("requested_expires_in", "900", Want::Issued),
        set("requested_expires_in", "901", CEILING),
        set("requested_expires_in", "18446744073709551615", CEILING),
        set("requested_expires_in", "18446744073709551616", CEILING),
        set("requested_expires_in", "9".repeat(1000), CEILING),
        set("requested_expires_in", "", Want::Issued),
    ];
    for text in ["0", "000", "-1", "-0", "+60", " 60", "60 ", "6e1", "60.0", "0x3c", "abc", "NaN", "٦٠", "60\u{0}"] {
        cases.push(set("requested_expires_in", text, LIFETIME));
    }
    cases
}

pub fn cases() -> Vec<RequestCase> {
    [
        methods_and_types(),
        targets_and_headers(),
        body(),
        parameters(),
        grants_and_types(),
        assertions(),
        subject_tokens(),
        targets(),
        scopes(),
        lifetimes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn rejects_malformed_exchange_requests() {
    let fixture = Fixture::start();
    let cases = cases();
    let mut failures = Vec::new();
    for case in &cases {
        let token = fixture.token();
        let request = (case.make)(Form::of(&token));
        if let Err(reason) = check(&fixture.broker, &request, &token, case.want) {
            failures.push(format!("- {}: {reason}", case.name));
        }
    }
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
    fixture.broker.assert_healthy();
}

/// A denied audience must look the same as one that doesn't exist.
#[test]
fn answers_denied_and_unknown_audience_alike() {
    let fixture = Fixture::start();
    let mut claims = fixture.claims();
    claims["repository_id"] = "999".into();
    let ask = |audience: &str, scope: &str| {
        let token = vouchsafe_harness::jwt::mint("RS256", &claims);
        let form = Form::of(&token).set("audience", audience).and("scope", scope).and("requested_expires_in", "99999");
        let response = fixture.broker.send(&form.request());
        let mut body = response.json();
        let decision_id = body["decision_id"].take();
        let suffix = format!(" (decision {})", decision_id.as_str().expect("a decision"));
        let description = body["error_description"].as_str().expect("a description");
        let description = description.strip_suffix(&suffix).expect("it ends with the id").to_owned();
        body["error_description"] = description.into();
        (response.status, body)
    };
    let unknown = ask("https://unknown.example", "admin");
    for audience in [API, DEPLOY, HSM, BEYOND, SCOPED] {
        assert_eq!(ask(audience, "admin"), unknown, "{audience}");
        assert_eq!(ask(audience, ""), unknown, "{audience} without scopes");
    }
}
