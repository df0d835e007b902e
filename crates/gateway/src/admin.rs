//! The messages between an admin and the gateway. They go over a listener of their own, with credentials
//! of their own.

use serde::{Deserialize, Serialize};

use crate::counters::Counters;
use crate::refusal::Refusal;
use crate::versions::{Act, ActFault};

pub const ACT_PATH: &str = "/v1/admin/act";
pub const LIST_PATH: &str = "/v1/admin/keys";
pub const OUTCOME_PATH: &str = "/v1/admin/probe-outcome";
pub const PROBE_PATH: &str = "/v1/admin/probe";
pub const ROTATE_PATH: &str = "/v1/admin/rotate";

/// Asks for something to be done with the versions of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActRequest {
    pub key: String,
    /// `stage`, `canary`, `promote`, `rollback` or `retire`.
    pub act: String,
    /// Of a canary, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<u8>,
    /// Which version is rolled back or retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Of a retired version: destroy its private key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub destroy: bool,
}

impl ActRequest {
    /// # Errors
    /// [`Refusal::Request`] for an unknown act, or one with what does not belong to it.
    pub fn act(&self) -> Result<Act, Refusal> {
        let Self {
            share,
            version,
            destroy,
            ..
        } = *self;
        let act = match (self.act.as_str(), share, version, destroy) {
            ("stage", None, None, false) => Act::Stage,
            ("canary", Some(share), None, false) => Act::Canary { share },
            ("canary", None, None, false) => return Err(ActFault::Share.into()),
            ("promote", None, None, false) => Act::Promote,
            ("rollback", None, from, false) => Act::Rollback { from },
            ("retire", None, version, destroy) => Act::Retire { version, destroy },
            _ => return Err(Refusal::Request),
        };
        Ok(act)
    }
}

/// What was done, or was so already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActAnswer {
    pub key: String,
    pub version: u64,
    pub changed: bool,
    /// State of each version before and after, such as `1 active, 2 canary 5%`.
    pub before: String,
    pub after: String,
}

/// Asks for a probe: something signed that is no token.
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

/// Whether a probe verified with the JWK Set that verifiers fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeOutcome {
    pub key: String,
    pub version: u64,
    pub verified: bool,
}

/// Asks for the generation behind `from`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateRequest {
    pub from: u64,
    /// Also where verifiers may not know the keys of the generation behind it.
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
    /// Of the canary, where there is one.
    pub verdict: Option<String>,
    /// What is overdue.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionListing {
    pub version: u64,
    /// As [`crate::versions::VersionState::name`], `destroyed`, or `doubled` where the token has it twice.
    pub state: String,
    pub share: Option<u8>,
    pub kid: Option<String>,
    pub since: Option<u64>,
    /// Of a pending version: when it may sign.
    pub may_sign_at: Option<u64>,
    /// Of a retiring version: when it may leave the JWK Set.
    pub leaves_at: Option<u64>,
    /// At this gateway.
    pub first_use: Option<u64>,
    pub last_use: Option<u64>,
    pub figures: CountersListing,
}

/// [`Counters`], at this gateway.
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
        let Counters {
            signed,
            sign_failures,
            verify_failures,
            probes,
            probe_failures,
        } = figures;
        Self {
            signed,
            sign_failures,
            verify_failures,
            probes,
            probe_failures,
        }
    }
}

impl From<CountersListing> for Counters {
    fn from(listing: CountersListing) -> Self {
        let CountersListing {
            signed,
            sign_failures,
            verify_failures,
            probes,
            probe_failures,
        } = listing;
        Self {
            signed,
            sign_failures,
            verify_failures,
            probes,
            probe_failures,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Option<Result<Act, Refusal>>) {
        let found = serde_json::from_str::<ActRequest>(json).ok();
        assert_eq!(found.map(|it| it.act()), expected, "{json}");
    }

    #[test]
    fn accepts_only_the_fields_of_an_operation() {
        check(r#"{"key":"a","act":"stage"}"#, Some(Ok(Act::Stage)));
        check(
            r#"{"key":"a","act":"canary","share":5}"#,
            Some(Ok(Act::Canary { share: 5 })),
        );
        check(
            r#"{"key":"a","act":"canary"}"#,
            Some(Err(ActFault::Share.into())),
        );
        check(
            r#"{"key":"a","act":"rollback","version":2}"#,
            Some(Ok(Act::Rollback { from: Some(2) })),
        );
        let retire = Act::Retire {
            version: Some(1),
            destroy: true,
        };
        check(
            r#"{"key":"a","act":"retire","version":1,"destroy":true}"#,
            Some(Ok(retire)),
        );
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
