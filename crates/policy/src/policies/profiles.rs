//! `@profile` annotations.

use crate::bundle::files::BundleFiles;
use crate::diagnostics::suggestion::suggest;
use crate::diagnostics::{BundleError, Diagnostic};
use crate::policies::policy::NamedPolicy;
use crate::policies::span::{annotation, diagnostic_in};
use std::collections::BTreeMap;

/// Checks that every profile in an annotation is in `profiles`.
pub(crate) fn check_profiles(
    files: &BundleFiles,
    policies: &[NamedPolicy],
    profiles: &BTreeMap<String, String>,
) -> Result<(), Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    for policy in policies {
        // The span of a link's profile is not kept.
        let span = match &policy.link {
            Some(_) => None,
            None => annotation(&policy.cedar, "profile"),
        };
        let names = policy.profiles.iter();
        for profile in names.filter(|name| !profiles.contains_key(*name)) {
            let error = BundleError::PolicyProfileUnknown {
                policy: policy.id.clone(),
                profile: profile.clone(),
                suggestion: suggest(profile, profiles.keys().map(String::as_str)),
            };
            diagnostics.push(diagnostic_in(files, policy, span.clone(), error));
        }
    }
    match diagnostics.is_empty() {
        true => Ok(()),
        false => Err(diagnostics),
    }
}
