//! The bundle of a new broker: one issuer, one audience, one policy with its cases, and no development issuer.

use super::providers::Workload;
use crate::client::http::origin;
use vouchsafe_cli::Failure;
use vouchsafe_policy::{BundleFiles, Environment};
use vouchsafe_policy_tools::scaffold::{self, NewAudience, NewFiles, NewPolicy, ScaffoldError};

const BUNDLE_FILE: &str = "name = \"broker\"\nversion = \"1\"\n";
const SCHEMA: &str = include_str!("../../../../../policies/schema.cedarschema");
const EPOCH_SECONDS: u64 = 3600;

/// The bundle's files by path. It loads, and every case is met.
pub fn bundle(issuer: &str, workload: &Workload, audience: &str, scopes: &[String]) -> Result<NewFiles, Failure> {
    let environment = Environment { issuer: issuer.to_owned(), development: false, epoch_seconds: EPOCH_SECONDS };
    let mut bundle = Growing::default();
    bundle.add(NewFiles::from([
        ("bundle.toml".to_owned(), BUNDLE_FILE.to_owned()),
        ("schema.cedarschema".to_owned(), SCHEMA.to_owned()),
    ]))?;
    bundle.add(scaffold::issuer(&bundle.files, &environment, &workload.issuer).map_err(refused)?)?;
    let name = name_of(audience);
    let new = NewAudience {
        name: name.clone(),
        id: audience.to_owned(),
        scopes: scopes.to_vec(),
        scopes_required: !scopes.is_empty(),
        ..NewAudience::default()
    };
    bundle.add(scaffold::audience(&bundle.files, &environment, &new).map_err(refused)?)?;
    let new = NewPolicy {
        id: format!("{}-{name}", workload.issuer.name),
        issuer: workload.issuer.name.clone(),
        audience: audience.to_owned(),
        scopes: scopes.to_vec(),
        claims: workload.claims.clone(),
        networks: Vec::new(),
        hours: None,
        intent: None,
        replace: false,
    };
    bundle.add(scaffold::policy(&bundle.files, &environment, &new).map_err(refused)?.files)?;
    Ok(bundle.made)
}

/// A bundle to which files are added.
#[derive(Default)]
struct Growing {
    files: BundleFiles,
    made: NewFiles,
}

impl Growing {
    fn add(&mut self, made: NewFiles) -> Result<(), Failure> {
        for (path, content) in &made {
            let added = self.files.add(path, content.clone().into_bytes());
            added.map_err(|diagnostic| Failure::refused(diagnostic.to_string()))?;
        }
        self.made.extend(made);
        Ok(())
    }
}

fn refused(error: ScaffoldError) -> Failure {
    match error {
        ScaffoldError::ClaimUnknown { .. } | ScaffoldError::ClaimValue { .. } => Failure::usage(error.to_string()),
        other => Failure::refused(other.to_string()),
    }
}

/// A file name for the audience: the first label of its host, if that can be one.
fn name_of(audience: &str) -> String {
    let host = origin(audience).map(|(_, authority)| authority).unwrap_or_default();
    let label = host.split(['.', ':']).next().unwrap_or_default();
    let fits = label.starts_with(|c: char| c.is_ascii_lowercase())
        && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    match fits {
        true => label.to_owned(),
        false => "api".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn names_audience_after_its_host() {
        for (audience, expected) in [
            ("https://deploy.example", "deploy"),
            ("https://Deploy-2.example:8443/a", "deploy-2"),
            ("https://127.0.0.1", "api"),
            ("https://[::1]", "api"),
            ("//a", "api"),
            ("sts.amazonaws.com", "api"),
        ] {
            assert_eq!(name_of(audience), expected, "{audience}");
        }
    }
}
