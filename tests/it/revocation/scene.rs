//! A broker with an administrator, a resource server and a workload.

use serde_json::{Value, json};
use vouchsafe_harness::administration::{self, *};
use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::bundle::{API, BROKER};
use vouchsafe_harness::http::Response;
use vouchsafe_harness::issuer::Issuer;
use vouchsafe_harness::jwt::Issued;

pub const WORKLOAD_SUBJECT: &str = "repo:octo-org/123456:ref:refs/heads/main";
pub const INACTIVE: &str = "{\"active\":false}\n";

pub struct Scene {
    pub issuer: Issuer,
    pub setup: Setup,
    pub broker: Broker,
}

impl Scene {
    pub fn new() -> Self {
        let issuer = Issuer::honest();
        let setup = administered(Setup::trusting(&issuer));
        let broker = setup.start();
        Self { issuer, setup, broker }
    }

    /// A token of the workload for [`API`].
    pub fn token(&self) -> String {
        obtain(&self.broker, &self.issuer, WORKLOAD, API, "read")
    }

    /// An exchange of the workload for [`API`].
    pub fn exchange(&self) -> Response {
        administration::exchange(&self.broker, &self.issuer, WORKLOAD, API, "read")
    }

    pub fn admin(&self, scopes: &str) -> String {
        obtain(&self.broker, &self.issuer, ADMIN, &format!("{BROKER}/admin"), scopes)
    }

    pub fn resource_server(&self, scopes: &str) -> String {
        obtain(&self.broker, &self.issuer, RESOURCE_SERVER, &format!("{BROKER}/introspect"), scopes)
    }

    /// What introspection answers to the resource server of [`API`].
    pub fn introspect(&self, token: &str) -> Response {
        self.introspect_as(&self.resource_server(API), token)
    }

    pub fn introspect_as(&self, caller: &str, token: &str) -> Response {
        let request = form("/introspect", token).with("authorization", &format!("Bearer {caller}"));
        self.broker.send(&request)
    }

    pub fn is_active(&self, token: &str) -> bool {
        let response = self.introspect(token);
        assert_eq!(response.status, 200, "{}", response.text());
        match response.json()["active"].as_bool() {
            Some(true) => true,
            Some(false) => {
                assert_eq!(response.text(), INACTIVE);
                false
            }
            None => panic!("{}", response.text()),
        }
    }

    /// Performs a revocation as the administrator.
    pub fn revoke(&self, body: Value) -> Value {
        let response = self.broker.send(&revoke(&self.admin("revoke"), &body));
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }
}

/// A revocation of the workload with this id.
pub fn of_workload(id: &str) -> Value {
    json!({ "id": id, "reason": "incident 7", "issuer": "main", "subject": WORKLOAD_SUBJECT })
}

pub fn jti(token: &str) -> String {
    Issued::parse(token).claims["jti"].as_str().expect("a jti").to_owned()
}
