//! Strict JSON (RFC 8259, RFC 7493): no duplicate member at any depth, bounded nesting, exact integers, no byte order
//! mark, no lone surrogate, nothing after the value.
//!
//! Does not interpret documents. Entry points: [`JsonObject::parse`] and [`Json::parse`].
//!
//! ```
//! use vouchsafe_json::{Json, JsonError, JsonObject};
//!
//! let object = JsonObject::parse(br#"{"sub":"ci","n":18446744073709551615}"#).unwrap();
//! assert_eq!(object.get("n"), Some(&Json::Integer(u64::MAX.into())));
//! assert_eq!(JsonObject::parse(br#"{"a":1,"\u0061":2}"#), Err(JsonError::DuplicateMember));
//! ```

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

/// Deepest accepted nesting: the outermost object is level 1.
pub const JSON_DEPTH_MAX: usize = 8;

/// A JSON value whose integers are exact.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Boolean(bool),
    /// A number without fraction or exponent that fits into 64 bits, signed or unsigned.
    Integer(i128),
    /// Any other finite number.
    Float(f64),
    Text(String),
    Array(Vec<Json>),
    Object(JsonObject),
}

impl Json {
    /// Parses a document that consists of one value of any type.
    ///
    /// # Errors
    /// Why `document` is not strict JSON.
    pub fn parse(document: &[u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(document).map_err(|_| JsonError::NotUtf8)?;
        let reason = Cell::new(JsonError::Syntax);
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = Strict { levels_left: JSON_DEPTH_MAX, reason: &reason }
            .deserialize(&mut deserializer)
            .map_err(|_| reason.get())?;
        deserializer.end().map_err(|_| JsonError::Syntax)?;
        Ok(value)
    }

    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Boolean(_) | Self::Integer(_) | Self::Float(_) | Self::Array(_) | Self::Object(_) => {
                None
            }
        }
    }

    #[must_use]
    pub fn as_array(&self) -> Option<&[Json]> {
        match self {
            Self::Array(items) => Some(items),
            Self::Null | Self::Boolean(_) | Self::Integer(_) | Self::Float(_) | Self::Text(_) | Self::Object(_) => None,
        }
    }

    #[must_use]
    pub fn as_object(&self) -> Option<&JsonObject> {
        match self {
            Self::Object(object) => Some(object),
            Self::Null | Self::Boolean(_) | Self::Integer(_) | Self::Float(_) | Self::Text(_) | Self::Array(_) => None,
        }
    }
}

/// A JSON object without duplicate names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonObject(BTreeMap<String, Json>);

impl JsonObject {
    /// Parses a whole document that must be an object.
    ///
    /// # Errors
    /// Why `document` is not a strict JSON object.
    pub fn parse(document: &[u8]) -> Result<Self, JsonError> {
        match Json::parse(document)? {
            Json::Object(object) => Ok(object),
            Json::Null | Json::Boolean(_) | Json::Integer(_) | Json::Float(_) | Json::Text(_) | Json::Array(_) => {
                Err(JsonError::NotAnObject)
            }
        }
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.get(name)
    }

    /// All members, ordered by the bytes of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Why a document is not strict JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("duplicate member in an object")]
    DuplicateMember,
    #[error("the document is not a JSON object")]
    NotAnObject,
    #[error("the document is not valid UTF-8")]
    NotUtf8,
    #[error("the document is not well-formed JSON")]
    Syntax,
    #[error("the document is nested deeper than {JSON_DEPTH_MAX} levels")]
    TooDeep,
}

/// Builds a [`Json`], or stores in `reason` why it can't.
#[derive(Clone, Copy)]
struct Strict<'r> {
    levels_left: usize,
    reason: &'r Cell<JsonError>,
}

impl Strict<'_> {
    fn refuse<E: Error>(&self, reason: JsonError) -> E {
        self.reason.set(reason);
        E::custom(reason)
    }

    fn descend<E: Error>(&self) -> Result<Self, E> {
        match self.levels_left.checked_sub(1) {
            Some(levels_left) => Ok(Self { levels_left, ..*self }),
            None => Err(self.refuse(JsonError::TooDeep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Json;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Boolean(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Integer(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Integer(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        if value.is_finite() { Ok(Json::Float(value)) } else { Err(self.refuse(JsonError::Syntax)) }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let inner = self.descend()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let inner = self.descend()?;
        let mut object = BTreeMap::new();
        // Names are compared unescaped, so that `"n\u006fne"` can't hide a second `"none"`.
        while let Some(name) = members.next_key::<String>()? {
            match object.entry(name) {
                Entry::Vacant(entry) => entry.insert(members.next_value_seed(inner)?),
                Entry::Occupied(_) => return Err(self.refuse(JsonError::DuplicateMember)),
            };
        }
        Ok(Json::Object(JsonObject(object)))
    }
}

#[cfg(test)]
mod tests;
