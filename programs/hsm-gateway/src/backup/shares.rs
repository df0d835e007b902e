//! Backup shares, K of N of which restore the backup (Shamir's secret sharing).
//!
//! A share is one line: `vouchsafe-backup-share-v2 2-of-3 <backup> <check> <share>`. `<backup>` is
//! `SHA-256("vouchsafe backup" ‖ secret)` in hex. It distinguishes the shares of different backups and verifies the
//! restored secret, which the scheme itself can't. `<check>` is 8 bytes of a digest of the other words and identifies a
//! damaged share. Neither reveals anything about a secret that contains 32 random bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use blahaj::{Share, Sharks};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

const SCHEME: &str = "vouchsafe-backup-share-v2";
/// The first format, whose shares hold a root only.
const ROOT_SCHEME: &str = "vouchsafe-root-share-v1";
pub const SHARES_MAX: u8 = 16;
/// Longest share: that of a backup with some forty RSA keys.
pub const SHARE_BYTES_MAX: u64 = 256 * 1024;

/// How many shares exist, and how many of them restore the backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    needed: u8,
    total: u8,
}

impl Threshold {
    pub fn total(self) -> u8 {
        self.total
    }
}

impl FromStr for Threshold {
    type Err = String;

    /// Parses `K-of-N`. K is at least 2, since with 1 each share would be the secret.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("not K-of-N with 2 <= K <= N <= {SHARES_MAX}, such as 2-of-3");
        let (needed, total) = text.split_once("-of-").ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<u8>().map_err(|_| wrong());
        let (needed, total) = (number(needed)?, number(total)?);
        if needed < 2 || needed > total || total > SHARES_MAX {
            return Err(wrong());
        }
        Ok(Self { needed, total })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-of-{}", self.needed, self.total)
    }
}

/// Splits `secret` into shares, one line each.
pub fn split(secret: &[u8], threshold: Threshold) -> Vec<Zeroizing<String>> {
    let backup = digest_of("vouchsafe backup", &[secret]);
    let dealer = Sharks(threshold.needed).dealer(secret);
    dealer
        .take(usize::from(threshold.total))
        .map(|share| {
            let bytes = Zeroizing::new(Vec::from(&share));
            let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(&*bytes));
            let check = check_of(threshold, &backup, &text);
            Zeroizing::new(format!("{SCHEME} {threshold} {backup} {check} {}", *text))
        })
        .collect()
}

/// Restores the secret from shares.
pub fn combine(lines: &[Zeroizing<String>]) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut shares = Vec::new();
    let mut set: Option<(Threshold, String)> = None;
    let mut indexes = BTreeSet::new();
    for (number, line) in (1..).zip(lines) {
        let (threshold, backup, bytes) = parse(line).map_err(|why| format!("share {number} {why}"))?;
        let known = set.get_or_insert_with(|| (threshold, backup.clone()));
        if *known != (threshold, backup) {
            return Err(format!("share {number} belongs to another backup"));
        }
        let index = bytes.first().copied().unwrap_or_default();
        // The secret itself is at index 0: a forged share with that index would determine the result alone.
        if !(1..=threshold.total).contains(&index) {
            return Err(format!("share {number} has an index that is not 1 to {}", threshold.total));
        }
        if !indexes.insert(index) {
            return Err(format!("share {number} is a duplicate"));
        }
        let share = Share::try_from(bytes.as_slice());
        shares.push(share.map_err(|_| format!("share {number} is damaged"))?);
    }
    let (threshold, backup) = set.ok_or("no shares")?;
    if shares.len() < usize::from(threshold.needed) {
        return Err(format!("not enough shares: {} of {} required ({threshold})", shares.len(), threshold.needed));
    }
    let sharks = Sharks(threshold.needed);
    let secret = sharks.recover(&shares).map(Zeroizing::new);
    let secret = secret.map_err(|error| error.to_owned())?;
    if digest_of("vouchsafe backup", &[&secret]) == backup {
        Ok(secret)
    } else {
        Err("the shares do not restore the backup".to_owned())
    }
}

type Parsed = (Threshold, String, Zeroizing<Vec<u8>>);

fn parse(line: &str) -> Result<Parsed, &'static str> {
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    let (threshold, backup, check, text) = match words.as_slice() {
        [SCHEME, threshold, backup, check, text] => (threshold, *backup, *check, *text),
        [ROOT_SCHEME, ..] => {
            return Err("has the first format, which holds no signing keys and is not supported");
        }
        [SCHEME, ..] => return Err("is damaged"),
        _ => return Err("is not a backup share"),
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
mod tests;
