//! A root in shares of paper or files, K of N of which give it back (Shamir's secret sharing).
//!
//! A share is one line: `vouchsafe-root-share-v1 2-of-3 <check> <share>`. The check value is the first 8
//! bytes of `SHA-256("vouchsafe root check" ‖ root)`: it tells a wrong or damaged share from a right one,
//! which the scheme itself can't, and says nothing of 32 random bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use blahaj::{Share, Sharks};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use vouchsafe_signer::SEED_BYTES;
use zeroize::Zeroizing;

const SCHEME: &str = "vouchsafe-root-share-v1";
pub const ROOT_BYTES: usize = SEED_BYTES;
pub const SHARES_MAX: u8 = 16;

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

/// Splits `root` into lines, of which `threshold` says how many give it back.
pub fn split(root: &[u8; ROOT_BYTES], threshold: Threshold) -> Vec<Zeroizing<String>> {
    let check = check_of(root);
    let dealer = Sharks(threshold.needed).dealer(root);
    dealer
        .take(usize::from(threshold.made))
        .map(|share| {
            let bytes = Zeroizing::new(Vec::from(&share));
            let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(&*bytes));
            Zeroizing::new(format!("{SCHEME} {threshold} {check} {}", *text))
        })
        .collect()
}

/// Gives the root back.
pub fn combine(lines: &[Zeroizing<String>]) -> Result<Zeroizing<[u8; ROOT_BYTES]>, String> {
    let mut shares = Vec::new();
    let mut set: Option<(Threshold, String)> = None;
    let mut places = BTreeSet::new();
    for (number, line) in (1..).zip(lines) {
        let (threshold, check, bytes) =
            parse(line).ok_or_else(|| format!("share {number} is not one of a root"))?;
        let known = set.get_or_insert_with(|| (threshold, check.clone()));
        if *known != (threshold, check) {
            return Err(format!("share {number} is of another root"));
        }
        if !places.insert(bytes.first().copied()) {
            return Err(format!("share {number} is there twice"));
        }
        let share = Share::try_from(bytes.as_slice());
        shares.push(share.map_err(|_| format!("share {number} is damaged"))?);
    }
    let (threshold, check) = set.ok_or("there is no share")?;
    if shares.len() < usize::from(threshold.needed) {
        return Err(format!(
            "{} shares are too few: these are {threshold}",
            shares.len()
        ));
    }
    let sharks = Sharks(threshold.needed);
    let root = sharks.recover(&shares).map(Zeroizing::new);
    let root = root.map_err(|error| error.to_owned())?;
    let root: [u8; ROOT_BYTES] = root
        .as_slice()
        .try_into()
        .map_err(|_| "no root of 32 bytes")?;
    let root = Zeroizing::new(root);
    if check_of(&root) == check {
        Ok(root)
    } else {
        Err("a share is damaged: what they give is not the root".to_owned())
    }
}

fn parse(line: &str) -> Option<(Threshold, String, Zeroizing<Vec<u8>>)> {
    let mut words = line.split_ascii_whitespace();
    if words.next()? != SCHEME {
        return None;
    }
    let threshold = words.next()?.parse().ok()?;
    let check = words.next()?.to_owned();
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(words.next()?).ok()?);
    let whole = words.next().is_none() && bytes.len() == ROOT_BYTES + 1;
    whole.then_some((threshold, check, bytes))
}

fn check_of(root: &[u8; ROOT_BYTES]) -> String {
    let digest = Sha256::new()
        .chain_update("vouchsafe root check")
        .chain_update(root)
        .finalize();
    crate::gateway::hex(digest.get(..8).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threshold(text: &str) -> Threshold {
        text.parse().expect(text)
    }

    #[test]
    fn any_k_of_n_shares_give_the_root_back_and_fewer_do_not() {
        let root = [7; ROOT_BYTES];
        let shares = split(&root, threshold("3-of-5"));
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
                    assert!(combine(&three).is_ok_and(|it| *it == root));
                }
            }
        }
        assert!(combine(&shares).is_ok_and(|it| *it == root), "more do too");
    }

    #[test]
    fn a_wrong_share_is_told_from_a_right_one() {
        let (first, second) = (
            split(&[7; 32], threshold("2-of-3")),
            split(&[8; 32], threshold("2-of-3")),
        );
        let check = |lines: Vec<Zeroizing<String>>, expected: &str| {
            assert_eq!(combine(&lines).map(drop), Err(expected.to_owned()));
        };
        check(vec![], "there is no share");
        check(
            vec![first[0].clone(), second[1].clone()],
            "share 2 is of another root",
        );
        check(
            vec![first[0].clone(), first[0].clone()],
            "share 2 is there twice",
        );
        check(
            vec![first[0].clone(), "x".to_owned().into()],
            "share 2 is not one of a root",
        );
        let other = first[1]
            .split_ascii_whitespace()
            .last()
            .expect("a share")
            .to_owned();
        let damaged = match other.ends_with('A') {
            true => other.replacen(other.chars().nth(9).expect("long"), "_", 1),
            false => format!(
                "{}{}",
                &other[..10],
                other[10..].replacen(|c| c != 'A', "A", 1)
            ),
        };
        let damaged = first[1].replace(&other, &damaged);
        check(
            vec![first[0].clone(), damaged.into()],
            "a share is damaged: what they give is not the root",
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
