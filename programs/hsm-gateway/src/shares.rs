//! A backup in shares of paper or files, K of N of which give it back (Shamir's secret sharing).
//!
//! A share is one line: `vouchsafe-backup-share-v2 2-of-3 <backup> <check> <share>`. `<backup>` is the first 8
//! bytes of `SHA-256("vouchsafe backup" ‖ secret)`, which tells shares of one backup from those of another, and
//! what they give from what was split, which the scheme itself can't. `<check>` is the same of the line's other
//! words: it names the share that is damaged. Neither says anything of a secret with 32 random bytes in it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use blahaj::{Share, Sharks};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

const SCHEME: &str = "vouchsafe-backup-share-v2";
/// What shares of a root alone began with.
const SCHEME_OF_ROOTS: &str = "vouchsafe-root-share-v1";
pub const SHARES_MAX: u8 = 16;
/// Longest line: that of a backup with some forty RSA keys.
pub const SHARE_BYTES_MAX: u64 = 256 * 1024;

/// How many of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    needed: u8,
    made: u8,
}

impl Threshold {
    pub fn made(self) -> u8 {
        self.made
    }
}

impl FromStr for Threshold {
    type Err = String;

    /// `K-of-N`. One share alone would be the root itself, so K is 2 at least.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("not K-of-N with 2 <= K <= N <= {SHARES_MAX}, such as 2-of-3");
        let (needed, made) = text.split_once("-of-").ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<u8>().map_err(|_| wrong());
        let (needed, made) = (number(needed)?, number(made)?);
        if needed < 2 || needed > made || made > SHARES_MAX {
            return Err(wrong());
        }
        Ok(Self { needed, made })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-of-{}", self.needed, self.made)
    }
}

/// Splits `secret` into lines, of which `threshold` says how many give it back.
pub fn split(secret: &[u8], threshold: Threshold) -> Vec<Zeroizing<String>> {
    let backup = digest_of("vouchsafe backup", &[secret]);
    let dealer = Sharks(threshold.needed).dealer(secret);
    dealer
        .take(usize::from(threshold.made))
        .map(|share| {
            let bytes = Zeroizing::new(Vec::from(&share));
            let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(&*bytes));
            let check = check_of(threshold, &backup, &text);
            Zeroizing::new(format!("{SCHEME} {threshold} {backup} {check} {}", *text))
        })
        .collect()
}

/// Gives the secret back.
pub fn combine(lines: &[Zeroizing<String>]) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut shares = Vec::new();
    let mut set: Option<(Threshold, String)> = None;
    let mut places = BTreeSet::new();
    for (number, line) in (1..).zip(lines) {
        let (threshold, backup, bytes) =
            parse(line).map_err(|why| format!("share {number} {why}"))?;
        let known = set.get_or_insert_with(|| (threshold, backup.clone()));
        if *known != (threshold, backup) {
            return Err(format!("share {number} is of another backup"));
        }
        let place = bytes.first().copied().unwrap_or_default();
        // At place 0 lies the secret itself: a share that says so would alone decide what comes out.
        if !(1..=threshold.made).contains(&place) {
            return Err(format!("share {number} is not one of {}", threshold.made));
        }
        if !places.insert(place) {
            return Err(format!("share {number} is there twice"));
        }
        let share = Share::try_from(bytes.as_slice());
        shares.push(share.map_err(|_| format!("share {number} is damaged"))?);
    }
    let (threshold, backup) = set.ok_or("there is no share")?;
    if shares.len() < usize::from(threshold.needed) {
        let (given, s) = (
            shares.len(),
            if shares.len() == 1 { " is" } else { "s are" },
        );
        return Err(format!("{given} share{s} too few: these are {threshold}"));
    }
    let sharks = Sharks(threshold.needed);
    let secret = sharks.recover(&shares).map(Zeroizing::new);
    let secret = secret.map_err(|error| error.to_owned())?;
    if digest_of("vouchsafe backup", &[&secret]) == backup {
        Ok(secret)
    } else {
        Err("the shares do not give what was split".to_owned())
    }
}

type Parsed = (Threshold, String, Zeroizing<Vec<u8>>);

fn parse(line: &str) -> Result<Parsed, &'static str> {
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    let (threshold, backup, check, text) = match words.as_slice() {
        [SCHEME, threshold, backup, check, text] => (threshold, *backup, *check, *text),
        [SCHEME_OF_ROOTS, ..] => {
            return Err("is of the first format, which has no signing keys, and can't be used");
        }
        [SCHEME, ..] => return Err("is damaged"),
        _ => return Err("is not one of a backup"),
    };
    let threshold: Threshold = threshold.parse().map_err(|_| "is damaged")?;
    if check_of(threshold, backup, text) != check {
        return Err("is damaged");
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| "is damaged")?;
    Ok((threshold, backup.to_owned(), Zeroizing::new(bytes)))
}

fn check_of(threshold: Threshold, backup: &str, text: &str) -> String {
    let line = format!("{threshold} {backup} ");
    let digest = digest_of("vouchsafe share", &[line.as_bytes(), text.as_bytes()]);
    digest.chars().take(16).collect()
}

fn digest_of(label: &str, parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new().chain_update(label);
    for part in parts {
        digest.update(part);
    }
    crate::hex::hex(&digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threshold(text: &str) -> Threshold {
        text.parse().expect(text)
    }

    /// Who holds one share must not be able to say what is restored.
    #[test]
    fn a_share_of_a_place_that_was_not_dealt_is_refused() {
        let threshold = threshold("2-of-3");
        let shares = split(&[7; 32], threshold);
        let words: Vec<_> = shares[0].split(' ').collect();
        let forged = |place: u8| {
            let text = URL_SAFE_NO_PAD.encode([&[place][..], &[9; 32]].concat());
            let check = check_of(threshold, words[2], &text);
            Zeroizing::new(format!("{SCHEME} {threshold} {} {check} {text}", words[2]))
        };
        for place in [0, 4, 255] {
            assert_eq!(
                combine(&[shares[0].clone(), forged(place)]),
                Err("share 2 is not one of 3".to_owned()),
                "{place}"
            );
        }
        assert_eq!(
            combine(&[shares[0].clone(), forged(3)]),
            Err("the shares do not give what was split".to_owned())
        );
    }

    #[test]
    fn any_k_of_n_shares_give_the_secret_back_and_fewer_do_not() {
        for secret in [vec![7; 32], (0..=255).cycle().take(5_000).collect()] {
            let shares = split(&secret, threshold("3-of-5"));
            assert_eq!(shares.len(), 5);
            for a in 0..5 {
                for b in (0..5).filter(|b| *b != a) {
                    let two = [shares[a].clone(), shares[b].clone()];
                    assert_eq!(
                        combine(&two),
                        Err("2 shares are too few: these are 3-of-5".to_owned())
                    );
                    for c in (0..5).filter(|c| *c != a && *c != b) {
                        let three = [&two[..], &[shares[c].clone()]].concat();
                        assert!(combine(&three).is_ok_and(|it| *it == secret));
                    }
                }
            }
            assert!(
                combine(&shares).is_ok_and(|it| *it == secret),
                "more do too"
            );
        }
    }

    #[test]
    fn a_wrong_share_is_told_from_a_right_one_and_named() {
        let (first, second) = (
            split(&[7; 32], threshold("2-of-3")),
            split(&[8; 32], threshold("2-of-3")),
        );
        let check = |lines: &[&str], expected: &str| {
            let lines: Vec<_> = lines
                .iter()
                .map(|it| Zeroizing::new((*it).to_owned()))
                .collect();
            assert_eq!(combine(&lines).map(drop), Err(expected.to_owned()));
        };
        check(&[], "there is no share");
        check(&[&first[0]], "1 share is too few: these are 2-of-3");
        check(&[&first[0], &second[1]], "share 2 is of another backup");
        check(&[&first[0], &first[0]], "share 2 is there twice");
        check(&[&first[0], "x"], "share 2 is not one of a backup");
        check(
            &[&first[0], "vouchsafe-root-share-v1 2-of-3 00 AA"],
            "share 2 is of the first format, which has no signing keys, and can't be used",
        );
        check(&[&first[0], SCHEME], "share 2 is damaged");
        // Every character of a line behind its name, one at a time.
        for place in SCHEME.len() + 1..first[1].len() {
            let mut line = first[1].to_string();
            let other = if line[place..].starts_with('1') {
                "0"
            } else {
                "1"
            };
            line.replace_range(place..=place, other);
            if line.split_ascii_whitespace().nth(1) == Some("2-of-3") {
                check(&[&first[0], &line], "share 2 is damaged");
            } else {
                let lines = [first[0].clone(), Zeroizing::new(line)];
                assert!(combine(&lines).is_err(), "{place}");
            }
        }
        check(
            &[&first[0], &first[1][..first[1].len() - 1]],
            "share 2 is damaged",
        );
    }

    #[test]
    fn reads_how_many_of_how_many() {
        for good in ["2-of-2", "2-of-3", "16-of-16"] {
            assert_eq!(threshold(good).to_string(), good);
        }
        for wrong in [
            "",
            "1-of-3",
            "3-of-2",
            "2-of-17",
            "2of3",
            "2-of-",
            "-2-of-3",
            "two-of-three",
        ] {
            assert!(wrong.parse::<Threshold>().is_err(), "{wrong}");
        }
    }
}
