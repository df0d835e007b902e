//! One bundle as each of its profiles has it.

use crate::bundle::Bundle;
use crate::error::{Finding, InvalidBundle, Problem};
use crate::files::BundleFiles;
use crate::head;
use crate::records::Environment;
use std::collections::BTreeMap;

/// A bundle as each profile of its own has it, loaded once per profile.
pub struct Profiles<'a> {
    files: &'a BundleFiles,
    environment: Environment,
    loaded: BTreeMap<Option<String>, Bundle>,
}

impl<'a> Profiles<'a> {
    /// # Errors
    /// The bundle does not load.
    pub fn load(files: &'a BundleFiles, environment: &Environment) -> Result<Self, InvalidBundle> {
        let bundle = Bundle::load(files, environment)?;
        Ok(Self {
            files,
            environment: environment.clone(),
            loaded: BTreeMap::from([(None, bundle)]),
        })
    }

    /// The bundle in the profile of this name, or in that of the environment.
    ///
    /// # Errors
    /// There is no such profile, or the bundle does not load for its broker.
    pub fn bundle(&mut self, profile: Option<&str>) -> Result<&Bundle, InvalidBundle> {
        let key = profile.map(str::to_owned);
        if let (Some(name), false) = (profile, self.loaded.contains_key(&key)) {
            let known = self
                .loaded
                .get(&None)
                .and_then(|bundle| bundle.profile(name));
            let Some(issuer) = known.map(str::to_owned) else {
                let problem = unknown(name);
                return Err(Finding::of_file(head::FILE, problem).into());
            };
            let environment = Environment {
                issuer,
                ..self.environment.clone()
            };
            let bundle = Bundle::load(self.files, &environment)?;
            self.loaded.insert(key.clone(), bundle);
        }
        let missing = || {
            let problem = unknown(profile.unwrap_or_default());
            Finding::of_file(head::FILE, problem).into()
        };
        self.loaded.get(&key).ok_or_else(missing)
    }

    /// Every profile that was loaded, that of the environment first.
    pub fn into_bundles(self) -> BTreeMap<Option<String>, Bundle> {
        self.loaded
    }
}

fn unknown(profile: &str) -> Problem {
    Problem::CaseProfileUnknown {
        name: profile.to_owned(),
        nearest: None,
    }
}
