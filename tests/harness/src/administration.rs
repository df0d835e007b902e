//! A broker with administrators and resource servers: workloads that get tokens for the broker's own audiences.

use crate::broker::{Broker, Setup};
use crate::bundle::{API, SIGNER_AUDIENCES};
use crate::exchange::{FORM, Form};
use crate::http::{Request, Response};
use crate::issuer::Issuer;
use crate::{jwt, now};
use serde_json::Value;

/// `repository_id` of a workload that may have tokens for any audience of applications.
pub const WORKLOAD: &str = "123456";
/// `repository_id` of a workload that administers the broker.
pub const ADMIN: &str = "777";
/// `repository_id` of a workload that may introspect tokens for [`API`].
pub const RESOURCE_SERVER: &str = "888";
/// Every scope of administrators.
pub const ADMIN_SCOPES: &str = "revoke revoke:lift revoke:read";

/// Adds the broker's own audiences to the bundle of `setup`, with their policies.
#[must_use]
pub fn administered(setup: Setup) -> Setup {
    let issuer = issuer_url(&setup);
    let put = |path: &str, text: String| {
        std::fs::write(setup.folder.join("policies").join(path), text).expect("a file");
    };
    let policy = |id: &str, audience: &str, repository_id: &str, scopes: &str| {
        format!(
            "@id(\"{id}\")\npermit (\n  principal is GitHub::Workflow in Issuer::\"main\",\n  \
             action == Action::\"issue\",\n  resource == Audience::\"{audience}\"\n)\n\
             when {{ principal.repository_id == \"{repository_id}\" && {scopes}.containsAll(context.scopes) }};\n\n"
        )
    };
    let (admin, introspect) = (format!("{issuer}/admin"), format!("{issuer}/introspect"));
    let admin_scopes = r#"["revoke", "revoke:lift", "revoke:read"]"#;
    let introspect_scopes = format!("[\"{API}\"]");
    put("audiences/admin.toml", format!("id = \"{admin}\"\nscopes = {admin_scopes}\n"));
    put("audiences/introspect.toml", format!("id = \"{introspect}\"\nscopes = {introspect_scopes}\n"));
    let policies = policy("security-team", &admin, ADMIN, admin_scopes)
        + &policy("api-introspects", &introspect, RESOURCE_SERVER, &introspect_scopes);
    put("rules/administration.cedar", policies);
    let audiences = format!("{SIGNER_AUDIENCES} {admin} {introspect}");
    setup.variable("signer_audiences", &audiences)
}

/// The issuer URL of the broker.
pub fn issuer_url(setup: &Setup) -> String {
    let issuer = setup.variables.iter().find(|(name, _)| name == "issuer");
    issuer.map(|(_, url)| url.clone()).expect("an issuer URL")
}

/// Exchanges a token of the workload for one for `audience`.
pub fn exchange(broker: &Broker, issuer: &Issuer, repository_id: &str, audience: &str, scopes: &str) -> Response {
    let mut claims = issuer.claims(now());
    claims["repository_id"] = repository_id.into();
    claims["sub"] = format!("repo:octo-org/{repository_id}:ref:refs/heads/main").into();
    let form = Form::of(&jwt::mint("RS256", &claims)).set("audience", audience);
    let form = if scopes.is_empty() { form } else { form.and("scope", scopes) };
    broker.send(&form.request())
}

/// The token that [`exchange`] gets.
pub fn obtain(broker: &Broker, issuer: &Issuer, repository_id: &str, audience: &str, scopes: &str) -> String {
    let response = exchange(broker, issuer, repository_id, audience, scopes);
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["access_token"].as_str().expect("a token").to_owned()
}

/// `POST` of a form with a token, as RFC 7009 and RFC 7662 define it.
pub fn form(path: &str, token: &str) -> Request {
    Request::post(path, FORM, format!("token={token}"))
}

/// An operation on `/admin/revocations`.
pub fn revoke(admin: &str, body: &Value) -> Request {
    json("/admin/revocations", admin, body)
}

pub fn lift(admin: &str, body: &Value) -> Request {
    json("/admin/revocations/lift", admin, body)
}

fn json(path: &str, admin: &str, body: &Value) -> Request {
    Request::post(path, "application/json", body.to_string()).with("authorization", &format!("Bearer {admin}"))
}
