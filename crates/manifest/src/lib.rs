//! The part of Spin's application manifest (version 2) that this application uses.
//!
//! Reads `spin.toml` for the standalone host and for `policy check --manifest`. It deliberately
//! does not know the whole of Spin's format: what it does not know it refuses by name, so that no
//! capability is granted or withheld by a key that was overlooked. No file, clock or environment is
//! read here. Entry point: [`Manifest::parse`], then [`Manifest::resolve`].
//!
//! Invariant: a [`Manifest`] names no component, dependency or variable that it does not hold.

#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "tests may panic")
)]

mod error;
mod hosts;
mod raw;
mod resolve;
mod template;

pub use error::ManifestError;
pub use hosts::{HostPattern, HostPatternError};
pub use resolve::{Resolved, environment_name};

use std::collections::{BTreeMap, BTreeSet};
use template::Template;

/// A parsed manifest: one HTTP trigger for every route, its component and that one's dependencies.
#[derive(Debug, Clone)]
pub struct Manifest {
    application: String,
    variables: BTreeMap<String, Variable>,
    components: BTreeMap<String, Component>,
    root: String,
}

/// An application variable.
#[derive(Debug, Clone)]
pub struct Variable {
    pub default: Option<String>,
    pub secret: bool,
}

/// One `[component.<id>]` table.
#[derive(Debug, Clone)]
pub struct Component {
    /// Path of the Wasm file, relative to the manifest.
    pub source: String,
    pub files: Vec<FileMount>,
    pub sqlite_databases: Vec<String>,
    pub dependencies: Vec<Dependency>,
    allowed_outbound_hosts: Vec<String>,
    environment: BTreeMap<String, String>,
    variables: BTreeMap<String, Template>,
}

/// A directory that a component sees, read only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMount {
    /// Relative to the manifest.
    pub source: String,
    pub destination: String,
}

/// One entry of `[component.<id>.dependencies]`.
#[derive(Debug, Clone)]
pub struct Dependency {
    /// `ns:pkg`, `ns:pkg@version`, `ns:pkg/interface@version` or a plain name.
    pub name: String,
    /// Id of the component that satisfies it.
    pub component: String,
    pub inherit: BTreeSet<Capability>,
}

/// A category of configuration that a dependency may inherit from its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    AllowedOutboundHosts,
    Environment,
    Files,
    SqliteDatabases,
    Variables,
}

impl Capability {
    /// All of them, which is what `inherit_configuration = true` means.
    pub const ALL: [Self; 5] = [
        Self::AllowedOutboundHosts,
        Self::Environment,
        Self::Files,
        Self::SqliteDatabases,
        Self::Variables,
    ];

    /// The manifest's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AllowedOutboundHosts => "allowed_outbound_hosts",
            Self::Environment => "environment",
            Self::Files => "files",
            Self::SqliteDatabases => "sqlite_databases",
            Self::Variables => "variables",
        }
    }

    /// The capability that a manifest calls `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|capability| capability.name() == name)
    }
}

impl Manifest {
    /// Parses the text of a `spin.toml`.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        raw::parse(text)
    }

    /// The application's name.
    #[must_use]
    pub fn application(&self) -> &str {
        &self.application
    }

    /// The application's variables by name.
    #[must_use]
    pub fn variables(&self) -> &BTreeMap<String, Variable> {
        &self.variables
    }

    /// Id of the component that answers every request.
    #[must_use]
    pub fn root_id(&self) -> &str {
        &self.root
    }

    /// The component that answers every request.
    pub fn root(&self) -> Result<&Component, ManifestError> {
        self.component(&self.root)
    }

    /// The component with this id.
    pub fn component(&self, id: &str) -> Result<&Component, ManifestError> {
        self.components
            .get(id)
            .ok_or_else(|| ManifestError::UnknownComponent { id: id.to_owned() })
    }

    /// What the root component may reach, as written: patterns may still hold `{{ variables }}`.
    #[must_use]
    pub fn allowed_outbound_hosts(&self) -> &[String] {
        self.components
            .get(&self.root)
            .map_or(&[], |root| &root.allowed_outbound_hosts)
    }

    /// The directories that the root component sees.
    #[must_use]
    pub fn files(&self) -> &[FileMount] {
        self.components
            .get(&self.root)
            .map_or(&[], |root| &root.files)
    }
}

#[cfg(test)]
mod tests;
