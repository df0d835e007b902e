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
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use vouchsafe_cli::{Failure, files};
use zeroize::Zeroizing;

const SCHEME: &str = "vouchsafe-backup-share-v2";
/// The first format, whose shares hold a root only.
const ROOT_SCHEME: &str = "vouchsafe-root-share-v1";
pub const SHARES_MAX: u8 = 16;
/// Longest share: that of a backup with some forty RSA keys.
const SHARE_BYTES_MAX: u64 = 256 * 1024;

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

/// A file with a share. Messages name it together with the number of the share in it, because the file's name may be
/// wrong: a message must not accuse the wrong holder.
pub struct ShareFile {
    path: PathBuf,
    line: Zeroizing<String>,
}

impl ShareFile {
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let line = files::read_text(path, SHARE_BYTES_MAX)?;
        Ok(Self { path: path.to_owned(), line })
    }

    fn parse(&self) -> Result<Parsed<'_>, &'static str> {
        let words: Vec<_> = self.line.split_ascii_whitespace().collect();
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
        let bytes = URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new).map_err(|_| "is damaged")?;
        let share = Share::try_from(bytes.as_slice()).map_err(|_| "is damaged")?;
        let number = bytes.first().copied().unwrap_or_default();
        Ok(Parsed { file: self, threshold, backup: backup.to_owned(), number, share })
    }

    /// The number of the share, even of a damaged one, if it is legible: it is the first byte of the last word.
    fn legible_number(&self) -> Option<u8> {
        let text = self.line.split_ascii_whitespace().nth(4)?;
        let number = *URL_SAFE_NO_PAD.decode(text.get(..4)?).ok()?.first()?;
        (1..=SHARES_MAX).contains(&number).then_some(number)
    }
}

impl fmt::Display for ShareFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.path.display())?;
        match self.legible_number() {
            Some(number) => write!(f, " (share {number})"),
            None => Ok(()),
        }
    }
}

struct Parsed<'f> {
    file: &'f ShareFile,
    threshold: Threshold,
    backup: String,
    number: u8,
    share: Share,
}

impl Parsed<'_> {
    /// Why this share can't be combined with `earlier`, if so.
    fn contradicts(&self, earlier: &Self) -> Option<String> {
        let (file, other) = (self.file, earlier.file);
        if self.backup != earlier.backup {
            return Some(format!("{file} belongs to another backup than {other}"));
        }
        if self.threshold != earlier.threshold {
            let (threshold, expected) = (self.threshold, earlier.threshold);
            return Some(format!("{file} is one of {threshold}, but {other} is one of {expected}"));
        }
        (self.number == earlier.number).then(|| format!("{file} is a duplicate of {other}"))
    }
}

/// Restores the secret from shares.
pub fn combine(given: &[ShareFile]) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut parsed: Vec<Parsed<'_>> = Vec::new();
    for file in given {
        let share = file.parse().map_err(|why| format!("{file} {why}"))?;
        // The secret itself is at index 0: a forged share with that index would determine the result alone.
        if !(1..=share.threshold.total).contains(&share.number) {
            let (number, total) = (share.number, share.threshold.total);
            return Err(format!("`{}` has the number {number}, which is not 1 to {total}", file.path.display()));
        }
        if let Some(why) = parsed.iter().find_map(|earlier| share.contradicts(earlier)) {
            return Err(why);
        }
        parsed.push(share);
    }
    let Some(Parsed { threshold, backup, .. }) = parsed.first() else {
        return Err("no shares".to_owned());
    };
    let names = || given.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if parsed.len() < usize::from(threshold.needed) {
        let (count, needed) = (parsed.len(), threshold.needed);
        return Err(format!("not enough shares: {count} of {needed} required ({threshold}): {}", names()));
    }
    let sharks = Sharks(threshold.needed);
    let secret = sharks.recover(parsed.iter().map(|it| &it.share)).map(Zeroizing::new);
    let secret = secret.map_err(|error| error.to_owned())?;
    if digest_of("vouchsafe backup", &[&secret]) == *backup {
        Ok(secret)
    } else {
        Err(format!("the shares do not restore the backup: {}", names()))
    }
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
