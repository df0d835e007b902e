//! Filling in the values of variables.

use crate::error::ManifestError;
use crate::hosts::HostPattern;
use crate::manifest::{Manifest, Variable};
use crate::template::Template;
use std::collections::BTreeMap;
use std::fmt;

/// What the root component is granted, with the values of variables filled in.
pub struct Resolved {
    /// The application's variables.
    pub application_variables: BTreeMap<String, String>,
    /// The root component's variables, which guests can read.
    pub variables: BTreeMap<String, String>,
    pub allowed_outbound_hosts: Vec<HostPattern>,
    pub environment: BTreeMap<String, String>,
}

/// Shows names only, because values may be secrets.
impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolved")
            .field("variables", &self.variables.keys())
            .field("allowed_outbound_hosts", &self.allowed_outbound_hosts)
            .finish_non_exhaustive()
    }
}

/// The environment variable that sets the variable `name`, as in Spin.
#[must_use]
pub fn environment_name(name: &str) -> String {
    format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase())
}

impl Manifest {
    /// Fills in the values `provided`, then the manifest's defaults. A required variable without a value is an error
    /// here; Spin reports it when a guest first reads the variable. Every unknown and missing variable is reported.
    pub fn resolve(&self, provided: &BTreeMap<String, String>) -> Result<Resolved, Vec<ManifestError>> {
        let unknown = provided.keys().filter(|name| !self.variables.contains_key(*name));
        let mut errors: Vec<_> = unknown.map(|name| ManifestError::UnknownVariable { name: name.clone() }).collect();
        let values = self.values(provided);
        let missing = self.variables.keys().filter(|name| !values.contains_key(*name));
        errors.extend(missing.map(|name| ManifestError::VariableMissing { name: name.clone() }));
        if errors.is_empty() { self.expand(values).map_err(|error| vec![error]) } else { Err(errors) }
    }

    /// The values of the manifest's variables: those `provided`, else the defaults.
    #[must_use]
    pub fn values(&self, provided: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let value = |(name, variable): (&String, &Variable)| {
            let value = provided.get(name).or(variable.default.as_ref());
            Some((name.clone(), value?.clone()))
        };
        self.variables.iter().filter_map(value).collect()
    }

    fn expand(&self, values: BTreeMap<String, String>) -> Result<Resolved, ManifestError> {
        let root = self.root()?;
        let mut variables = BTreeMap::new();
        for (name, template) in &root.variables {
            variables.insert(name.clone(), template.expand(&values)?);
        }
        let allowed_outbound_hosts = root
            .allowed_outbound_hosts
            .iter()
            .map(|pattern| HostPattern::parse(&Template::parse(pattern)?.expand(&values)?))
            .collect::<Result<_, _>>()?;
        let environment = root.environment.clone();
        Ok(Resolved { application_variables: values, variables, allowed_outbound_hosts, environment })
    }
}
