//! Clients of the bundle: `POST /introspect`, `/revoke` and `/token` with a secret, a key or a JWT-SVID.

use crate::revocation::scene::INACTIVE;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use vouchsafe_harness::administration::*;
use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::bundle::{API, BROKER, DEPLOY, IssuerFile};
use vouchsafe_harness::exchange::{FORM, Form};
use vouchsafe_harness::http::{Request, Response};
use vouchsafe_harness::issuer::{Issuer, Script};
use vouchsafe_harness::jwt::{self, Issued};
use vouchsafe_harness::keys::Key;
use vouchsafe_harness::now;

/// Two, as during a rotation.
const SECRETS: [&str; 2] = ["correct horse battery staple", "the next one"];
const SVID: &str = "spiffe://example.org/ns/prod/sa/gateway";
const CHALLENGE: &str = "Basic realm=\"vouchsafe\"";

struct Scene {
    issuer: Issuer,
    setup: Setup,
    broker: Broker,
}

/// `<issuer>/introspect` for two clients and a workload, each for tokens of [`API`].
const RULES: &str = r#"
@id("clients-introspect")
permit (
  principal is Vouchsafe::Client in Issuer::"clients",
  action == Action::"issue",
  resource == Audience::"http://127.0.0.1:3999/introspect"
) when { ["https://api.example"].containsAll(context.scopes) };

@id("mesh-introspects")
permit (
  principal is Spiffe::Workload in Issuer::"spire",
  action == Action::"issue",
  resource == Audience::"http://127.0.0.1:3999/introspect"
) when { principal.path == "/ns/prod/sa/gateway" && ["https://api.example"].containsAll(context.scopes) };

@id("not-suspended")
forbid (principal == Vouchsafe::Client::"suspended", action, resource);
"#;

impl Scene {
    fn new() -> Self {
        let mut bundle_key = Key::issuer("ES256").jwk("ES256");
        bundle_key["use"] = json!("jwt-svid");
        let issuer = Issuer::start([("main", Script::honest()), ("bundle", Script::Keys(vec![bundle_key]))]);
        let mut files = issuer.files();
        files.retain(|file| file.name == "main");
        let keys = format!("keys = {{ jwks_uri = \"{}/jwks\" }}\n", issuer.url("bundle"));
        files.push(IssuerFile::new("spire", "spiffe://example.org", keys).of("spiffe"));
        let setup = administered(Setup::broker(&files, &[issuer.origin()]));
        let policies = setup.folder.join("policies");
        std::fs::create_dir(policies.join("clients")).expect("a folder");
        let put = |path: &str, text: String| std::fs::write(policies.join(path), text).expect("a file");
        let hashes = SECRETS.map(|secret| format!("\"sha256:{}\"", sha256(secret))).join(", ");
        put("clients/apache.toml", format!("secrets = [{hashes}]\n"));
        put("clients/suspended.toml", format!("secrets = [{hashes}]\n"));
        let keys = json!({ "keys": [Key::issuer("ES256").jwk("k1"), Key::issuer("EdDSA").jwk("k2")] });
        put("clients/gateway.toml", format!("jwks = '{keys}'\nalgorithms = [\"ES256\", \"EdDSA\"]\n"));
        put("rules/clients.cedar", RULES.to_owned());
        let broker = setup.start();
        Self { issuer, setup, broker }
    }

    fn token(&self) -> String {
        obtain(&self.broker, &self.issuer, WORKLOAD, API, "read")
    }

    /// Introspects `token` with further parameters and an `authorization` header.
    fn ask(&self, token: &str, more: &str, authorization: Option<&str>) -> Response {
        let request = Request::post("/introspect", FORM, format!("token={token}{more}"));
        let request = authorization.iter().fold(request, |request, value| request.with("authorization", value));
        self.broker.send(&request)
    }

    fn is_active(&self, token: &str, more: &str, authorization: Option<&str>) -> bool {
        let response = self.ask(token, more, authorization);
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let is_active = response.json()["active"] == true;
        assert!(is_active || response.text() == INACTIVE, "{}", response.text());
        is_active
    }
}

fn sha256(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{}", secret.replace(' ', "+"))))
}

/// An assertion of the client `gateway`.
fn assertion(change: impl FnOnce(&mut Value, &mut Value)) -> String {
    let now = now();
    let mut header = json!({ "alg": "ES256", "kid": "k1", "typ": "client-authentication+jwt" });
    let mut claims = json!({
        "iss": "gateway", "sub": "gateway", "aud": BROKER, "jti": format!("j-{}", unique()), "iat": now, "exp": now + 60,
    });
    change(&mut header, &mut claims);
    let alg = header["alg"].as_str().unwrap_or("ES256").to_owned();
    jwt::mint_raw(&Key::issuer(&alg), header.to_string(), claims.to_string())
}

fn remove(object: &mut Value, name: &str) {
    object.as_object_mut().expect("an object").remove(name);
}

fn unique() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

fn with(kind: &str, assertion: &str) -> String {
    format!("&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:{kind}&client_assertion={assertion}")
}

fn refused(response: &Response) {
    let body = response.json();
    let answer = (response.status, response.header("www-authenticate"), body["error"].as_str());
    assert_eq!(answer, (401, Some(CHALLENGE), Some("invalid_client")), "{}", response.text());
    let text = body["error_description"].as_str().expect("a description");
    assert!(text.starts_with("client authentication failed (request "), "one text for every reason: {text}");
}

#[test]
fn clients_introspect_the_audiences_that_policy_permits() {
    let scene = Scene::new();
    let token = scene.token();
    let deploy = obtain(&scene.broker, &scene.issuer, WORKLOAD, DEPLOY, "");
    for secret in SECRETS {
        let authorization = basic("apache", secret);
        assert!(scene.is_active(&token, "", Some(&authorization)));
        assert!(!scene.is_active(&deploy, "", Some(&authorization)), "another audience");
    }
    let line = scene.broker.line("introspect");
    assert_eq!((&line["issuer"], &line["slug"]), (&json!("clients"), &json!("ok")), "{line}");
    let posted = format!("&client_id=apache&client_secret={}", SECRETS[0].replace(' ', "+"));
    assert!(scene.is_active(&token, &posted, None));
    for kind in [json!("client-authentication+jwt"), json!("JWT"), Value::Null] {
        let assertion = assertion(|header, _| match kind.is_null() {
            true => remove(header, "typ"),
            false => header["typ"] = kind.clone(),
        });
        assert!(scene.is_active(&token, &with("jwt-bearer", &assertion), None), "{kind}");
    }
    let eddsa = assertion(|header, claims| {
        *header = json!({ "alg": "EdDSA", "kid": "k2" });
        claims["aud"] = json!([BROKER]);
    });
    assert!(scene.is_active(&token, &with("jwt-bearer", &eddsa), None));
    // A `forbid` overrides, as for any workload.
    assert!(!scene.is_active(&token, "", Some(&basic("suspended", SECRETS[0]))));
    scene.broker.assert_healthy();
}

/// A workload of a SPIFFE issuer authenticates with its SVID, without a client file.
#[test]
fn svid_authenticates_its_workload() {
    let scene = Scene::new();
    let token = scene.token();
    let svid = |sub: &str, aud: &str| {
        let claims = json!({ "sub": sub, "aud": [aud], "exp": now() + 300 });
        jwt::mint_raw(&Key::issuer("ES256"), json!({ "alg": "ES256", "kid": "ES256" }).to_string(), claims.to_string())
    };
    let good = svid(SVID, BROKER);
    for _ in 0..2 {
        assert!(scene.is_active(&token, &with("jwt-spiffe", &good), None), "it can be sent again");
    }
    let stated = format!("{}&client_id={SVID}", with("jwt-spiffe", &good));
    assert!(scene.is_active(&token, &stated, None));
    let other = svid("spiffe://example.org/ns/prod/sa/other", BROKER);
    assert!(!scene.is_active(&token, &with("jwt-spiffe", &other), None), "authenticated, and permitted nothing");
    let of_ci = jwt::mint("RS256", &scene.issuer.claims(now()));
    for (kind, token) in [
        ("jwt-spiffe", svid(SVID, "https://other.example")),
        ("jwt-spiffe", svid("spiffe://example.com/ns/prod/sa/gateway", BROKER)),
        ("jwt-spiffe", of_ci.clone()),
        ("jwt-bearer", good),
        ("jwt-bearer", of_ci),
    ] {
        refused(&scene.ask("t", &with(kind, &token), None));
    }
}

/// draft-ietf-oauth-rfc7523bis after CVE-2025-27370: the audience is the issuer alone, so that no other server can use the
/// assertion. doorkeeper#1924 took it from `Host`, better-auth#10811 accepted any.
#[test]
fn refuses_assertions_that_prove_nothing() {
    let scene = Scene::new();
    type Change = fn(&mut Value, &mut Value);
    let cases: [(&str, Change); 13] = [
        ("the endpoint as audience", |_, claims| claims["aud"] = json!(format!("{BROKER}/introspect"))),
        ("the token endpoint", |_, claims| claims["aud"] = json!(format!("{BROKER}/token"))),
        ("a trailing slash", |_, claims| claims["aud"] = json!(format!("{BROKER}/"))),
        ("several audiences", |_, claims| claims["aud"] = json!([BROKER, "https://other.example"])),
        ("another subject", |_, claims| claims["sub"] = json!("apache")),
        ("another client", |_, claims| claims["iss"] = json!("apache")),
        ("an unknown client", |_, claims| claims["iss"] = json!("nginx")),
        ("no jti", |_, claims| remove(claims, "jti")),
        ("expired", |_, claims| claims["exp"] = json!(now() - 31)),
        ("signed long ago", |_, claims| claims["iat"] = json!(now() - 331)),
        ("an access token", |header, _| header["typ"] = json!("at+jwt")),
        ("an unknown key", |header, _| header["kid"] = json!("k9")),
        ("another algorithm", |header, _| header["alg"] = json!("RS256")),
    ];
    for (name, change) in cases {
        println!("{name}");
        refused(&scene.ask("t", &with("jwt-bearer", &assertion(change)), None));
    }
    let forged = {
        let good = assertion(|_, _| {});
        let parts: Vec<&str> = good.split('.').collect();
        let claims = jwt::from_base64url(parts[1]).expect("base64url");
        let header = jwt::from_base64url(parts[0]).expect("base64url");
        jwt::mint_raw(&Key::stranger("ES256"), header, claims)
    };
    refused(&scene.ask("t", &with("jwt-bearer", &forged), None));
    refused(&scene.ask("t", &with("saml2-bearer", &assertion(|_, _| {})), None));
    let response = scene.broker.send(
        &Request::post(
            "/introspect",
            FORM,
            format!(
                "token=t{}",
                with(
                    "jwt-bearer",
                    &assertion(|_, claims| {
                        claims["aud"] = json!("https://evil.example");
                    })
                )
            ),
        )
        .with("x-forwarded-host", "evil.example"),
    );
    refused(&response);
    scene.broker.assert_healthy();
}

/// Across restarts too: the store remembers it. kc#31296 forgot what it kept in memory.
#[test]
fn assertions_count_once() {
    let scene = Scene::new();
    let token = scene.token();
    let more = with("jwt-bearer", &assertion(|_, _| {}));
    assert!(scene.is_active(&token, &more, None));
    refused(&scene.ask(&token, &more, None));
    let Scene { setup, broker, .. } = scene;
    drop(broker);
    let again = setup.start();
    refused(&again.send(&Request::post("/introspect", FORM, format!("token={token}{more}"))));
}

#[test]
fn wrong_secrets_are_refused_and_logged_without_them() {
    let scene = Scene::new();
    let token = scene.token();
    for authorization in [
        basic("apache", "wrong"),
        basic("apache", ""),
        basic("apache", &sha256(SECRETS[0])),
        basic("gateway", SECRETS[0]),
        basic("nobody", SECRETS[0]),
        "Basic".to_owned(),
        "Basic YTpi".to_owned(),
    ] {
        refused(&scene.ask(&token, "", Some(&authorization)));
    }
    let line = scene.broker.line("introspect");
    assert_eq!((&line["slug"], &line["detail"]), (&json!("client.invalid"), &json!("the secret is wrong")), "{line}");
    assert!(!line.to_string().contains(&token), "{line}");
}

/// RFC 6749 §2.3.
#[test]
fn one_request_has_one_credential() {
    let scene = Scene::new();
    let caller = obtain(&scene.broker, &scene.issuer, RESOURCE_SERVER, &format!("{BROKER}/introspect"), API);
    let posted = format!("&client_id=apache&client_secret={}", SECRETS[0].replace(' ', "+"));
    for (more, authorization) in [
        (posted.clone(), basic("apache", SECRETS[0])),
        (posted, format!("Bearer {caller}")),
        (with("jwt-bearer", &assertion(|_, _| {})), basic("apache", SECRETS[0])),
    ] {
        let response = scene.ask("t", &more, Some(&authorization));
        let error = response.json()["error"].clone();
        assert_eq!((response.status, error), (400, json!("invalid_request")), "{}", response.text());
    }
}

/// A credential is never ignored once the bundle has clients. At these two endpoints it permits nothing more: the token
/// itself is what counts.
#[test]
fn other_endpoints_check_presented_credentials() {
    let scene = Scene::new();
    let wrong = basic("apache", "wrong");
    let right = basic("apache", SECRETS[0]);
    let token = scene.token();
    let revoke = |authorization: &str| scene.broker.send(&form("/revoke", &token).with("authorization", authorization));
    refused(&revoke(&wrong));
    let caller = basic("apache", SECRETS[1]);
    assert!(scene.is_active(&token, "", Some(&caller)), "nothing was revoked");
    assert_eq!(revoke(&right).status, 200);
    assert!(!scene.is_active(&token, "", Some(&caller)));
    let exchange = |authorization: &str| {
        let form = Form::of(&jwt::mint("RS256", &scene.issuer.claims(now())));
        scene.broker.send(&form.request().with("authorization", authorization))
    };
    refused(&exchange(&wrong));
    let issued = exchange(&right);
    assert_eq!(issued.status, 200, "{}", issued.text());
    let claims = Issued::parse(issued.json()["access_token"].as_str().expect("a token")).claims;
    assert_eq!(claims["client_id"], claims["sub"], "the subject token says who asked");
}

/// A client's assertion is no subject token: nobody configured its issuer.
#[test]
fn assertion_is_no_subject_token() {
    let scene = Scene::new();
    for change in
        [|_: &mut Value, _: &mut Value| {}, |_: &mut Value, claims: &mut Value| claims["iss"] = json!("clients")]
    {
        let assertion = assertion(|header, claims| {
            header["typ"] = json!("JWT");
            change(header, claims);
        });
        let response = scene.broker.send(&Form::of(&assertion).request());
        assert_eq!(response.status, 400, "{}", response.text());
        assert!(response.text().contains("issuer"), "{}", response.text());
    }
}

/// RFC 9701: signed with the published keys, and of no use as an access token (§8.1).
#[test]
fn signed_responses_are_no_access_tokens() {
    let scene = Scene::new();
    let token = scene.token();
    let ask = |token: &str, authorization: &str| {
        let request = form("/introspect", token).with("accept", "application/token-introspection+jwt");
        scene.broker.send(&request.with("authorization", authorization))
    };
    let apache = basic("apache", SECRETS[0]);
    let response = ask(&token, &apache);
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/token-introspection+jwt"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let signed = Issued::parse(&response.text());
    assert!(signed.verifies(&scene.broker.jwks()));
    assert_eq!(signed.header["typ"], "token-introspection+jwt");
    let plain = scene.ask(&token, "", Some(&apache)).json();
    let iat = signed.claims["iat"].clone();
    let expected = json!({ "iss": BROKER, "aud": "apache", "iat": iat, "token_introspection": plain });
    assert_eq!(signed.claims, expected);
    // One answer for every refusal.
    for text in ["garbage", &obtain(&scene.broker, &scene.issuer, WORKLOAD, DEPLOY, "")] {
        let claims = Issued::parse(&ask(text, &apache).text()).claims;
        assert_eq!(claims["token_introspection"], json!({ "active": false }));
    }
    let of_nobody =
        scene.broker.send(&form("/introspect", &token).with("accept", "application/token-introspection+jwt"));
    assert_eq!(of_nobody.status, 400, "RFC 9701 §5");
    // Neither as a token, nor as a subject token, nor as a caller's.
    let jwt = response.text();
    let caller = format!("Bearer {jwt}");
    assert!(!scene.is_active(&jwt, "", Some(&apache)));
    assert_eq!(scene.ask(&token, "", Some(&caller)).status, 401);
    let path = "/forward-auth/apache";
    assert_eq!(scene.broker.send(&Request::get(path).with("authorization", &caller)).status, 401);
    assert_eq!(scene.broker.send(&Form::of(&jwt).request()).status, 400);
    scene.broker.assert_healthy();
}

#[test]
fn metadata_names_the_methods() {
    let scene = Scene::new();
    let metadata = scene.broker.get("/.well-known/oauth-authorization-server").json();
    let methods = |endpoint: &str| metadata[format!("{endpoint}_endpoint_auth_methods_supported")].clone();
    let named = ["client_secret_basic", "client_secret_post", "private_key_jwt", "spiffe_jwt"];
    let with_first = |first: &str| json!([&[first], named.as_slice()].concat());
    assert_eq!(methods("introspection"), with_first("Bearer"));
    for endpoint in ["token", "revocation"] {
        assert_eq!(methods(endpoint), with_first("none"));
    }
    for endpoint in ["introspection", "revocation", "token"] {
        let algorithms = &metadata[format!("{endpoint}_endpoint_auth_signing_alg_values_supported")];
        assert_eq!(*algorithms, json!(["ES256", "EdDSA", "ES384", "RS256"]), "never `none` (RFC 8414 §2)");
    }
    let signing = &metadata["introspection_signing_alg_values_supported"];
    assert_eq!(signing.as_array().map(Vec::len), Some(1), "{signing}");
}
