//! Errors of manifests.

/// Why a manifest cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("dependency `{dependency}` inherits the unknown configuration `{name}`")]
    Capability { dependency: String, name: String },
    #[error(
        "component `{id}` is a dependency and must not set `{key}`: it inherits its parent's configuration or has none"
    )]
    DependencyConfiguration { id: String, key: &'static str },
    #[error("invalid host pattern `{pattern}`: {reason}")]
    HostPattern { pattern: String, reason: HostPatternError },
    #[error("invalid id `{value}`: use lowercase words joined by `{joined_by}`")]
    Id { value: String, joined_by: char },
    #[error("dependency `{id}` has dependencies of its own, but only one level is supported")]
    NestedDependency { id: String },
    #[error("unsupported route `{route}`: only `/...` is supported")]
    Route { route: String },
    #[error("invalid template `{template}`: {reason}")]
    Template { template: String, reason: &'static str },
    #[error("found {triggers} HTTP triggers, but exactly one is supported")]
    TriggerCount { triggers: usize },
    #[error("{message}")]
    Toml { message: String, line: usize, column: usize },
    #[error("component `{id}` is not in the manifest")]
    UnknownComponent { id: String },
    #[error("variable `{name}` is not in the manifest")]
    UnknownVariable { name: String },
    #[error("variable `{name}` must have either `default` or `required = true`")]
    VariableDefault { name: String },
    #[error("required variable `{name}` has no value")]
    VariableMissing { name: String },
    #[error("unsupported manifest version {version}: only 2 is supported")]
    Version { version: i64 },
}

impl ManifestError {
    /// Line and column of the error, counted from 1, if known.
    #[must_use]
    pub fn position(&self) -> Option<(usize, usize)> {
        match self {
            Self::Toml { line, column, .. } => Some((*line, *column)),
            _ => None,
        }
    }
}

/// Why a pattern is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    #[error("network ranges and `self` are not supported")]
    HostKind,
    #[error("the host is empty or contains an invalid character")]
    HostName,
    #[error("a pattern must not contain a path, query, fragment or user")]
    NotAnOrigin,
    #[error("the port must be a number, a range `low..high` or `*`")]
    Port,
    #[error("the scheme has no default port, so the pattern must include one")]
    PortMissing,
    #[error("the scheme is missing: write `https://…`")]
    SchemeMissing,
}
