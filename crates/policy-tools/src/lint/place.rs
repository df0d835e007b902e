//! Where in a policy a warning points.

use super::warning::Warning;
use cedar_policy::EntityUid;
use std::ops::Range;
use vouchsafe_policy::NamedPolicy;
use vouchsafe_policy::authoring::{WORKLOAD_GROUP, is_issuer, span};

impl Warning {
    /// The part of the policy that the warning is about; none for the whole policy.
    pub(super) fn place(&self, policy: &NamedPolicy) -> Option<Range<usize>> {
        let expression = |wanted: String| span::expression(policy, |text| text == wanted);
        let begins = |wanted: String| span::expression(policy, |text| text.starts_with(&wanted));
        match self {
            Self::AnyActor { .. }
            | Self::AnyNamespace { .. }
            | Self::AnyTenant { .. }
            | Self::BuildOfFork { .. }
            | Self::EventsUnbounded { .. }
            | Self::NoWorkload { .. } => span::entity(policy, names_principals),
            Self::AddressUnbounded { .. } => {
                begins("context has client_ip".to_owned()).or_else(|| begins("context.client_ip".to_owned()))
            }
            Self::AnyEnvironment(_) => expression("principal has environment".to_owned()),
            Self::TimeUnbounded(_) => {
                begins("context.local".to_owned()).or_else(|| expression("context.now".to_owned()))
            }
            Self::ValueUnknown { claim, value, .. } => {
                expression(format!("{value:?}")).or_else(|| expression(format!("principal.{claim} like {value:?}")))
            }
            Self::AttemptUnchecked { claim, .. } | Self::ChosenByCaller { claim, .. } => {
                expression(format!("principal.{claim}"))
            }
            Self::EventOfStrangers { claim, event, .. } => {
                let first = event.split('`').next().unwrap_or_default();
                expression(format!("{first:?}"))
                    .or_else(|| expression(format!("principal.{claim}")))
                    .or_else(|| expression("principal.ref".to_owned()))
            }
            Self::BranchOfStrangers(_) | Self::EventUnchecked { .. } => expression("principal.ref".to_owned()),
            Self::LikeCrossesSeparator { claim, pattern, .. } | Self::WorkflowAtAnyRef { claim, pattern, .. } => {
                let written = format!("principal.{claim} like {pattern:?}");
                expression(written).or_else(|| begins(format!("principal.{claim} like ")))
            }
            Self::NameWithoutId { name, .. } => expression(format!("principal.{name}")),
            Self::ScopeUnknown { scope, .. } => expression(format!("{scope:?}")),
            Self::ScopesUnbounded(_) => begins("context.scopes.".to_owned()),
            _ => None,
        }
    }
}

/// Whether an entity in a scope says whose workloads it is for.
fn names_principals(uid: &EntityUid) -> bool {
    is_issuer(uid) || uid.type_name().to_string() == WORKLOAD_GROUP
}
