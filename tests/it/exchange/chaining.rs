//! Identity chaining between two brokers: the first one's grant is exchanged at the second one.

use serde_json::json;
use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::bundle::{API, BROKER, IssuerFile, SIGNER_AUDIENCES};
use vouchsafe_harness::exchange::{Form, TYPE_ACCESS, TYPE_JWT, Want, bad, check};
use vouchsafe_harness::issuer::Issuer;
use vouchsafe_harness::jwt::{self, Issued};
use vouchsafe_harness::now;

const NOT_GRANT: Want = bad("request.requested_token_type_not_grant");

pub fn wants() -> Vec<Want> {
    vec![NOT_GRANT]
}

const FIRST: &str = r#"
@id("jobs-use-the-other-server")
permit (
  principal is GitHub::Workflow in Issuer::"main",
  action == Action::"issue",
  resource == Audience::"http://127.0.0.1:3999"
) when { ["read"].containsAll(context.scopes) };
"#;
const SECOND: &str = r#"
@id("jobs-of-the-first-broker-read")
permit (
  principal is Oidc::First in Issuer::"first",
  action == Action::"issue",
  resource == Audience::"https://api.example"
) when { principal.sub == "main:repo:octo-org/octo-repo:ref:refs/heads/main" && ["read"].containsAll(context.scopes) };
"#;

/// The URL of the first broker, the broker itself, and the second one, which trusts it.
fn start(issuer: &Issuer) -> (String, [Broker; 2]) {
    let put = |setup: &Setup, path: &str, text: &str| {
        std::fs::write(setup.folder.join("policies").join(path), text).expect("a file of the bundle");
    };
    let (first, address) = Setup::trusting(issuer).at_known_address();
    let url = format!("http://{address}");
    let first = first.variable("issuer", &url).variable("signer_audiences", &format!("{SIGNER_AUDIENCES} {BROKER}"));
    put(
        &first,
        "audiences/second.toml",
        &format!("id = \"{BROKER}\"\nkind = \"authorization-server\"\nscopes = [\"read\"]\n"),
    );
    put(&first, "rules/second.cedar", FIRST);
    let mut files = issuer.files();
    let more = "algorithms = [\"ES256\"]\n[claims]\nsub = { type = \"text\" }\n";
    files.push(IssuerFile::new("first", &url, more).of("oidc"));
    let second = Setup::broker(&files, &[issuer.origin(), url.clone()]);
    put(&second, "rules/first.cedar", SECOND);
    (url, [first.start(), second.start()])
}

#[test]
fn grant_is_exchanged_at_another_broker() {
    let issuer = Issuer::honest();
    let (url, [first, second]) = start(&issuer);
    let form = || {
        let mut claims = issuer.claims(now());
        claims["aud"] = url.clone().into();
        Form::of(&jwt::mint("RS256", &claims)).set("audience", BROKER).set("scope", "read")
    };
    let ask = |broker: &Broker, form: &Form, want| {
        check(broker, &form.request(), "", want).unwrap_or_else(|failure| panic!("{failure}"))
    };
    ask(&first, &form().and("requested_token_type", TYPE_ACCESS), NOT_GRANT);
    let response = ask(&first, &form(), Want::Issued).json();
    assert_eq!((&response["issued_token_type"], &response["token_type"]), (&json!(TYPE_JWT), &json!("N_A")));
    let grant = Issued::parse(response["access_token"].as_str().expect("a grant"));
    assert_eq!((&grant.header["typ"], &grant.claims["aud"]), (&json!("JWT"), &json!(BROKER)));
    assert!(grant.number("exp") - grant.number("iat") <= 60, "{}", grant.claims);
    assert_eq!(grant.claims["txn"], grant.claims["jti"]);

    let assertion = Form::of(&grant.jwt).set("scope", "read").as_assertion();
    let response = ask(&second, &assertion, Want::Issued).json();
    let token = Issued::parse(response["access_token"].as_str().expect("a token"));
    assert_eq!((&token.header["typ"], &token.claims["aud"]), (&json!("at+jwt"), &json!(API)));
    assert_eq!((&token.claims["txn"], &token.claims["iss"]), (&grant.claims["jti"], &json!(BROKER)));
    assert!(token.number("exp") <= grant.number("exp"), "{}", token.claims);
    // The grant is of no use at the first broker, which is not its audience.
    ask(&first, &Form::of(&grant.jwt), bad("token.issuer_untrusted"));
}
