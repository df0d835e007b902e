//! Tables of subject tokens, and the broker that they are presented to.

use crate::broker::{Broker, Setup};
use crate::exchange::{Form, Want, check};
use crate::issuer::{Issuer, Script};
use crate::{jwt, now};
use serde_json::{Value, json};

/// Attempts to send one request within a single second.
const CLOCK_TRIES_MAX: usize = 100;

/// A broker that trusts two realms of one issuer:
/// - `main`: all three algorithms; the policies permit its workloads;
/// - `other`: RS256 only; the same provider, and the policies permit nothing.
pub struct Fixture {
    pub broker: Broker,
    pub issuer: Issuer,
    /// Not trusted, but an allowed outbound host: a request to it means that a token made the broker fetch something.
    pub canary: Issuer,
}

impl Fixture {
    pub fn start() -> Self {
        let issuer = Issuer::start([("main", Script::honest()), ("other", Script::honest())]);
        let canary = Issuer::start([("keys", Script::honest())]);
        let broker = Setup::broker(&issuer.files(), &[issuer.origin(), canary.origin()]).start();
        Self { broker, issuer, canary }
    }

    /// Claims of `main` that are valid now.
    pub fn claims(&self) -> Value {
        self.claims_at(now())
    }

    pub fn claims_at(&self, now: u64) -> Value {
        self.issuer.claims(now)
    }

    /// A valid token.
    pub fn token(&self) -> String {
        jwt::mint("RS256", &self.claims())
    }

    /// Runs every case and reports all failures together.
    pub fn run(&self, cases: Vec<TokenCase>) {
        let failures: Vec<_> = cases.iter().filter_map(|case| case.failure(self)).collect();
        assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
        self.broker.assert_healthy();
        assert_eq!(self.canary.fetches_total(), 0, "a token made the broker fetch something");
    }
}

type Make = Box<dyn Fn(&Fixture, u64) -> String>;

/// A subject token, and the expected outcome of an exchange with it.
pub struct TokenCase {
    pub name: String,
    pub want: Want,
    audience: Option<&'static str>,
    exact_clock: bool,
    make: Make,
}

/// A case whose token doesn't depend on the time at which it is presented.
pub fn case(name: impl Into<String>, want: Want, make: impl Fn(&Fixture) -> String + 'static) -> TokenCase {
    let make: Make = Box::new(move |fixture, _| make(fixture));
    TokenCase { name: name.into(), want, audience: None, exact_clock: false, make }
}

/// A case of valid claims with one change, signed correctly; `now` is the second in which the token is judged.
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
    TokenCase { name: name.into(), want, audience: None, exact_clock: true, make }
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
            let form = self.audience.map_or(form.clone(), |audience| form.set("audience", audience));
            let outcome = check(&fixture.broker, &form.request(), &token, self.want);
            // The outcome counts only if broker and test saw the same second, so that both sides of a limit are exact
            // on any machine.
            if !self.exact_clock || now() == before {
                return outcome.err().and_then(said);
            }
        }
        said("every request spanned two seconds".to_owned())
    }
}

/// A header for RS256 with members added or replaced.
pub fn header(more: &Value) -> String {
    let mut header = json!({ "alg": "RS256", "kid": "RS256", "typ": "JWT" });
    for (name, value) in more.as_object().expect("an object") {
        header[name] = value.clone();
    }
    header.to_string()
}
