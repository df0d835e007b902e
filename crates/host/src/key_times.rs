//! When keys were made and expire, as metrics.

use vouchsafe_serve::MetricsText;

/// A key or credential of the inventory. Its name comes from the manifest or the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTimes {
    pub kind: &'static str,
    pub name: String,
    /// In Unix seconds; absent if unknown.
    pub created: Option<u64>,
    pub expires: Option<u64>,
    pub is_owned: bool,
}

/// Most keys with series of their own.
const KEYS_MAX: usize = 1000;

/// Writes the metrics of `keys`.
pub fn write(keys: &[KeyTimes], text: &mut MetricsText) {
    let keys = keys.get(..KEYS_MAX).unwrap_or(keys);
    if keys.is_empty() {
        return;
    }
    let mut family = |name: &str, help: &str, value: &dyn Fn(&KeyTimes) -> Option<u64>| {
        text.family(name, "gauge", help);
        for key in keys {
            if let Some(value) = value(key) {
                text.sample(name, &[("kind", key.kind), ("name", &key.name)], value);
            }
        }
    };
    let help = "When a key or credential was made, in Unix seconds.";
    family("vouchsafe_key_created_timestamp_seconds", help, &|key| key.created);
    let help = "When a key or certificate expires, in Unix seconds.";
    family("vouchsafe_key_expiry_timestamp_seconds", help, &|key| key.expires);
    let help = "Whether the bundle names an owner of the key or credential.";
    family("vouchsafe_key_owned", help, &|key| Some(u64::from(key.is_owned)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_a_bounded_number_of_keys() {
        let key = |at: usize| KeyTimes {
            kind: "client",
            name: format!("c{at}"),
            created: None,
            expires: None,
            is_owned: true,
        };
        for (count, expected) in [(KEYS_MAX, KEYS_MAX), (KEYS_MAX + 1, KEYS_MAX)] {
            let mut text = MetricsText::default();
            write(&(0..count).map(key).collect::<Vec<_>>(), &mut text);
            assert_eq!(text.finish().lines().filter(|line| !line.starts_with('#')).count(), expected);
        }
    }

    #[test]
    fn writes_only_known_times() {
        let mut text = MetricsText::default();
        write(&[], &mut text);
        let name = "signer_root".to_owned();
        write(&[KeyTimes { kind: "root", name, created: Some(5), expires: None, is_owned: false }], &mut text);
        let text = text.finish();
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let labels = "{kind=\"root\",name=\"signer_root\"}";
        let expected =
            [format!("vouchsafe_key_created_timestamp_seconds{labels} 5"), format!("vouchsafe_key_owned{labels} 0")];
        assert_eq!(samples, expected);
    }
}
