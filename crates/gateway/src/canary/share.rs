//! Which workloads belong to a rollout share. The answer is stable and the same at every gateway of a root.
//!
//! A share limits who tries something new; it is not an authorization boundary.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of the secret: the output of HMAC-SHA256.
const SECRET_BYTES: usize = 32;
/// The only field of the label from which the secret is derived.
const SCHEME: &str = "vouchsafe-rollout-v1";
/// Longest issuer or principal of a workload.
pub const WORKLOAD_BYTES_MAX: usize = 1_280;

/// A workload as the broker verified it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The issuer of its subject token.
    pub issuer: String,
    /// Its immutable id at that issuer.
    pub principal: String,
}

impl Workload {
    /// Returns `None` if a part is empty or longer than [`WORKLOAD_BYTES_MAX`].
    #[must_use]
    pub fn new(issuer: &str, principal: &str) -> Option<Self> {
        let fits = |text: &str| (1..=WORKLOAD_BYTES_MAX).contains(&text.len());
        (fits(issuer) && fits(principal)).then(|| Self { issuer: issuer.to_owned(), principal: principal.to_owned() })
    }
}

/// The secret that assigns workloads to shares. It is derived from the root and needs no configuration.
///
/// ```
/// use vouchsafe_gateway::canary::{RolloutSecret, Workload};
///
/// let secret = RolloutSecret::from_bytes([7; 32]);
/// let workload = Workload::new("https://issuer.example", "repo:1").unwrap();
/// let place = secret.place(&workload, "https://deploy.example").unwrap();
/// assert!(place.is_within(100) && !place.is_within(0));
/// ```
pub struct RolloutSecret(Zeroizing<[u8; SECRET_BYTES]>);

impl fmt::Debug for RolloutSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RolloutSecret(..)")
    }
}

impl RolloutSecret {
    /// The label from which the HSM derives the secret as `HMAC-SHA256(root, label)`. It differs from the labels of all
    /// epochs, which begin with another scheme.
    #[must_use]
    pub fn label() -> Vec<u8> {
        let mut label = Vec::new();
        push_field(&mut label, SCHEME.as_bytes());
        label
    }

    #[must_use]
    pub fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The place of `workload` among all workloads, for `audience`.
    #[must_use]
    pub fn place(&self, workload: &Workload, audience: &str) -> Option<Place> {
        let mut fields = Vec::new();
        for field in [&workload.issuer, &workload.principal, audience] {
            push_field(&mut fields, field.as_bytes());
        }
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).ok()?;
        mac.update(&fields);
        let digest = mac.finalize().into_bytes();
        let (first, _) = digest.split_first_chunk()?;
        Some(Place(u64::from_be_bytes(*first)))
    }
}

/// The place of a workload, evenly distributed over 0 to 2^64 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u64);

impl Place {
    /// Whether the place is among the first `percent`. Larger shares contain all smaller ones.
    #[must_use]
    pub fn is_within(self, percent: u8) -> bool {
        (u128::from(self.0).saturating_mul(100) >> 64) < u128::from(percent)
    }
}

/// Appends the length of a field (u32, big-endian) and the field. Callers have bounded the length.
fn push_field(fields: &mut Vec<u8>, field: &[u8]) {
    let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
    fields.extend_from_slice(&length.to_be_bytes());
    fields.extend_from_slice(field);
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIENCE: &str = "https://deploy.example";

    fn place(number: u32, audience: &str) -> Place {
        let workload = Workload::new("https://issuer.example", &format!("repo:{number}"));
        let secret = RolloutSecret::from_bytes([7; 32]);
        secret.place(&workload.unwrap(), audience).unwrap()
    }

    /// 10,000 fixed workloads; the bound is four standard deviations.
    #[test]
    fn share_has_the_stated_size() {
        for percent in [1_u8, 5, 20, 50, 99] {
            let within = (0..10_000).filter(|it| place(*it, AUDIENCE).is_within(percent));
            let found = i64::try_from(within.count()).unwrap();
            let expected = 100 * i64::from(percent);
            let variance = 100 * i64::from(percent) * (100 - i64::from(percent)) / 100;
            assert!((found - expected).pow(2) <= 16 * variance, "{found} of 10,000 at {percent} %");
        }
    }

    #[test]
    fn larger_shares_contain_smaller_ones() {
        for number in 0..1_000 {
            let place = place(number, AUDIENCE);
            let within: Vec<_> = (0..=100).map(|percent| place.is_within(percent)).collect();
            assert!(within.is_sorted(), "{number}: {within:?}");
            assert!(!within[0] && within[100], "none at 0, all at 100");
        }
    }

    /// A change would move workloads of running rollouts. The numbers come from another program.
    #[test]
    fn a_workload_keeps_its_place() {
        let label = RolloutSecret::label();
        assert_eq!(label, *b"\0\0\0\x14vouchsafe-rollout-v1");
        for (number, expected) in [(0, 14_170_528_012_937_473_624), (1, 704_146_563_632_634_546)] {
            assert_eq!(place(number, AUDIENCE), place(number, AUDIENCE));
            assert_eq!(place(number, AUDIENCE), Place(expected), "{number}");
        }
        let elsewhere = (0..1_000)
            .filter(|it| place(*it, AUDIENCE).is_within(20) && place(*it, "https://other.example").is_within(20));
        let count = elsewhere.count();
        assert!((10..90).contains(&count), "audiences are independent: {count}");
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let secret = RolloutSecret::from_bytes([7; 32]);
        let place = |issuer: &str, principal: &str| secret.place(&Workload::new(issuer, principal).unwrap(), AUDIENCE);
        assert_ne!(place("ab", "c"), place("a", "bc"));
    }

    #[test]
    fn bounds_both_parts_of_a_workload() {
        let long = "x".repeat(WORKLOAD_BYTES_MAX);
        assert!(Workload::new(&long, &long).is_some());
        for (issuer, principal) in [("", "a"), ("a", ""), ("a", &*format!("{long}x"))] {
            assert_eq!(Workload::new(issuer, principal), None);
        }
    }
}
