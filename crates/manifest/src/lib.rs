//! Parser for the part of Spin's application manifest (version 2) that this application uses.
//!
//! The standalone host, `policy check --manifest` and `xtask` read `spin.toml` with it; it is a crate of its own so that
//! the latter two do not depend on the host. It deliberately does not support all of Spin's format: unknown keys are
//! errors, so that no capability is granted or withheld by oversight. It reads no file, clock or environment.
//!
//! Entry point: [`Manifest::parse`], then [`Manifest::resolve`].
//!
//! Invariant: every component, dependency and variable that a [`Manifest`] names exists in it.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

mod error;
mod hosts;
mod manifest;
mod raw;
mod resolve;
mod template;

pub use error::{HostPatternError, ManifestError};
pub use hosts::HostPattern;
pub use manifest::{Capability, Component, Dependency, FileMount, Manifest, Variable};
pub use resolve::{Resolved, environment_name};

#[cfg(test)]
mod tests;
