//! Rules for claim names and claim texts.
//!
//! Signer, gateway, policy and identity share these rules, so a bundle loads only if its tokens can be signed.
//! Entry points: [`ClaimNames`], [`is_unprintable`], [`is_thumbprint`].
//!
//! ```
//! use vouchsafe_claims::{ClaimNames, NameFault};
//!
//! let mut names = ClaimNames::of_issued_token();
//! assert_eq!(names.add("repository"), Ok(()));
//! assert_eq!(names.add("Repository"), Err(NameFault::Repeated));
//! assert_eq!(names.add("sub"), Err(NameFault::Registered));
//! ```
//!
//! Invariant: no accepted name equals a registered name, or another accepted name, under any case folding.
//! Names are ASCII, so `eq_ignore_ascii_case` covers Unicode folding too: U+017F (`ſ`) folds to `s` and
//! U+212A (`K`) to `k`, and neither is ASCII.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

mod text;
mod thumbprint;

pub use text::is_unprintable;
pub use thumbprint::{THUMBPRINT_CHARACTERS, is_thumbprint};

use std::collections::BTreeSet;

/// Longest claim name, in bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// Claims of an issued token that only the broker may set: RFC 7519 §4.1, RFC 7800 §3.1, RFC 8417 §2.2, RFC 8485 §3.1,
/// RFC 8693 §4, RFC 9068 §2.2, RFC 9396 §9.1, RFC 9493 §4.1, OpenID Connect Core §2 and its logout specifications, and
/// the status list draft; also `scp`, which some verifiers read if `scope` is absent.
pub const REGISTERED: [&str; 32] = [
    "acr",
    "act",
    "amr",
    "at_hash",
    "aud",
    "auth_time",
    "authorization_details",
    "azp",
    "c_hash",
    "client_id",
    "cnf",
    "entitlements",
    "events",
    "exp",
    "groups",
    "iat",
    "iss",
    "jti",
    "may_act",
    "nbf",
    "nonce",
    "roles",
    "scope",
    "scp",
    "sid",
    "status",
    "sub",
    "sub_id",
    "toe",
    "txn",
    "vot",
    "vtm",
];

/// Claims of a subject token that verification itself uses. Excludes `sub`, which policies often name.
pub const VERIFIED: [&str; 6] = ["aud", "exp", "iat", "iss", "jti", "nbf"];

/// Why a claim name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameFault {
    /// Not 1 to [`NAME_BYTES_MAX`] bytes of visible ASCII without `"` and `\`.
    Malformed,
    /// Equals an unavailable name, ignoring case.
    Registered,
    /// Equals an earlier name, ignoring case.
    Repeated,
}

/// Claim names of one token, each accepted once.
///
/// Names are compared without case, because verifiers differ: Go's `encoding/json` ignores case and lets the last
/// member win.
#[derive(Debug)]
pub struct ClaimNames {
    unavailable: &'static [&'static str],
    /// In lowercase.
    names: BTreeSet<String>,
}

impl ClaimNames {
    /// Names of extra claims of an issued token.
    #[must_use]
    pub fn of_issued_token() -> Self {
        Self::without(&REGISTERED)
    }

    /// Names of declared claims of a subject token.
    #[must_use]
    pub fn of_subject_token() -> Self {
        Self::without(&VERIFIED)
    }

    fn without(unavailable: &'static [&'static str]) -> Self {
        Self { unavailable, names: BTreeSet::new() }
    }

    /// Adds `name` if it is acceptable.
    ///
    /// # Errors
    /// The first rule that `name` breaks.
    pub fn add(&mut self, name: &str) -> Result<(), NameFault> {
        // ORDER: ASCII first; `eq_ignore_ascii_case` is complete for ASCII names only.
        if !is_well_formed(name) {
            return Err(NameFault::Malformed);
        }
        if self.unavailable.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            return Err(NameFault::Registered);
        }
        if !self.names.insert(name.to_ascii_lowercase()) {
            return Err(NameFault::Repeated);
        }
        Ok(())
    }
}

/// Visible ASCII except `"` and `\`, which JSON would have to escape.
fn is_well_formed(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, issued: Result<(), NameFault>, subject: Result<(), NameFault>) {
        assert_eq!(ClaimNames::of_issued_token().add(name), issued, "{name}");
        assert_eq!(ClaimNames::of_subject_token().add(name), subject, "{name}");
    }

    #[test]
    fn refuses_registered_names_in_any_case() {
        let registered = Err(NameFault::Registered);
        for name in REGISTERED {
            let subject = match VERIFIED.contains(&name) {
                true => registered,
                false => Ok(()),
            };
            check(name, registered, subject);
            check(&name.to_ascii_uppercase(), registered, subject);
        }
        for name in ["Aud", "EXP", "jtI", "iSs", "nBF", "Iat"] {
            check(name, registered, registered);
        }
        for name in ["SUB", "Client_ID", "tXn", "ToE"] {
            check(name, registered, Ok(()));
        }
    }

    #[test]
    fn accepts_names_that_contain_registered_ones() {
        for name in
            ["https://claims.example/sub", "subject", "sub_", "x-aud", "kubernetes.io/namespace", "!", "~", "[]"]
        {
            check(name, Ok(()), Ok(()));
        }
    }

    #[test]
    fn refuses_names_outside_visible_ascii() {
        let malformed = Err(NameFault::Malformed);
        for name in [
            "",
            " ",
            "sub ",
            " sub",
            "a b",
            "a\t",
            "a\n",
            "a\0",
            "a\u{7f}",
            "a\"",
            "a\\",
            "\\u0069ss",
            "ſub",
            "iſſ",
            "\u{212a}id",
            "to\u{212a}en",
            "é",
            "sub\u{200b}",
            "\u{feff}aud",
        ] {
            check(name, malformed, malformed);
        }
    }

    #[test]
    fn refuses_names_that_differ_in_case_only() {
        for (first, second) in [("a", "a"), ("a", "A"), ("Repo", "rEPO")] {
            for mut names in [ClaimNames::of_issued_token(), ClaimNames::of_subject_token()] {
                assert_eq!(names.add(first), Ok(()));
                assert_eq!(names.add(second), Err(NameFault::Repeated), "{second}");
                assert_eq!(names.add("other"), Ok(()));
            }
        }
    }

    #[test]
    fn bounds_the_length_of_names() {
        check(&"n".repeat(NAME_BYTES_MAX), Ok(()), Ok(()));
        let malformed = Err(NameFault::Malformed);
        check(&"n".repeat(NAME_BYTES_MAX + 1), malformed, malformed);
    }
}
