//! The messages between an admin and the gateway. They use a separate listener and separate credentials.

use serde::{Deserialize, Serialize};

use crate::counters::Counters;
use crate::refusal::Refusal;
use crate::versions::{KeyOperation, OperationError};

pub const OPERATION_PATH: &str = "/v1/admin/act";
pub const LIST_PATH: &str = "/v1/admin/keys";
pub const OUTCOME_PATH: &str = "/v1/admin/probe-outcome";
pub const PROBE_PATH: &str = "/v1/admin/probe";
pub const ROTATE_PATH: &str = "/v1/admin/rotate";

/// Requests an operation on the versions of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationRequest {
    pub key: String,
    /// `stage`, `canary`, `promote`, `rollback` or `retire`.
    pub act: String,
    /// The share of a canary, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<u8>,
    /// The version to roll back or retire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Whether to destroy the private key of a retired version.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub destroy: bool,
}

impl OperationRequest {
    /// # Errors
    /// [`Refusal::Request`] for an unknown operation or one with parameters that it doesn't have.
    pub fn operation(&self) -> Result<KeyOperation, Refusal> {
        let Self { share, version, destroy, .. } = *self;
        let operation = match (self.act.as_str(), share, version, destroy) {
            ("stage", None, None, false) => KeyOperation::Stage,
            ("canary", Some(share), None, false) => KeyOperation::Canary { share },
            ("canary", None, None, false) => return Err(OperationError::Share.into()),
            ("promote", None, None, false) => KeyOperation::Promote,
            ("rollback", None, from, false) => KeyOperation::Rollback { from },
            ("retire", None, version, destroy) => KeyOperation::Retire { version, destroy },
            _ => return Err(Refusal::Request),
        };
        Ok(operation)
    }
}

/// The result of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationAnswer {
    pub key: String,
    pub version: u64,
    pub changed: bool,
    /// The state of each version before and after, such as `1 active, 2 canary 5%`.
    pub before: String,
    pub after: String,
}

/// Requests a probe, a signed message that is not a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeRequest {
    pub key: String,
    pub version: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeAnswer {
    /// A compact JWS.
    pub probe: String,
}

/// Reports whether a probe was verified with the JWK Set that verifiers fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeOutcome {
    pub key: String,
    pub version: u64,
    pub verified: bool,
}

/// Requests the generation after `from`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateRequest {
    pub from: u64,
    /// Whether to proceed even if verifiers may not know the keys of the new generation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub although_unpublished: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotateAnswer {
    pub generation: u64,
    pub changed: bool,
}

/// The answer to `GET /v1/admin/keys`. Times are Unix seconds, by the gateway's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    pub now: u64,
    pub generation: u64,
    pub standby: u64,
    pub hsm: String,
    pub seconds_left: u64,
    pub groups: Vec<GroupListing>,
    pub keys: Vec<KeyListing>,
    /// Absent in older gateways.
    #[serde(default)]
    pub credentials: Vec<CredentialListing>,
}

/// A secret that this gateway accepts, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialListing {
    pub name: String,
    /// Whether it is that of an admin.
    pub is_admin: bool,
}

/// Keys of tier `delegated`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupListing {
    pub name: String,
    pub issuer: String,
    pub epoch_seconds: u64,
    pub epochs: Vec<EpochListing>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochListing {
    pub generation: u64,
    pub algorithm: String,
    pub start: u64,
    pub kid: String,
    /// When it leaves the JWK Set.
    pub leaves_at: u64,
}

/// A key of tier `hsm`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyListing {
    pub name: String,
    pub group: String,
    pub algorithm: String,
    pub versions: Vec<VersionListing>,
    /// The verdict on the canary, if there is one.
    pub verdict: Option<String>,
    /// Overdue operations and other problems.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionListing {
    pub version: u64,
    /// [`crate::versions::VersionState::name`], `destroyed`, or `doubled` if there are duplicates.
    pub state: String,
    pub share: Option<u8>,
    pub kid: Option<String>,
    pub since: Option<u64>,
    /// When it was first published; absent in older gateways.
    #[serde(default)]
    pub published: Option<u64>,
    /// When a pending version may sign.
    pub may_sign_at: Option<u64>,
    /// When a retiring version may leave the JWK Set.
    pub leaves_at: Option<u64>,
    /// First use at this gateway.
    pub first_use: Option<u64>,
    pub last_use: Option<u64>,
    pub figures: CountersListing,
}

/// [`Counters`] of this gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountersListing {
    pub signed: u64,
    pub sign_failures: u64,
    pub verify_failures: u64,
    pub probes: u64,
    pub probe_failures: u64,
}

impl From<Counters> for CountersListing {
    fn from(figures: Counters) -> Self {
        let Counters { signed, sign_failures, verify_failures, probes, probe_failures } = figures;
        Self { signed, sign_failures, verify_failures, probes, probe_failures }
    }
}

impl From<CountersListing> for Counters {
    fn from(listing: CountersListing) -> Self {
        let CountersListing { signed, sign_failures, verify_failures, probes, probe_failures } = listing;
        Self { signed, sign_failures, verify_failures, probes, probe_failures }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Option<Result<KeyOperation, Refusal>>) {
        let found = serde_json::from_str::<OperationRequest>(json).ok();
        assert_eq!(found.map(|it| it.operation()), expected, "{json}");
    }

    #[test]
    fn accepts_only_the_fields_of_an_operation() {
        check(r#"{"key":"a","act":"stage"}"#, Some(Ok(KeyOperation::Stage)));
        check(r#"{"key":"a","act":"canary","share":5}"#, Some(Ok(KeyOperation::Canary { share: 5 })));
        check(r#"{"key":"a","act":"canary"}"#, Some(Err(OperationError::Share.into())));
        check(r#"{"key":"a","act":"rollback","version":2}"#, Some(Ok(KeyOperation::Rollback { from: Some(2) })));
        let retire = KeyOperation::Retire { version: Some(1), destroy: true };
        check(r#"{"key":"a","act":"retire","version":1,"destroy":true}"#, Some(Ok(retire)));
        for json in [
            r#"{"key":"a","act":"stage","share":5}"#,
            r#"{"key":"a","act":"promote","version":1}"#,
            r#"{"key":"a","act":"rollback","destroy":true}"#,
            r#"{"key":"a","act":"explode"}"#,
        ] {
            check(json, Some(Err(Refusal::Request)));
        }
        for json in [
            r#"{"act":"stage"}"#,
            r#"{"key":"a","act":"stage","more":1}"#,
            r#"{"key":"a","key":"b","act":"stage"}"#,
            r#"{"key":"a","act":"canary","share":256}"#,
        ] {
            check(json, None);
        }
    }
}
