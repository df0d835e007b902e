//! Bytes in hexadecimal.

pub fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

/// Formats a digest as `openssl x509 -fingerprint` does.
pub fn fingerprint(digest: &[u8]) -> String {
    let pairs: Vec<_> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_two_digits_per_byte() {
        assert_eq!(hex(&[0, 0xab, 7]), "00ab07");
        assert_eq!(fingerprint(&[0, 0xab, 7]), "00:AB:07");
    }
}
