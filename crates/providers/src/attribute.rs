//! Conversion of a claim's JSON value to a typed attribute.

use crate::claim::{Claim, Source};
use crate::spiffe::SpiffeId;
use std::borrow::Cow;
use vouchsafe_json::{Json, JsonObject};
use vouchsafe_types::{Attribute, AttributeValue, ClaimType};

/// Largest magnitude of an integer claim: 2^53 − 1 (RFC 7493 §2.2).
pub const INTEGER_MAX: i64 = (1 << 53) - 1;

/// A claim that does not match its provider's documentation. Contains no value from the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("claim `{name}` {fault}")]
pub struct ClaimError {
    /// The attribute's name.
    pub name: Cow<'static, str>,
    pub fault: ClaimFault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimFault {
    #[error("is empty")]
    Empty,
    #[error("is missing")]
    Missing,
    #[error("is nested in a value that is not an object")]
    NotReached,
    #[error("is not {0}")]
    Type(&'static str),
}

/// The attributes that `table` defines, from `claims`, in the table's order.
///
/// # Errors
/// The first claim that does not match the table.
pub fn attributes(table: &[Claim], claims: &JsonObject) -> Result<Vec<Attribute>, ClaimError> {
    table.iter().filter_map(|claim| read(claim, claims).transpose()).collect()
}

/// The attribute of `claim`; `None` if an optional claim is absent. `null` counts as absent only where the provider's
/// tokens use it that way.
fn read(claim: &Claim, claims: &JsonObject) -> Result<Option<Attribute>, ClaimError> {
    let fail = |fault| ClaimError { name: claim.name.clone(), fault };
    let value = match find(claim, claims).map_err(fail)? {
        None if claim.required => return Err(fail(ClaimFault::Missing)),
        None => return Ok(None),
        Some(Json::Null) if claim.nullable => return Ok(None),
        Some(value) => value,
    };
    let wrong = || fail(ClaimFault::Type(claim.claim_type.expected()));
    let value = match claim.source {
        Source::Claim | Source::Path(_) => typed(claim.claim_type, value).ok_or_else(wrong)?,
        Source::SpiffePath | Source::SpiffeTrustDomain => {
            let id = value.as_text().and_then(|text| SpiffeId::parse(text).ok());
            let id = id.ok_or_else(|| fail(ClaimFault::Type("a SPIFFE ID")))?;
            let part = if claim.source == Source::SpiffePath { id.path() } else { id.trust_domain() };
            AttributeValue::Text(part.to_owned())
        }
    };
    if claim.required && value == AttributeValue::Text(String::new()) {
        return Err(fail(ClaimFault::Empty));
    }
    Ok(Some(Attribute { name: claim.name.to_string(), value }))
}

/// The claim's value; `None` if it, or an object on its path, is absent.
fn find<'c>(claim: &Claim, claims: &'c JsonObject) -> Result<Option<&'c Json>, ClaimFault> {
    let path = match claim.source {
        Source::Claim => return Ok(claims.get(&claim.name)),
        Source::SpiffePath | Source::SpiffeTrustDomain => return Ok(claims.get("sub")),
        Source::Path(path) => path,
    };
    let Some((last, way)) = path.split_last() else {
        return Ok(None);
    };
    let mut object = claims;
    for name in way {
        object = match object.get(name) {
            None => return Ok(None),
            Some(Json::Object(inner)) => inner,
            Some(_) => return Err(ClaimFault::NotReached),
        };
    }
    Ok(object.get(last))
}

fn typed(claim_type: ClaimType, value: &Json) -> Option<AttributeValue> {
    match (claim_type, value) {
        (ClaimType::Boolean, Json::Boolean(value)) => Some(AttributeValue::Boolean(*value)),
        (ClaimType::Integer, Json::Integer(value)) => {
            let value = i64::try_from(*value).ok()?;
            (-INTEGER_MAX..=INTEGER_MAX).contains(&value).then_some(AttributeValue::Integer(value))
        }
        (ClaimType::Text, Json::Text(text)) => Some(AttributeValue::Text(text.clone())),
        (ClaimType::TextOrSet, Json::Text(text)) => Some(AttributeValue::TextSet(vec![text.clone()])),
        (ClaimType::TextOrSet | ClaimType::TextSet, Json::Array(items)) => {
            let texts = items.iter().map(|item| item.as_text().map(str::to_owned));
            Some(AttributeValue::TextSet(texts.collect::<Option<_>>()?))
        }
        (ClaimType::TextMap, Json::Object(members)) => {
            let pair = |(name, value): (&str, &Json)| {
                let value = value.as_text().filter(|_| !name.contains('='))?;
                Some(format!("{name}={value}"))
            };
            let pairs = members.iter().map(pair);
            Some(AttributeValue::TextSet(pairs.collect::<Option<_>>()?))
        }
        (
            ClaimType::Boolean
            | ClaimType::Integer
            | ClaimType::Text
            | ClaimType::TextMap
            | ClaimType::TextOrSet
            | ClaimType::TextSet,
            _,
        ) => None,
    }
}
