//! Seals: records that a whole bundle was checked, so that the next instance does not check it again.
//!
//! A seal is a SHA-256 over the bundle's digest, the environment, and the code that checked. It proves nothing by
//! itself: whoever can write to the store can forge one. [`crate::Decider`] documents what a forged seal achieves.

use crate::settings::records::Environment;
use sha2::{Digest, Sha256};

/// Seals that are kept together, for bundles and environments that alternate, as during a rollout.
pub(crate) const SEALS_MAX: usize = 8;

/// The seal of the bundle with this `digest`, in lowercase hexadecimal.
pub(crate) fn of(digest: &str, environment: &Environment) -> String {
    let Environment { issuer, development, epoch_seconds } = environment;
    let mut hash = Sha256::new();
    for part in ["vouchsafe checked bundle", env!("VOUCHSAFE_POLICY_CODE"), digest, issuer] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update([u8::from(*development)]);
    hash.update(epoch_seconds.to_be_bytes());
    base16ct::lower::encode_string(&hash.finalize())
}

/// Whether `kept`, one seal per line, contains `seal`.
pub(crate) fn has(kept: &str, seal: &str) -> bool {
    kept.lines().take(SEALS_MAX).any(|line| line == seal)
}

/// `kept` with `seal` in front, without the oldest if there are too many.
pub(crate) fn with(kept: &str, seal: &str) -> String {
    let others = kept.lines().filter(|line| is_seal(line) && *line != seal);
    let all: Vec<&str> = [seal].into_iter().chain(others).take(SEALS_MAX).collect();
    all.join("\n")
}

fn is_seal(line: &str) -> bool {
    line.len() == 64 && line.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment { issuer: "https://broker.example".to_owned(), development: false, epoch_seconds: 3600 }
    }

    #[test]
    fn depends_on_every_part() {
        let seal = of("a", &environment());
        assert!(is_seal(&seal));
        assert_eq!(seal, of("a", &environment()));
        let changed = |change: fn(&mut Environment)| {
            let mut environment = environment();
            change(&mut environment);
            of("a", &environment)
        };
        let others = [
            of("b", &environment()),
            changed(|it| it.issuer.push('/')),
            changed(|it| it.development = true),
            changed(|it| it.epoch_seconds = 3601),
        ];
        for other in others {
            assert_ne!(other, seal);
        }
    }

    #[test]
    fn keeps_the_newest_eight() {
        let seal = |number: usize| format!("{number:064x}");
        let mut kept = "not a seal\n\n".to_owned();
        for number in 0..=SEALS_MAX {
            kept = with(&kept, &seal(number));
            kept = with(&kept, &seal(number));
        }
        assert_eq!(kept.lines().count(), SEALS_MAX);
        assert!(has(&kept, &seal(SEALS_MAX)) && has(&kept, &seal(1)));
        assert!(!has(&kept, &seal(0)));
        assert!(!has("", "") && !has(&kept, ""));
        let ninth = format!("{}\n{}", kept, seal(0));
        assert!(!has(&ninth, &seal(0)), "a ninth seal is ignored");
    }
}
