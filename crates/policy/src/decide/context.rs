//! The Cedar context of a request.

use crate::calendar;
use crate::decide::decision::DecideError;
use crate::decide::request::TokenRequest;
use crate::settings::zones::Zones;
use cedar_policy::{Context, RestrictedExpression};
use std::net::IpAddr;

/// The part of a request that becomes Cedar's context.
pub(crate) struct ContextInput<'a> {
    pub requested_lifetime_seconds: u64,
    pub scopes: &'a [String],
    pub client_ip: Option<&'a str>,
    pub proof_of_possession: bool,
}

impl<'a> From<&'a TokenRequest> for ContextInput<'a> {
    fn from(request: &'a TokenRequest) -> Self {
        Self {
            requested_lifetime_seconds: request.requested_lifetime_seconds,
            scopes: &request.scopes,
            client_ip: request.client_ip.as_deref(),
            proof_of_possession: request.proof_of_possession,
        }
    }
}

/// The Cedar context of a request at `now` (Unix seconds).
pub(crate) fn context(input: &ContextInput<'_>, zones: &Zones, now: u64) -> Result<Context, DecideError> {
    let lifetime = i64::try_from(input.requested_lifetime_seconds).map_err(|_| DecideError::LifetimeInvalid)?;
    let moment = calendar::to_rfc3339(now).ok_or(DecideError::TimeInvalid)?;
    let mut pairs = vec![
        ("now".to_owned(), RestrictedExpression::new_datetime(moment)),
        ("proof_of_possession".to_owned(), RestrictedExpression::new_bool(input.proof_of_possession)),
        ("requested_lifetime_seconds".to_owned(), RestrictedExpression::new_long(lifetime)),
        ("scopes".to_owned(), string_set(input.scopes)),
    ];
    if let Some(text) = input.client_ip {
        let address: IpAddr = text.parse().map_err(|_| DecideError::ClientIpInvalid)?;
        pairs.push(("client_ip".to_owned(), RestrictedExpression::new_ip(address.to_string())));
    }
    if let Some(local) = zones.expression(now) {
        pairs.push(("local".to_owned(), local));
    }
    Context::from_pairs(pairs).map_err(|_| DecideError::RequestInvalid)
}

pub(super) fn string_set(texts: &[String]) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.iter().cloned().map(RestrictedExpression::new_string))
}
