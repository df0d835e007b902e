//! The settings of a bundle: issuers, audiences, groups, time zones and owners of keys, as their TOML files declare them.

pub(crate) mod audience;
pub(crate) mod checks;
pub(crate) mod client;
mod declared_claims;
pub(crate) mod duration;
pub(crate) mod groups;
pub(crate) mod issuer;
pub(crate) mod key_owners;
pub(crate) mod key_source;
pub(crate) mod records;
mod replay;
pub(crate) mod subject_template;
pub(crate) mod toml_file;
mod url;
pub(crate) mod zones;
