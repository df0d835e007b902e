//! From a claim's JSON value to a typed attribute.

use vouchsafe_jose::{Json, JsonObject};

use crate::error::{ClaimName, TokenError};
use crate::providers::claim::{ClaimType, DeclaredClaim};

/// Largest magnitude of an integer claim: 2^53 − 1 (RFC 7493 §2.2).
pub const INTEGER_MAX: i64 = (1 << 53) - 1;

/// One verified claim under its own name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub name: String,
    pub value: AttributeValue,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    Boolean(bool),
    Integer(i64),
    Text(String),
    TextSet(Vec<String>),
}

/// The attribute of `claim`, or none where an optional claim is absent. `null` is absent only
/// where the provider uses it so.
pub(super) fn read(
    claim: &DeclaredClaim,
    claims: &JsonObject,
) -> Result<Option<Attribute>, TokenError> {
    let name = || ClaimName(claim.name.clone());
    match find(claim, claims).map_err(|NotAnObject| TokenError::ClaimInvalid(name()))? {
        None if claim.required => Err(TokenError::ClaimMissing(name())),
        None => Ok(None),
        Some(Json::Null) if claim.nullable => Ok(None),
        Some(value) => {
            let value =
                typed(claim.claim_type, value).ok_or_else(|| TokenError::ClaimInvalid(name()))?;
            if claim.required && value == AttributeValue::Text(String::new()) {
                return Err(TokenError::ClaimInvalid(name()));
            }
            Ok(Some(Attribute {
                name: claim.name.to_string(),
                value,
            }))
        }
    }
}

/// A claim on the way to another one is there, and is no object.
struct NotAnObject;

/// The claim's value; none where it is absent, or anything on the way to it.
fn find<'c>(
    claim: &DeclaredClaim,
    claims: &'c JsonObject,
) -> Result<Option<&'c Json>, NotAnObject> {
    let Some((last, way)) = claim.path.split_last() else {
        return Ok(claims.get(&claim.name));
    };
    let mut object = claims;
    for name in way {
        object = match object.get(name) {
            None => return Ok(None),
            Some(Json::Object(inner)) => inner,
            Some(_) => return Err(NotAnObject),
        };
    }
    Ok(object.get(last))
}

fn typed(claim_type: ClaimType, value: &Json) -> Option<AttributeValue> {
    match (claim_type, value) {
        (ClaimType::Boolean, Json::Boolean(value)) => Some(AttributeValue::Boolean(*value)),
        (ClaimType::Integer, Json::Integer(value)) => {
            let value = i64::try_from(*value).ok()?;
            (-INTEGER_MAX..=INTEGER_MAX)
                .contains(&value)
                .then_some(AttributeValue::Integer(value))
        }
        (ClaimType::Text, Json::Text(text)) => Some(AttributeValue::Text(text.clone())),
        (ClaimType::TextSet, Json::Array(items)) => {
            let texts = items.iter().map(|item| item.as_text().map(str::to_owned));
            Some(AttributeValue::TextSet(texts.collect::<Option<_>>()?))
        }
        (ClaimType::Boolean | ClaimType::Integer | ClaimType::Text | ClaimType::TextSet, _) => None,
    }
}
