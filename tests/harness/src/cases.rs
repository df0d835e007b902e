//! One broker and its issuers for a group of cases, and the cases' tables.

use crate::broker::{Broker, Setup};
use crate::exchange::{Form, Want, check};
use crate::issuer::{Issuer, Script};
use crate::{jwt, now};
use serde_json::{Value, json};

/// Tries until the clock stands still for the time of one request.
const CLOCK_TRIES_MAX: usize = 100;

/// A broker that trusts the realms of one issuer:
/// - `main`: all three algorithms; the rules permit its workloads;
/// - `other`: RS256 only; the same provider, and nothing is permitted to it.
pub struct Fixture {
    pub broker: Broker,
    pub issuer: Issuer,
    /// Trusted by nobody, and allowed as an outbound host: a fetch from here is the broker's own idea.
    pub canary: Issuer,
}

impl Fixture {
    pub fn start() -> Self {
        let issuer = Issuer::start([("main", Script::honest()), ("other", Script::honest())]);
        let canary = Issuer::start([("keys", Script::honest())]);
        let broker = Setup::broker(&issuer.files(), &[issuer.origin(), canary.origin()]).start();
        Self {
            broker,
            issuer,
            canary,
        }
    }

    /// Claims that are accepted from `main` now.
    pub fn claims(&self) -> Value {
        self.claims_at(now())
    }

    pub fn claims_at(&self, now: u64) -> Value {
        self.issuer.claims(now)
    }

    /// An acceptable token.
    pub fn token(&self) -> String {
        jwt::mint("RS256", &self.claims())
    }

    /// Runs every case and tells all that failed at once.
    pub fn run(&self, cases: Vec<TokenCase>) {
        let failures: Vec<_> = cases.iter().filter_map(|case| case.failure(self)).collect();
        assert!(
            failures.is_empty(),
            "{} of {} cases:\n{}",
            failures.len(),
            cases.len(),
            failures.join("\n")
        );
        self.broker.assert_unharmed();
        assert_eq!(
            self.canary.fetched_at_all(),
            0,
            "a token made the broker fetch something"
        );
    }
}

type Make = Box<dyn Fn(&Fixture, u64) -> String>;

/// A subject token, and what becomes of a request for an audience with it.
pub struct TokenCase {
    pub name: String,
    pub want: Want,
    audience: Option<&'static str>,
    exact_clock: bool,
    make: Make,
}

/// A case whose token does not depend on the second in which it is presented.
pub fn case(
    name: impl Into<String>,
    want: Want,
    make: impl Fn(&Fixture) -> String + 'static,
) -> TokenCase {
    let make: Make = Box::new(move |fixture, _| make(fixture));
    TokenCase {
        name: name.into(),
        want,
        audience: None,
        exact_clock: false,
        make,
    }
}

/// A case of acceptable claims with one thing changed, signed as an issuer would; `now` is the
/// second in which the token is judged.
pub fn claims_case(
    name: impl Into<String>,
    want: Want,
    change: impl Fn(&mut Value, &Fixture, u64) + 'static,
) -> TokenCase {
    let make: Make = Box::new(move |fixture, now| {
        let mut claims = fixture.claims_at(now);
        change(&mut claims, fixture, now);
        jwt::mint("RS256", &claims)
    });
    TokenCase {
        name: name.into(),
        want,
        audience: None,
        exact_clock: true,
        make,
    }
}

impl TokenCase {
    #[must_use]
    pub fn for_audience(mut self, audience: &'static str) -> Self {
        self.audience = Some(audience);
        self
    }

    fn failure(&self, fixture: &Fixture) -> Option<String> {
        let said = |reason| Some(format!("- {}: {reason}", self.name));
        for _ in 0..CLOCK_TRIES_MAX {
            let before = now();
            let token = (self.make)(fixture, before);
            let form = Form::of(&token);
            let form = self
                .audience
                .map_or(form.clone(), |audience| form.set("audience", audience));
            let outcome = check(&fixture.broker, &form.request(), &token, self.want);
            // A verdict counts if broker and test saw the same second: then both sides of an edge
            // are exact, on any machine.
            if !self.exact_clock || now() == before {
                return outcome.err().and_then(said);
            }
        }
        said("the clock never stood still for one request".to_owned())
    }
}

/// A header for RS256 with further members, or others in place of its own.
pub fn header(more: &Value) -> String {
    let mut header = json!({ "alg": "RS256", "kid": "RS256", "typ": "JWT" });
    for (name, value) in more.as_object().expect("an object") {
        header[name] = value.clone();
    }
    header.to_string()
}
