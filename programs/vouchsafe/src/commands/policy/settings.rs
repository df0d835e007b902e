//! Checks that the signer of a manifest can sign what a bundle offers, and that a production broker is free of what is
//! for development.

use super::hosts;
use std::collections::BTreeMap;
use std::path::Path;
use vouchsafe_cli::Failure;
use vouchsafe_manifest::Manifest;
use vouchsafe_policy::{Audience, Bundle, Tier};
use vouchsafe_policy_tools::report::{Item, Severity};

/// A manifest with the variables that it is started with, as far as they are known.
pub struct Started<'m> {
    file: String,
    manifest: &'m Manifest,
    given: BTreeMap<String, String>,
}

impl<'m> Started<'m> {
    /// `variables` are `NAME=VALUE`.
    pub fn new(path: &Path, manifest: &'m Manifest, variables: &[String]) -> Result<Self, Failure> {
        let mut given = BTreeMap::new();
        for text in variables {
            let Some((name, value)) = text.split_once('=') else {
                return Err(Failure::usage(format!("`{text}` is not a variable with its value"))
                    .hint("write NAME=VALUE, such as signer_audiences=https://api.example"));
            };
            if !manifest.variables().contains_key(name) {
                let known: Vec<&str> = manifest.variables().keys().map(String::as_str).collect();
                return Err(Failure::usage(format!("`{}` has no variable `{name}`", path.display()))
                    .hint(format!("it has {}", known.join(", "))));
            }
            given.insert(name.to_owned(), value.to_owned());
        }
        Ok(Self::with(path, manifest, given))
    }

    /// `given` has the values of variables by name.
    pub fn with(path: &Path, manifest: &'m Manifest, given: BTreeMap<String, String>) -> Self {
        Self { file: path.display().to_string(), manifest, given }
    }

    /// The value of a variable, or the manifest's default. An empty one says nothing: it may be set elsewhere.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let default = || self.manifest.variables().get(name)?.default.as_deref();
        self.given.get(name).map(String::as_str).or_else(default).filter(|value| !value.is_empty())
    }

    fn warning(&self, code: &'static str, message: String, fix: &str) -> Item {
        hosts::item(&self.file, Severity::Warning, code, message, fix)
    }

    /// Warnings about audiences whose tokens the signer would refuse to sign.
    pub fn unsignable(&self, bundle: &Bundle) -> Vec<Item> {
        let mut items = Vec::new();
        let signer = self.manifest.root().ok().and_then(|root| {
            let mut dependencies = root.dependencies.iter();
            dependencies.find(|dependency| dependency.name.starts_with("vouchsafe:signer"))
        });
        // Only this signer is known to have no HSM.
        let is_local = signer.is_some_and(|signer| signer.component == "signer-local");
        for audience in bundle.audiences() {
            if is_local && audience.tier == Tier::Hsm {
                let message =
                    format!("audience `{}` has tier `hsm`, but the signer `signer-local` has no HSM", audience.id);
                items.push(self.warning("tier-unavailable", message, "use `spin.hsm.toml`, or tier `delegated`"));
                continue;
            }
            items.extend(self.missing_algorithm(audience));
            let listed = self.variable("signer_audiences");
            if listed.is_some_and(|listed| listed != "*" && !listed.split_whitespace().any(|id| id == audience.id)) {
                let message = format!("audience `{}` is not in `signer_audiences`", audience.id);
                items.push(self.warning(
                    "audience-beyond-signer",
                    message,
                    "add it there, or remove its audience file",
                ));
            }
        }
        items
    }

    fn missing_algorithm(&self, audience: &Audience) -> Option<Item> {
        let variable = match audience.tier {
            Tier::Delegated => "signer_algorithms",
            Tier::Hsm => "signer_hsm_algorithms",
        };
        let (id, algorithm) = (&audience.id, &audience.algorithm);
        let missing = !self.variable(variable)?.split_whitespace().any(|listed| listed == algorithm);
        let message = format!("audience `{id}` has algorithm `{algorithm}`, which is not in `{variable}`");
        missing.then(|| self.warning("algorithm-beyond-signer", message, "add it there, or use another algorithm"))
    }

    /// Warnings about issuers of development, and about hosts that only they need.
    pub fn for_development(&self, bundle: &Bundle, broker: &str) -> Vec<Item> {
        let issuers = bundle.issuers_of_all_environments().filter(|issuer| issuer.development);
        let mut items: Vec<Item> = issuers
            .map(|issuer| Item {
                in_bundle: true,
                ..hosts::item(
                    &format!("issuers/{}.toml", issuer.name),
                    Severity::Warning,
                    "issuer-for-development",
                    format!("issuer `{}` is for development, and the broker `{broker}` is not", issuer.name),
                    "remove it with its policies and cases, or keep it out of the bundle of this broker",
                )
            })
            .collect();
        items.extend(hosts::for_development(self.manifest, bundle).into_iter().map(|host| {
            let message = format!("only issuers for development need `{host}` of `allowed_outbound_hosts`");
            self.warning("host-for-development", message, "remove it")
        }));
        items
    }
}
