//! The JSON of an operation: strict, with every member known.

use vouchsafe_claims::is_unprintable;
use vouchsafe_json::{Json, JsonObject};
use vouchsafe_types::{IssuedTokens, RevocationTarget, TokenFilter};

use crate::answer::Refused;
use crate::limits::{FIELD_BYTES_MAX, ID_BYTES_MAX, OPERATION_BYTES_MAX, REASON_BYTES_MAX};

const REVOKE_MEMBERS: [&str; 13] = [
    "all", "audience", "block", "bundle", "dry_run", "id", "issuer", "kid", "reason", "since", "subject", "token",
    "until",
];
const LIFT_MEMBERS: [&str; 2] = ["id", "reason"];

/// A request to revoke tokens.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Revoke {
    DryRun(RevocationTarget),
    Now { id: String, target: RevocationTarget, reason: String },
}

/// A request to lift a block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lift {
    pub(crate) id: String,
    pub(crate) reason: String,
}

impl Revoke {
    pub(crate) fn parse(body: &[u8], now: u64) -> Result<Self, Refused> {
        let members = Members::parse(body, &REVOKE_MEMBERS)?;
        let target = target(&members, now)?;
        if members.flag("dry_run")? {
            return Ok(Self::DryRun(target));
        }
        Ok(Self::Now { id: members.id()?, target, reason: members.reason()? })
    }
}

impl Lift {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Refused> {
        let members = Members::parse(body, &LIFT_MEMBERS)?;
        Ok(Self { id: members.id()?, reason: members.reason()? })
    }
}

fn target(members: &Members, now: u64) -> Result<RevocationTarget, Refused> {
    let filter = TokenFilter {
        issuer_name: members.field("issuer")?,
        subject: members.field("subject")?,
        audience: members.field("audience")?,
        bundle_digest: members.field("bundle")?,
        kid: members.field("kid")?,
    };
    let (all, block) = (members.flag("all")?, members.flag("block")?);
    let (since, until) = (members.time("since")?, members.time("until")?);
    let within = since.is_some() || until.is_some();
    let filters = filter != TokenFilter::default();
    if let Some(jti) = members.field("token")? {
        return match filters || all || block || within {
            true => Err(invalid("`token` excludes every other condition")),
            false => Ok(RevocationTarget::Token(jti)),
        };
    }
    if filter.subject.is_some() && filter.issuer_name.is_none() {
        return Err(invalid("`subject` needs `issuer`: a subject is unique only within its issuer"));
    }
    match (filters, all) {
        (false, false) => Err(invalid("no condition: to revoke all tokens, set `all`")),
        (true, true) => Err(invalid("`all` excludes every other condition on the token")),
        (true, false) | (false, true) if block && within => {
            Err(invalid("`block` excludes `since` and `until`: it concerns tokens whenever they are issued"))
        }
        (true, false) | (false, true) if block => Ok(RevocationTarget::Blocked(filter)),
        (true, false) | (false, true) if until.is_some_and(|until| until > now) => {
            Err(invalid("`until` is in the future: tokens that are not issued yet are refused with `block`"))
        }
        (true, false) | (false, true) if since > Some(until.unwrap_or(now)) => Err(invalid("`since` is after `until`")),
        (true, false) | (false, true) => Ok(RevocationTarget::Issued(IssuedTokens { filter, since, until })),
    }
}

/// The members of a request.
struct Members(JsonObject);

impl Members {
    fn parse(body: &[u8], known: &[&str]) -> Result<Self, Refused> {
        // ORDER: the size limit comes before any parsing.
        if body.len() > OPERATION_BYTES_MAX {
            return Err(Refused::operation_too_large());
        }
        let object = JsonObject::parse(body)
            .map_err(|error| Refused::operation_invalid(format!("the body is not a JSON object: {error}")))?;
        // A condition that is ignored would revoke more than was asked.
        if object.iter().any(|(name, _)| !known.contains(&name)) {
            let known = known.join(", ");
            return Err(Refused::operation_invalid(format!("the body has an unknown member; known are {known}")));
        }
        Ok(Self(object))
    }

    fn id(&self) -> Result<String, Refused> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let id = self.text("id", ID_BYTES_MAX)?.ok_or_else(|| invalid("`id` is missing"))?;
        match id.bytes().all(legal) {
            true => Ok(id),
            false => Err(invalid("`id` may have letters, digits, `.`, `_` and `-` only")),
        }
    }

    fn reason(&self) -> Result<String, Refused> {
        self.text("reason", REASON_BYTES_MAX)?.ok_or_else(|| invalid("`reason` is missing"))
    }

    fn field(&self, name: &'static str) -> Result<Option<String>, Refused> {
        self.text(name, FIELD_BYTES_MAX)
    }

    fn text(&self, name: &'static str, bytes_max: usize) -> Result<Option<String>, Refused> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Json::Text(text)) if (1..=bytes_max).contains(&text.len()) && !text.chars().any(is_unprintable) => {
                Ok(Some(text.clone()))
            }
            Some(_) => Err(Refused::operation_invalid(format!(
                "`{name}` is not a text of 1 to {bytes_max} bytes without control characters"
            ))),
        }
    }

    fn time(&self, name: &'static str) -> Result<Option<u64>, Refused> {
        let wrong = || Refused::operation_invalid(format!("`{name}` is not a time in Unix seconds"));
        match self.0.get(name) {
            None => Ok(None),
            Some(Json::Integer(number)) => {
                u64::try_from(*number).ok().filter(|time| i64::try_from(*time).is_ok()).map(Some).ok_or_else(wrong)
            }
            Some(_) => Err(wrong()),
        }
    }

    fn flag(&self, name: &'static str) -> Result<bool, Refused> {
        match self.0.get(name) {
            None => Ok(false),
            Some(Json::Boolean(flag)) => Ok(*flag),
            Some(_) => Err(Refused::operation_invalid(format!("`{name}` is neither true nor false"))),
        }
    }
}

fn invalid(text: &'static str) -> Refused {
    Refused::operation_invalid(text)
}
