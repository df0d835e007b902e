//! Checks tokens as every strict verifier would, whenever it fetched the JWK Set.
//!
//! A verifier may cache the JWK Set for `max-age` without asking again. So a token has to verify with each copy that
//! a verifier may hold during its lifetime: those fetched up to 300 s before it was issued, and those fetched until it
//! expires. Nothing waits for a copy to age; every possible fetch time is checked instead of one.

use crate::jwt::Issued;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// `max-age` of the JWK Set.
const MAX_AGE_SECONDS: u64 = 300;
/// The least time between the expiry of a token and the withdrawal of its key (I3).
const WITHDRAWAL_MARGIN_SECONDS: u64 = 60;

/// A JWK Set as it was served at `at`.
struct Copy {
    at: u64,
    /// Shared with the previous copy if equal, as it mostly is.
    keys: Arc<BTreeMap<String, Value>>,
}

struct Held {
    token: Issued,
    /// When it was requested.
    at: u64,
}

/// What the gateway says about an epoch key.
#[derive(Clone, Copy)]
struct Place {
    generation: u64,
    epoch_start: u64,
    epoch_seconds: u64,
}

/// Everything that was issued and published, in Unix seconds of the run's own clock.
#[derive(Default)]
pub struct Verifiers {
    copies: Vec<Copy>,
    held: Vec<Held>,
    places: BTreeMap<String, Place>,
    token_keys: BTreeSet<String>,
    /// Keys of revoked generations, with the time of revocation.
    ended: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
pub struct Verdict {
    pub tokens: usize,
    pub copies: usize,
    pub distinct_copies: usize,
    /// Pairs of token and copy that verified.
    pub verified: usize,
    /// Pairs that failed because the token's key was revoked.
    pub revoked: usize,
    pub kids: usize,
    pub failures: Vec<String>,
}

impl Verifiers {
    /// Adds a copy that a verifier fetched.
    pub fn add_copy(&mut self, at: u64, jwks: &Value) {
        let keys = jwks["keys"].as_array().expect("a JWK Set");
        let keys = keys.iter().map(|key| {
            let mut key = key.clone();
            // Gateways issue different certificates for the same key.
            key.as_object_mut().expect("a JWK").remove("x5c");
            (key["kid"].as_str().expect("a kid").to_owned(), key)
        });
        let keys: BTreeMap<_, _> = keys.collect();
        let before = self.copies.last().map(|copy| &copy.keys);
        let keys = match before.filter(|before| ***before == keys) {
            Some(before) => Arc::clone(before),
            None => Arc::new(keys),
        };
        self.copies.push(Copy { at, keys });
    }

    /// Adds the keys of a gateway's answer to `GET /v1/keys`.
    pub fn learn(&mut self, keys: &Value) {
        for group in keys["groups"].as_array().expect("groups") {
            for key in group["epoch_keys"].as_array().expect("keys") {
                let number = |value: &Value| value.as_u64().expect("a number");
                let place = Place {
                    generation: number(&key["generation"]),
                    epoch_start: number(&key["epoch_start"]),
                    epoch_seconds: number(&group["epoch_seconds"]),
                };
                self.places.insert(kid(key), place);
            }
            for key in group["token_keys"].as_array().expect("keys") {
                self.token_keys.insert(kid(key));
            }
        }
    }

    pub fn add_token(&mut self, token: Issued, at: u64) {
        self.held.push(Held { token, at });
    }

    /// Revokes the generations below `generation` from `now` on.
    pub fn revoke(&mut self, generation: u64, now: u64) {
        let old = self.places.iter().filter(|(_, place)| place.generation < generation);
        for (kid, _) in old {
            self.ended.entry(kid.clone()).or_insert(now);
        }
    }

    /// The generation whose key signed `token`; none in tier `hsm`.
    pub fn generation(&self, token: &Issued) -> Option<u64> {
        self.places.get(&token.kid()).map(|place| place.generation)
    }

    /// Number of tokens that this key signed.
    pub fn signed_by(&self, kid: &str) -> usize {
        self.held.iter().filter(|it| it.token.kid() == kid).count()
    }

    /// Checks every token against every copy that a verifier may hold during its lifetime.
    pub fn judge(&self) -> Verdict {
        let mut verdict = Verdict { tokens: self.held.len(), copies: self.copies.len(), ..Verdict::default() };
        let sets: BTreeSet<_> = self.copies.iter().map(|copy| copy.keys.keys().collect::<Vec<_>>()).collect();
        verdict.distinct_copies = sets.len();
        let mut kids = BTreeSet::new();
        for held in &self.held {
            kids.insert(held.token.kid());
            self.judge_one(held, &mut verdict);
        }
        verdict.kids = kids.len();
        verdict
    }

    fn judge_one(&self, held: &Held, verdict: &mut Verdict) {
        let (token, kid, expires) = (&held.token, held.token.kid(), held.token.number("exp"));
        let mut fail = |why: String| {
            let aud = &token.claims["aud"];
            verdict.failures.push(format!("{aud} at {}, kid {kid}: {why}", held.at));
        };
        match self.places.get(&kid) {
            Some(place) => {
                let withdrawn = place.epoch_start + 2 * place.epoch_seconds;
                if expires + WITHDRAWAL_MARGIN_SECONDS > withdrawn {
                    fail(format!("it expires at {expires}, its key is withdrawn at {withdrawn}"));
                }
            }
            None if self.token_keys.contains(&kid) => {}
            None => fail("unknown key".to_owned()),
        }
        // The signature is verified once; after that it is enough that a copy contains the same key.
        let mut good: Option<&Value> = None;
        for copy in &self.copies {
            let in_use = copy.at < expires && copy.at + MAX_AGE_SECONDS > held.at;
            if !in_use {
                continue;
            }
            let found = copy.keys.get(&kid);
            let verifies = match (found, good) {
                (None, _) => false,
                (Some(key), Some(good)) => key == good,
                (Some(key), None) => {
                    let holds = token.verifies(&serde_json::json!({ "keys": [key] }));
                    good = holds.then_some(key);
                    holds
                }
            };
            let ended = self.ended.get(&kid).is_some_and(|at| copy.at >= *at);
            match (verifies, ended) {
                (true, _) => verdict.verified += 1,
                (false, true) => verdict.revoked += 1,
                (false, false) => {
                    fail(format!("it doesn't verify with the copy of {}", copy.at));
                    return;
                }
            }
        }
    }
}

fn kid(key: &Value) -> String {
    key["jwk"]["kid"].as_str().or(key["kid"].as_str()).expect("a kid").to_owned()
}

/// Tests of the verifier itself: each way in which a verifier would notice a fault.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt;
    use crate::keys::Key;
    use serde_json::json;

    const START: u64 = 1_800_000_000;

    /// The verdict on one token, issued at `START` + 10 with the key `ES256` of the epoch that starts at `START`.
    fn judge_token(expires: u64, act: impl FnOnce(&mut Verifiers, &Value)) -> Verdict {
        let claims = json!({ "aud": "a", "exp": START + expires });
        let token = Issued::parse(&jwt::mint("ES256", &claims));
        let jwks = json!({ "keys": [Key::issuer("ES256").jwk("ES256")] });
        let mut verifiers = Verifiers::default();
        verifiers.learn(&json!({ "groups": [{ "epoch_seconds": 300, "token_keys": [], "epoch_keys": [
            { "generation": 1, "epoch_start": START, "jwk": { "kid": "ES256" } }
        ] }] }));
        verifiers.add_token(token, START + 10);
        act(&mut verifiers, &jwks);
        verifiers.judge()
    }

    #[track_caller]
    fn check(verdict: &Verdict, verified: usize, revoked: usize, failures: usize) {
        let found = (verdict.verified, verdict.revoked, verdict.failures.len());
        assert_eq!(found, (verified, revoked, failures), "{verdict:?}");
    }

    #[test]
    fn checks_token_against_every_usable_copy() {
        let empty = json!({ "keys": [] });
        // One second on each side of both limits: 300 s before issuing, and the expiry.
        for (at, failures) in [(10 - 300, 0), (11 - 300, 1), (99, 1), (100, 0)] {
            let verdict = judge_token(100, |it, _| it.add_copy(START.strict_add_signed(at), &empty));
            check(&verdict, 0, 0, failures);
        }
        check(&judge_token(100, |it, jwks| it.add_copy(START, jwks)), 1, 0, 0);
        let mut other = json!({ "keys": [Key::stranger("ES256").jwk("ES256")] });
        check(&judge_token(100, |it, _| it.add_copy(START, &other)), 0, 0, 1);
        other["keys"][0]["kid"] = json!("unknown");
        check(&judge_token(100, |it, _| it.add_copy(START, &other)), 0, 0, 1);
    }

    #[test]
    fn finds_token_that_outlives_its_key() {
        check(&judge_token(540, |it, jwks| it.add_copy(START, jwks)), 1, 0, 0);
        check(&judge_token(541, |it, jwks| it.add_copy(START, jwks)), 1, 0, 1);
    }

    #[test]
    fn accepts_missing_key_only_after_revocation() {
        let empty = json!({ "keys": [] });
        let revoked = |at: u64| {
            judge_token(100, |it, _| {
                it.revoke(2, START + 50);
                it.add_copy(START + at, &empty);
            })
        };
        check(&revoked(49), 0, 0, 1);
        check(&revoked(50), 0, 1, 0);
    }
}
