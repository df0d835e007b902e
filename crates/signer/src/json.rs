//! Strict JSON (RFC 8259): one value, no member name twice at any depth, bounded nesting.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Arrays and objects inside each other.
pub(crate) const JSON_NESTING_MAX: u8 = 8;

/// Whether `text` is exactly one strict JSON value.
pub(crate) fn is_one_strict_value(text: &str) -> bool {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict {
        nesting_left: JSON_NESTING_MAX,
    }
    .deserialize(&mut deserializer);
    value.and_then(|()| deserializer.end()).is_ok()
}

/// Reads a value without keeping it.
#[derive(Clone, Copy)]
struct Strict {
    nesting_left: u8,
}

impl Strict {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        let nesting_left = self
            .nesting_left
            .checked_sub(1)
            .ok_or_else(|| E::custom("too deep"))?;
        Ok(Self { nesting_left })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a json value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut names = BTreeSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if !names.insert(name) {
                return Err(de::Error::custom("member twice"));
            }
            members.next_value_seed(inner)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_exactly_one_strict_value() {
        for text in [
            "null",
            "true",
            "-0.5e3",
            "18446744073709551616",
            r#""a\u00e9""#,
            "[]",
            "{}",
            " [1, 2] ",
            r#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#,
        ] {
            assert!(is_one_strict_value(text), "{text}");
        }
        for text in [
            "",
            " ",
            "nul",
            "01",
            "1 2",
            "1,",
            "[1,]",
            "{}{}",
            "'a'",
            "\"a",
            "\"\u{1}\"",
            r#""\ud800""#,
            "NaN",
            "1e999",
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"[{"b":{"a":1,"a":2}}]"#,
            r#"{a:1}"#,
            "// c\n1",
            r#"1,"sub":"other""#,
        ] {
            assert!(!is_one_strict_value(text), "{text}");
        }
    }

    #[test]
    fn bounds_the_nesting() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(is_one_strict_value(&nested(usize::from(JSON_NESTING_MAX))));
        assert!(!is_one_strict_value(&nested(
            usize::from(JSON_NESTING_MAX) + 1
        )));
        assert!(!is_one_strict_value(&"[".repeat(100_000)));
    }
}
