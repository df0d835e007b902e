//! A bundle as the policy component has it: for deciding, and nothing else.

use crate::bundle::Bundle;
use crate::decide::{DecideError, Decision, Principal, TokenRequest};
use crate::error::InvalidBundle;
use crate::files::BundleFiles;
use crate::records::{Audience, Environment, Issuer};
use crate::seal;
use vouchsafe_types::BundleInfo;

/// A bundle that decides, loaded as cheaply as can be.
///
/// Every instance of a component reads the whole bundle, hashes it and checks all files but rules. Rules are
/// parsed and checked all at once by the instance that meets a bundle first, which gives a *seal* for others
/// to be spared that. With its seal, rules are only found, and those that can match a request are parsed and
/// checked with the first such request.
///
/// INVARIANT: no rule takes part in a decision unless this very instance parsed it, validated it strictly and
/// made every check of [`Bundle::load`] that can be made of one rule. So who forges a seal gets no rule past
/// the checks: what they gain is that a bundle with a wrong rule is used for requests that this rule
/// can't match.
pub struct Decider {
    bundle: Bundle,
    seals: Option<String>,
}

/// How much of a bundle was looked at so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Rules that are there, in whatever profile.
    pub rules: usize,
    /// Those of them that Cedar parsed.
    pub parsed: usize,
}

impl Decider {
    /// Loads a bundle. `seals` are those that were kept, as [`Self::seals`] gave them, and may be anything.
    ///
    /// # Errors
    /// Those of [`Bundle::load`], in the same cases and words, unless a seal says that there are none.
    pub fn load(
        files: &BundleFiles,
        environment: &Environment,
        seals: Option<&str>,
    ) -> Result<Self, InvalidBundle> {
        let kept = seals.unwrap_or_default();
        let digest = files.digest();
        let seal = seal::of(&digest, environment);
        let checked = seal::has(kept, &seal);
        match Bundle::on_demand(files, environment, &digest, checked) {
            Some(bundle) => Ok(Self {
                bundle,
                seals: (!checked).then(|| seal::with(kept, &seal)),
            }),
            None => Ok(Self {
                bundle: Bundle::load(files, environment)?,
                seals: None,
            }),
        }
    }

    /// Name and digest of the bundle, and the seals to keep in place of those given, if that changes.
    pub fn info(&self) -> BundleInfo {
        BundleInfo {
            name: self.bundle.name.clone(),
            version: self.bundle.version.clone(),
            digest: self.bundle.digest().to_owned(),
            seals: self.seals.clone(),
        }
    }

    /// What to keep in place of the seals that were given, where that changes.
    pub fn seals(&self) -> Option<&str> {
        self.seals.as_deref()
    }

    pub fn name(&self) -> &str {
        &self.bundle.name
    }

    pub fn version(&self) -> &str {
        &self.bundle.version
    }

    /// See [`Bundle::digest`].
    pub fn digest(&self) -> &str {
        self.bundle.digest()
    }

    /// See [`Bundle::issuer`].
    pub fn issuer(&self, iss: &str) -> Option<&Issuer> {
        self.bundle.issuer(iss)
    }

    /// See [`Bundle::audience`].
    pub fn audience(&self, id: &str) -> Option<&Audience> {
        self.bundle.audience(id)
    }

    /// See [`Bundle::decide`].
    ///
    /// # Errors
    /// [`DecideError::RulesInvalid`] also where a rule that can match turns out to be wrong, which only a
    /// forged seal lets happen.
    pub fn decide(
        &self,
        principal: &Principal,
        request: &TokenRequest,
        now: u64,
    ) -> Result<Decision, DecideError> {
        self.bundle.decide(principal, request, now)
    }

    pub fn work(&self) -> Work {
        self.bundle.work()
    }
}

impl std::fmt::Debug for Decider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.bundle.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Effect;

    const SCHEMA: &str = include_str!("../../../policies/schema.cedarschema");
    const NOW: u64 = 1_798_761_600;
    /// Rules that keep a bundle from loading, for the audience `{}`.
    const WRONG: [&str; 9] = [
        "permit (principal is GitHub::Workflow in Issuer::\"github\", action, resource == Audience::\"{}\");",
        "@id(\"UPPER\") permit (principal is GitHub::Workflow in Issuer::\"github\", action, resource == Audience::\"{}\");",
        "@id(\"x\") permit (principal is GitHub::Workflow, action, resource == Audience::\"{}\");",
        "@id(\"x\") permit (principal is GitHub::Workflow in Issuer::\"github\", action, resource == Audience::\"{}\") when { principal.nothing == 1 };",
        "@id(\"x\") permit (principal is GitHub::Workflow in Issuer::\"github\", action, resource == Audience::\"{}\") when { 1 + };",
        "@id(\"x\") permit (principal is GitHub::Workflow in Issuer::\"github\", action, resource == Audience::\"{}\") unless { principal in Issuer::\"gone\" };",
        "@id(\"x\") forbid (principal, action, resource == Audience::\"{}\") when { principal in WorkloadGroup::\"gone\" };",
        "@id(\"x\") @profile(\"gone\") forbid (principal, action, resource == Audience::\"{}\");",
        "@id(\"a\") forbid (principal, action, resource == Audience::\"{}\");",
    ];

    fn environment() -> Environment {
        Environment {
            issuer: "https://broker.example".to_owned(),
            development: false,
            epoch_seconds: 3600,
        }
    }

    fn files(rules: &str) -> BundleFiles {
        let permit = |id: &str| {
            format!(
                "@id(\"{id}\") permit (principal is GitHub::Workflow in Issuer::\"github\", \
                 action, resource == Audience::\"https://{id}.example\");\n"
            )
        };
        let rules = format!("{}{}{rules}\n", permit("a"), permit("b"));
        let mut files = BundleFiles::default();
        for (path, text) in [
            ("bundle.toml", "name = \"test\"\nversion = \"1\"\n"),
            ("schema.cedarschema", SCHEMA),
            (
                "issuers/github.toml",
                "issuer = \"https://idp.example\"\nprovider = \"github\"\n",
            ),
            ("audiences/a.toml", "id = \"https://a.example\"\n"),
            ("audiences/b.toml", "id = \"https://b.example\"\n"),
            ("rules/all.cedar", rules.as_str()),
        ] {
            files.add(path, text.into()).expect("within limits");
        }
        files
    }

    fn decide(decider: &Decider, audience: &str) -> Result<Effect, DecideError> {
        let text = |name: &str| crate::Attribute {
            name: name.to_owned(),
            value: crate::AttributeValue::Text("x".to_owned()),
        };
        let names = [
            "actor",
            "event_name",
            "ref",
            "repository",
            "repository_id",
            "repository_owner",
            "repository_owner_id",
            "run_id",
            "workflow",
        ];
        let principal = Principal {
            entity_type: "GitHub::Workflow".to_owned(),
            id: "x".to_owned(),
            issuer_name: "github".to_owned(),
            attributes: names.map(text).into(),
        };
        let request = TokenRequest {
            audience: audience.to_owned(),
            scopes: Vec::new(),
            requested_lifetime_seconds: 60,
            client_ip: None,
            proof_of_possession: false,
        };
        let decision = decider.decide(&principal, &request, NOW)?;
        Ok(decision.effect)
    }

    /// The bundle of `files` with a seal that nobody who checked it has given.
    fn forged(files: &BundleFiles) -> Result<Decider, InvalidBundle> {
        let seal = seal::of(&files.digest(), &environment());
        Decider::load(files, &environment(), Some(&seal))
    }

    #[test]
    fn with_a_forged_seal_a_wrong_rule_still_takes_part_in_no_decision() {
        for wrong in WRONG {
            let files = files(&wrong.replace("{}", "https://a.example"));
            assert!(Bundle::load(&files, &environment()).is_err(), "{wrong}");
            assert!(
                Decider::load(&files, &environment(), None).is_err(),
                "{wrong}"
            );
            let decider = forged(&files).expect("what is forged is believed");
            for _ in 0..2 {
                let of_a = decide(&decider, "https://a.example");
                assert_eq!(of_a, Err(DecideError::RulesInvalid), "{wrong}");
                // A request that the rule can't match goes by rules that are right.
                let of_b = decide(&decider, "https://b.example");
                assert_eq!(of_b, Ok(Effect::Permit), "{wrong}");
            }
        }
    }

    #[test]
    fn with_a_forged_seal_everything_but_rules_is_checked_all_the_same() {
        for (path, text) in [
            ("audiences/c.toml", "id = \"https://a.example\"\n"),
            ("audiences/c.toml", "id = 1\n"),
            ("rules/more.cedar", "permit"),
            (
                "rules/more.cedar",
                "permit (principal, action, resource); \"open",
            ),
            (
                "issuers/x.toml",
                "issuer = \"http://idp.example\"\nprovider = \"github\"\n",
            ),
            ("other.txt", ""),
        ] {
            let mut files = files("");
            files.add(path, text.into()).expect("within limits");
            let expected = Bundle::load(&files, &environment()).expect_err("it does not load");
            assert_eq!(forged(&files).expect_err("it does not load"), expected);
        }
    }
}
