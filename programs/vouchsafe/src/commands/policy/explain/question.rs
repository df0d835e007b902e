//! A request to explain, and the answer.

use super::show::{self, Shown};
use vouchsafe_cli::{Failure, Format};
use vouchsafe_policy::{Audience, Bundle, Effect, TokenRequest};
use vouchsafe_policy_tools::explain::explain as explain_request;
use vouchsafe_policy_tools::{RecordedRequest, refusals, smallest_change};

pub const ONLY_DECODED: &str = "the token was only decoded; its signature was not verified";

/// The request to explain, and notes about it.
pub struct Question {
    pub asked: RecordedRequest,
    pub notes: Vec<String>,
    /// Whether the broker would refuse it before evaluating policies.
    pub refused: bool,
}

impl Question {
    /// The output, and whether a token would be issued.
    pub fn answer(&self, bundle: &Bundle, format: Format) -> Result<(String, bool), Failure> {
        let RecordedRequest { principal, actor, request, now } = &self.asked;
        let explanation = explain_request(bundle, &self.asked).map_err(|error| Failure::refused(error.to_string()))?;
        let issued = !self.refused && explanation.decision.effect == Effect::Permit;
        let change = match explanation.decision.effect {
            Effect::Deny if actor.is_none() => smallest_change(bundle, principal, request, *now),
            Effect::Deny | Effect::Permit => None,
        };
        let shown = Shown {
            explanation: &explanation,
            principal,
            actor: actor.as_ref(),
            request,
            now: *now,
            notes: &self.notes,
            change: change.as_ref(),
        };
        let text = match format {
            Format::Json => format!("{}\n", show::as_json(&shown)),
            Format::Text => show::as_text(&shown),
        };
        Ok((text, issued))
    }
}

/// Notes on what the broker would refuse although policies permit it.
pub fn limits(audience: &Audience, request: &TokenRequest) -> Vec<String> {
    refusals(audience, request).iter().map(|refusal| format!("the broker would refuse {refusal}")).collect()
}
