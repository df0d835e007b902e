//! A bundle in each of its profiles.

use crate::error::{CheckError, SuiteError};
use std::collections::BTreeMap;
use vouchsafe_policy::{Bundle, BundleFiles, Diagnostic, Environment};

/// A bundle, loaded once for each profile that is asked for.
pub struct Profiles<'a> {
    files: &'a BundleFiles,
    environment: Environment,
    loaded: BTreeMap<Option<String>, Bundle>,
}

impl<'a> Profiles<'a> {
    /// Loads the bundle in the profile of the environment.
    ///
    /// # Errors
    /// The bundle does not load.
    pub fn load(files: &'a BundleFiles, environment: &Environment) -> Result<Self, SuiteError> {
        let bundle = Bundle::load(files, environment)?;
        Ok(Self { files, environment: environment.clone(), loaded: BTreeMap::from([(None, bundle)]) })
    }

    /// The bundle in the named profile, or in that of the environment.
    ///
    /// # Errors
    /// There is no such profile, or the bundle does not load for its broker.
    pub fn bundle(&mut self, profile: Option<&str>) -> Result<&Bundle, SuiteError> {
        let key = profile.map(str::to_owned);
        if let (Some(name), false) = (profile, self.loaded.contains_key(&key)) {
            let known = self.loaded.get(&None).and_then(|bundle| bundle.profile(name));
            let Some(issuer) = known.map(str::to_owned) else {
                let error = unknown(name);
                return Err(SuiteError::from(vec![Diagnostic::of_file("bundle.toml", error)]));
            };
            let environment = Environment { issuer, ..self.environment.clone() };
            let bundle = Bundle::load(self.files, &environment)?;
            self.loaded.insert(key.clone(), bundle);
        }
        let missing = || {
            let error = unknown(profile.unwrap_or_default());
            SuiteError::from(vec![Diagnostic::of_file("bundle.toml", error)])
        };
        self.loaded.get(&key).ok_or_else(missing)
    }

    /// All profiles that were loaded; that of the environment has no name.
    pub fn into_bundles(self) -> BTreeMap<Option<String>, Bundle> {
        self.loaded
    }
}

fn unknown(profile: &str) -> CheckError {
    CheckError::CaseProfileUnknown { name: profile.to_owned(), suggestion: None }
}
