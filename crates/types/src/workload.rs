//! The workload that a subject token names.

use crate::wit_enum::wit_enum;

/// A verified claim under its attribute's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    pub name: String,
    pub value: AttributeValue,
}

/// The value of an attribute, as Cedar sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    Boolean(bool),
    Integer(i64),
    Text(String),
    TextSet(Vec<String>),
}

wit_enum! {
    /// Type of a claim's value, and of the Cedar attribute it becomes.
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum ClaimType {
        /// A JSON boolean; `Bool` in Cedar.
        Boolean,
        /// A JSON integer within ±(2^53 − 1) (RFC 7493 §2.2); `Long` in Cedar.
        Integer,
        /// A JSON string; `String` in Cedar.
        Text,
        /// A JSON object of strings; `Set<String>` of `name=value` in Cedar. A name with a `=` is rejected, since it
        /// would make two different objects look the same.
        TextMap,
        /// A JSON string, or an array of strings; `Set<String>` in Cedar.
        TextOrSet,
        /// A JSON array of strings; `Set<String>` in Cedar.
        TextSet,
    }
}

impl ClaimType {
    /// The expected JSON type, for error messages.
    #[must_use]
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Boolean => "a boolean",
            Self::Integer => "an integer",
            Self::Text => "a string",
            Self::TextMap => "an object of strings whose names contain no `=`",
            Self::TextOrSet => "a string or an array of strings",
            Self::TextSet => "an array of strings",
        }
    }

    /// The Cedar type of the attribute.
    #[must_use]
    pub const fn cedar_type(self) -> &'static str {
        match self {
            Self::Boolean => "Bool",
            Self::Integer => "Long",
            Self::Text => "String",
            Self::TextMap | Self::TextOrSet | Self::TextSet => "Set<String>",
        }
    }
}

/// The workload that a verified token names, as a Cedar principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Cedar entity type, such as `GitHub::Workflow`.
    pub entity_type: String,
    /// Cedar entity id: the token's `sub`, unique within its issuer.
    pub id: String,
    /// Name of the issuer file.
    pub issuer_name: String,
    pub attributes: Vec<Attribute>,
}

/// A verified subject or actor token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub principal: Principal,
    pub iss: String,
    /// The part of the issued token's `sub` after `<issuer name>:`: `sub`, or what the issuer's template makes of the
    /// claims.
    pub name: String,
    pub jti: Option<String>,
    pub exp: u64,
    /// Absent from some JWT-SVIDs only.
    pub iat: Option<u64>,
    /// Lowercase hex SHA-256 of the JWS signing input (RFC 7515 §5.1). Not of the whole token: an ECDSA signature has
    /// a second valid form, which would be a second token.
    pub signing_input_digest: String,
    /// `cnf.jkt` (RFC 9449 §6.1): the key that the token is bound to.
    pub key_thumbprint: Option<String>,
    /// `act` (RFC 8693 §4.1): the current actor first, then those before.
    pub actors: Vec<Actor>,
    /// `may_act` (RFC 8693 §4.4): the only one who may act for the subject.
    pub may_act: Option<Actor>,
    /// `scope` (RFC 8693 §4.2); none if the token has none.
    pub scopes: Option<Vec<String>>,
    /// `txn` (RFC 8417 §2.2): identifies what the token is part of, across authorization servers.
    pub txn: Option<String>,
}

/// Who acts for a subject (RFC 8693 §4.1). Only both members together identify anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub iss: String,
    pub sub: String,
}
