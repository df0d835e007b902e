//! The Cedar context of a request.

use crate::calendar;
use crate::decide::decision::DecideError;
use crate::decide::request::TokenRequest;
use crate::policies::reads::Reads;
use crate::settings::zones::Zones;
use cedar_policy::{Context, EntityUid, RestrictedExpression};
use std::net::IpAddr;

/// The part of a request that becomes Cedar's context.
pub(crate) struct ContextInput<'a> {
    pub requested_lifetime_seconds: u64,
    pub scopes: &'a [String],
    pub client_ip: Option<&'a str>,
    pub proof_of_possession: bool,
    /// Where it is not the resource: for actors.
    pub audience: Option<&'a EntityUid>,
}

impl<'a> From<&'a TokenRequest> for ContextInput<'a> {
    fn from(request: &'a TokenRequest) -> Self {
        Self {
            requested_lifetime_seconds: request.requested_lifetime_seconds,
            scopes: &request.scopes,
            client_ip: request.client_ip.as_deref(),
            proof_of_possession: request.proof_of_possession,
            audience: None,
        }
    }
}

/// The Cedar context of a request at `now` (Unix seconds), as far as policies can read it.
pub(crate) fn context(
    input: &ContextInput<'_>,
    zones: &Zones,
    now: u64,
    reads: &Reads,
) -> Result<Context, DecideError> {
    let lifetime = i64::try_from(input.requested_lifetime_seconds).map_err(|_| DecideError::LifetimeInvalid)?;
    let address: Option<IpAddr> =
        input.client_ip.map(str::parse).transpose().map_err(|_| DecideError::ClientIpInvalid)?;
    let mut pairs = Vec::with_capacity(7);
    let mut add = |name: &str, value: &dyn Fn() -> Option<RestrictedExpression>| {
        if reads.has(name) {
            pairs.extend(value().map(|value| (name.to_owned(), value)));
        }
    };
    let moment = calendar::to_rfc3339(now).ok_or(DecideError::TimeInvalid)?;
    add("now", &|| Some(RestrictedExpression::new_datetime(&moment)));
    add("proof_of_possession", &|| Some(RestrictedExpression::new_bool(input.proof_of_possession)));
    add("requested_lifetime_seconds", &|| Some(RestrictedExpression::new_long(lifetime)));
    add("scopes", &|| Some(string_set(input.scopes)));
    add("client_ip", &|| address.map(|address| RestrictedExpression::new_ip(address.to_string())));
    add("audience", &|| input.audience.cloned().map(RestrictedExpression::new_entity_uid));
    add("local", &|| zones.expression(now));
    Context::from_pairs(pairs).map_err(|_| DecideError::RequestInvalid)
}

pub(super) fn string_set(texts: &[String]) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.iter().cloned().map(RestrictedExpression::new_string))
}
