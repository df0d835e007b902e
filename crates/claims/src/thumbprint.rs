//! The form of a key's thumbprint in `cnf.jkt` (RFC 7638, RFC 9449 §6.1).

/// Length of a thumbprint: a SHA-256 in base64url.
pub const THUMBPRINT_CHARACTERS: usize = 43;

/// Whether `text` is canonical base64url of 32 bytes. The last character has only four bits of them; the others are 0.
#[must_use]
pub fn is_thumbprint(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let last = |byte: &u8| b"AEIMQUYcgkosw048".contains(byte);
    text.len() == THUMBPRINT_CHARACTERS && text.bytes().all(legal) && text.as_bytes().last().is_some_and(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The thumbprint of RFC 8037 appendix A.3.
    const THUMBPRINT: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

    #[test]
    fn accepts_canonical_thumbprints_only() {
        assert!(is_thumbprint(THUMBPRINT));
        let shorter = &THUMBPRINT[1..];
        for other in ["", "x", shorter, &format!("{THUMBPRINT}A"), &format!("{shorter}="), &format!("{shorter}/")] {
            assert!(!is_thumbprint(other), "{other}");
        }
        assert!(!is_thumbprint(&THUMBPRINT.replace('_', "+")));
        assert!(!is_thumbprint(&THUMBPRINT.replace('_', " ")));
    }

    #[test]
    fn refuses_other_spellings_of_the_last_byte() {
        let last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let accepted = last.chars().filter(|last| is_thumbprint(&format!("{}{last}", &THUMBPRINT[..42])));
        assert_eq!(accepted.collect::<String>(), "AEIMQUYcgkosw048");
    }
}
