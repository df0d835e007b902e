use crate::HostPatternError;

/// Why a manifest cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("dependency `{dependency}` inherits `{name}`, which is not a category this host knows")]
    Capability { dependency: String, name: String },
    #[error(
        "component `{id}` is a dependency and may not have `{key}`: a dependency has its parent's configuration or none"
    )]
    DependencyConfiguration { id: String, key: &'static str },
    #[error("host pattern `{pattern}`: {reason}")]
    HostPattern {
        pattern: String,
        reason: HostPatternError,
    },
    #[error("`{value}` is not an id of lower-case words joined by `{joined_by}`")]
    Id { value: String, joined_by: char },
    #[error(
        "component `{id}` has a dependency that has dependencies itself, and they are plugged one level deep"
    )]
    NestedDependency { id: String },
    #[error("route `{route}` is not supported: one trigger with route `/...` is")]
    Route { route: String },
    #[error("template `{template}`: {reason}")]
    Template {
        template: String,
        reason: &'static str,
    },
    #[error("{triggers} http triggers: exactly one is supported")]
    TriggerCount { triggers: usize },
    #[error("{message}")]
    Toml {
        message: String,
        line: usize,
        column: usize,
    },
    #[error("component `{id}` is not in the manifest")]
    UnknownComponent { id: String },
    #[error("variable `{name}` is not in the manifest")]
    UnknownVariable { name: String },
    #[error("variable `{name}` must have either `default` or `required = true`")]
    VariableDefault { name: String },
    #[error("variable `{name}` is required and has no value")]
    VariableMissing { name: String },
    #[error("manifest version {version} is not supported: 2 is")]
    Version { version: i64 },
}

impl ManifestError {
    /// Line and column of the fault, counted from 1, where they are known.
    #[must_use]
    pub fn position(&self) -> Option<(usize, usize)> {
        match self {
            Self::Toml { line, column, .. } => Some((*line, *column)),
            _ => None,
        }
    }
}
