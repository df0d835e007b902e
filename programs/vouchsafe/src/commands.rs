//! Subcommands, one module each, with `Args` and `run(Args) -> Result<ExitCode, Failure>`.

#[cfg(feature = "host")]
mod application;
#[cfg(feature = "host")]
pub mod audit;
pub mod client;
pub mod completions;
pub mod credential;
pub mod dev_issuer;
#[cfg(feature = "host")]
pub mod doctor;
pub mod exec;
pub mod incident;
#[cfg(feature = "host")]
pub mod init;
pub mod keys;
pub mod man;
pub mod metadata;
pub mod policy;
pub mod preset;
pub mod probe;
#[cfg(feature = "host")]
pub mod report;
pub mod revoke;
#[cfg(feature = "host")]
pub mod serve;
#[cfg(feature = "host")]
pub mod store;
pub mod token;
pub mod verify;
