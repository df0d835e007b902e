//! The trust bundle: who is trusted, what may be issued, and the Cedar policies that decide.
//!
//! Does not read a clock, open a socket or hold a key. Loading works on [`BundleFiles`], paths and contents in memory;
//! only [`folder`] accesses a file system. Entry points: [`Bundle::load`], [`Bundle::decide`], and [`Decider`] for the
//! policy component. What only authors of policies need is in `vouchsafe-policy-tools`, which no component contains.
//!
//! ```
//! use vouchsafe_policy::{
//!     Attribute, AttributeValue, Bundle, BundleFiles, Effect, Environment, LoadError, Principal, TokenRequest,
//! };
//!
//! let schema = r#"
//!     entity Issuer, Audience;
//!     namespace GitHub { entity Workflow in [Issuer] = { repository_id: String }; }
//!     action issue appliesTo {
//!         principal: [GitHub::Workflow],
//!         resource: [Audience],
//!         context: {
//!             requested_lifetime_seconds: Long, scopes: Set<String>, now: datetime,
//!             client_ip?: ipaddr, proof_of_possession: Bool,
//!         },
//!     };"#;
//! let policy = r#"
//!     @id("deploy")
//!     permit (
//!         principal is GitHub::Workflow in Issuer::"github", action, resource == Audience::"https://api.example"
//!     ) when { principal.repository_id == "123456" };"#;
//! let mut files = BundleFiles::default();
//! for (path, content) in [
//!     ("bundle.toml", "name = 'example'\nversion = '1'"),
//!     ("schema.cedarschema", schema),
//!     ("issuers/github.toml", "issuer = 'https://idp.example'\nprovider = 'github'"),
//!     ("audiences/api.toml", "id = 'https://api.example'"),
//!     ("rules/deploy.cedar", policy),
//! ] {
//!     files.add(path, content.into()).map_err(LoadError::from)?;
//! }
//! let environment = Environment {
//!     issuer: "https://broker.example".to_owned(),
//!     development: false,
//!     epoch_seconds: 3600,
//! };
//! let bundle = Bundle::load(&files, &environment)?;
//!
//! let principal = Principal {
//!     entity_type: "GitHub::Workflow".to_owned(),
//!     id: "repo:octo-org/octo-repo:ref:refs/heads/main".to_owned(),
//!     issuer_name: "github".to_owned(),
//!     attributes: vec![Attribute {
//!         name: "repository_id".to_owned(),
//!         value: AttributeValue::Text("123456".to_owned()),
//!     }],
//! };
//! let request = TokenRequest {
//!     audience: "https://api.example".to_owned(),
//!     scopes: Vec::new(),
//!     requested_lifetime_seconds: 300,
//!     client_ip: None,
//!     proof_of_possession: false,
//! };
//! let decision = bundle.decide(&principal, &request, 1_798_761_600)?;
//! assert_eq!(decision.effect, Effect::Permit);
//! assert_eq!(decision.determining_rules, ["deploy"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! INVARIANT: a [`Bundle`] exists only if every file of it was understood and every policy validates strictly against
//! its schema.
//! INVARIANT: a decision is [`Effect::Permit`] only if a `permit` matched and no `forbid` matched or failed to evaluate.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]
#![expect(clippy::result_large_err, reason = "diagnostics are made when a bundle is loaded, never on a request path")]

mod bundle;
mod calendar;
mod decide;
mod diagnostics;
pub mod limits;
mod policies;
mod settings;

pub use bundle::files::{BundleFiles, PROOF_FILE};
pub use bundle::proof::ProofState;
pub use bundle::{Bundle, PolicyCount, folder};
pub use calendar::{parse_unix_seconds, to_rfc3339};
pub use decide::decider::Decider;
pub use decide::decision::{DecideError, Decision, Effect};
pub use decide::request::{Principal, TokenRequest};
pub use diagnostics::suggestion::suggest;
pub use diagnostics::{BundleError, Diagnostic, LoadError, Position};
pub use policies::attributes::AttributeType;
pub use policies::guardrails::Guardrail;
pub use policies::policy::{NamedPolicy, policy_set};
pub use settings::duration::parse_seconds as parse_duration_seconds;
pub use settings::groups::{Group, Workload};
pub use settings::key_owners::{Criticality, KEY_KINDS, KeyOwner, KeyOwners};
pub use settings::key_source::with_credentials;
pub use settings::records::{
    Audience, Client, ClientCredential, Environment, Issuer, KeySource, PinnedKeys, ReplayMode, RequiredClaim, Tier,
    View,
};
pub use vouchsafe_providers::{Attribute, AttributeValue, Claim, ClaimType, Provider};

/// Every provider that an issuer file can name, sorted by name.
pub fn providers() -> impl Iterator<Item = &'static Provider> {
    vouchsafe_providers::PROVIDERS.into_iter()
}

/// What `vouchsafe-policy-tools` needs beyond loading and deciding. Not for other crates.
pub mod authoring {
    pub use crate::bundle::IssuerEntity;
    pub use crate::bundle::files::text_of;
    pub use crate::bundle::proof;
    pub use crate::decide::PreparedRequest;
    pub use crate::diagnostics::spanned::Spanned;
    pub use crate::diagnostics::suggestion::suggest;
    pub use crate::diagnostics::toml_span;
    pub use crate::policies::entities::{AUDIENCE_GROUP, WORKLOAD_GROUP, is_issuer};
    pub use crate::policies::index::{RequestScope, can_match};
    pub use crate::policies::span;
    pub use crate::policies::templates::NamedTemplate;
    pub use crate::settings::subject_template::placeholders;
    pub use crate::settings::toml_file::TomlFile;

    /// The types that the TOML files of a bundle are read into, for their JSON Schemas.
    #[cfg(feature = "json-schema")]
    pub mod files {
        pub use crate::bundle::manifest::BundleFile;
        pub use crate::policies::templates::LinkFile;
        pub use crate::settings::audience::AudienceFile;
        pub use crate::settings::client::ClientFile;
        pub use crate::settings::groups::GroupFile;
        pub use crate::settings::issuer::IssuerFile;
    }
}
