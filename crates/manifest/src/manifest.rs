//! A parsed manifest.

use crate::error::ManifestError;
use crate::template::Template;
use std::collections::{BTreeMap, BTreeSet};

/// A parsed manifest: one HTTP trigger for all routes, its component, and the dependencies of that component.
#[derive(Debug, Clone)]
pub struct Manifest {
    pub(crate) application: String,
    pub(crate) variables: BTreeMap<String, Variable>,
    pub(crate) components: BTreeMap<String, Component>,
    pub(crate) root: String,
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
    /// Path of the same component built to leave signature arithmetic to the host.
    pub host_crypto_source: Option<String>,
    /// Label of the SQLite database on which the host can provide what this component exports, `vouchsafe:store`.
    pub host_store: Option<String>,
    pub files: Vec<FileMount>,
    pub sqlite_databases: Vec<String>,
    pub dependencies: Vec<Dependency>,
    pub(crate) allowed_outbound_hosts: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) variables: BTreeMap<String, Template>,
}

/// A directory that a component sees, read-only.
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
    /// Id of the component that satisfies the dependency.
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
    /// All capabilities, as `inherit_configuration = true` inherits them.
    pub const ALL: [Self; 5] =
        [Self::AllowedOutboundHosts, Self::Environment, Self::Files, Self::SqliteDatabases, Self::Variables];

    /// The capability's name in the manifest.
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

    /// Finds the capability with this name in the manifest.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.name() == name)
    }
}

impl Manifest {
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
        self.components.get(id).ok_or_else(|| ManifestError::UnknownComponent { id: id.to_owned() })
    }

    /// Hosts that the root component may connect to, as written: patterns may contain `{{ variables }}`.
    #[must_use]
    pub fn allowed_outbound_hosts(&self) -> &[String] {
        self.components.get(&self.root).map_or(&[], |root| &root.allowed_outbound_hosts)
    }

    /// The directories that the root component sees.
    #[must_use]
    pub fn files(&self) -> &[FileMount] {
        self.components.get(&self.root).map_or(&[], |root| &root.files)
    }
}
