//! The bundle of the policy component, which only decides.

use crate::bundle::files::BundleFiles;
use crate::bundle::{Bundle, PolicyCount, proof, seal};
use crate::decide::decision::{DecideError, Decision};
use crate::decide::request::{Principal, TokenRequest};
use crate::diagnostics::LoadError;
use crate::settings::records::{Audience, Client, Environment, Issuer};
use vouchsafe_types::BundleInfo;

/// A bundle that is loaded as cheaply as possible, for deciding.
///
/// Every instance of the component reads and hashes the whole bundle, and checks all files that hold no policies. The
/// first instance also parses and checks all policies, and returns a *seal* that lets others skip this. An instance
/// with the seal only locates policies, and parses and checks those that can match a request when it gets the first
/// such request.
///
/// INVARIANT: no policy takes part in a decision unless this instance parsed it, validated it strictly and made every
/// check of [`Bundle::load`] that concerns a single policy. So a forged seal gets no policy past the checks. It only
/// lets a bundle with an invalid policy be used for requests that this policy cannot match.
pub struct Decider {
    bundle: Bundle,
    seals: Option<String>,
}

impl Decider {
    /// Loads a bundle. `seals` is what [`Self::seals`] returned before, and is not trusted.
    ///
    /// # Errors
    /// Those of [`Bundle::load`], unless a seal says that there are none. Also, except in development, if the bundle has
    /// guardrails and no proof of them is recorded.
    pub fn load(files: &BundleFiles, environment: &Environment, seals: Option<&str>) -> Result<Self, LoadError> {
        let kept = seals.unwrap_or_default();
        let digest = files.digest();
        let seal = seal::of(&digest, environment);
        let checked = seal::has(kept, &seal);
        let decider = match Bundle::load_lazily(files, environment, &digest, checked) {
            Some(bundle) => Self { bundle, seals: (!checked).then(|| seal::with(kept, &seal)) },
            None => Self { bundle: Bundle::load(files, environment)?, seals: None },
        };
        if !checked && !environment.development {
            proof::require(files)?;
        }
        Ok(decider)
    }

    /// Name and digest of the bundle, and [`Self::seals`].
    pub fn info(&self) -> BundleInfo {
        BundleInfo {
            name: self.bundle.name.clone(),
            version: self.bundle.version.clone(),
            digest: self.bundle.digest().to_owned(),
            seals: self.seals.clone(),
            proof_nonce_required: self.bundle.proof_nonce_required,
        }
    }

    /// The seals to keep in place of those that were passed, if they changed.
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

    /// See [`Bundle::audiences`].
    pub fn audiences(&self) -> impl Iterator<Item = &Audience> {
        self.bundle.audiences()
    }

    /// See [`Bundle::client`].
    pub fn client(&self, id: &str) -> Option<&Client> {
        self.bundle.client(id)
    }

    /// See [`Bundle::clients`].
    pub fn clients(&self) -> &[Client] {
        self.bundle.clients()
    }

    /// See [`Bundle::decide`].
    ///
    /// # Errors
    /// Also [`DecideError::PoliciesInvalid`] if a policy that can match is invalid, which requires a forged seal.
    pub fn decide(&self, principal: &Principal, request: &TokenRequest, now: u64) -> Result<Decision, DecideError> {
        self.bundle.decide(principal, request, now)
    }

    /// See [`Bundle::decide_actor`].
    ///
    /// # Errors
    /// As [`Self::decide`].
    pub fn decide_actor(
        &self,
        actor: &Principal,
        subject: &Principal,
        request: &TokenRequest,
        now: u64,
    ) -> Result<Decision, DecideError> {
        self.bundle.decide_actor(actor, subject, request, now)
    }

    /// How many policies there are, and how many were parsed.
    pub fn policy_count(&self) -> PolicyCount {
        self.bundle.policy_count()
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

    const SCHEMA: &str = include_str!("../../../../policies/schema.cedarschema");
    const NOW: u64 = 1_798_761_600;
    /// Policies for audience `{}` that keep a bundle from loading.
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
        Environment { issuer: "https://broker.example".to_owned(), development: false, epoch_seconds: 3600 }
    }

    fn files(policies: &str) -> BundleFiles {
        let permit = |id: &str| {
            format!(
                "@id(\"{id}\") permit (principal is GitHub::Workflow in Issuer::\"github\", \
                 action, resource == Audience::\"https://{id}.example\");\n"
            )
        };
        let policies = format!("{}{}{policies}\n", permit("a"), permit("b"));
        let mut files = BundleFiles::default();
        for (path, text) in [
            ("bundle.toml", "name = \"test\"\nversion = \"1\"\n"),
            ("schema.cedarschema", SCHEMA),
            ("issuers/github.toml", "issuer = \"https://idp.example\"\nprovider = \"github\"\n"),
            ("audiences/a.toml", "id = \"https://a.example\"\n"),
            ("audiences/b.toml", "id = \"https://b.example\"\n"),
            ("rules/all.cedar", policies.as_str()),
        ] {
            files.add(path, text.into()).expect("within limits");
        }
        files
    }

    fn decide(decider: &Decider, audience: &str) -> Result<Effect, DecideError> {
        let text =
            |name: &str| crate::Attribute { name: name.to_owned(), value: crate::AttributeValue::Text("x".to_owned()) };
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

    /// Loads a bundle with a seal that no check returned.
    fn forged(files: &BundleFiles) -> Result<Decider, LoadError> {
        let seal = seal::of(&files.digest(), &environment());
        Decider::load(files, &environment(), Some(&seal))
    }

    #[test]
    fn ignores_forged_seal_for_invalid_policies() {
        for wrong in WRONG {
            let files = files(&wrong.replace("{}", "https://a.example"));
            assert!(Bundle::load(&files, &environment()).is_err(), "{wrong}");
            assert!(Decider::load(&files, &environment(), None).is_err(), "{wrong}");
            let decider = forged(&files).expect("a forged seal is accepted");
            for _ in 0..2 {
                let of_a = decide(&decider, "https://a.example");
                assert_eq!(of_a, Err(DecideError::PoliciesInvalid), "{wrong}");
                // Requests that the invalid policy cannot match are decided.
                let of_b = decide(&decider, "https://b.example");
                assert_eq!(of_b, Ok(Effect::Permit), "{wrong}");
            }
        }
    }

    #[test]
    fn checks_settings_despite_forged_seal() {
        for (path, text) in [
            ("audiences/c.toml", "id = \"https://a.example\"\n"),
            ("audiences/c.toml", "id = 1\n"),
            ("rules/more.cedar", "permit"),
            ("rules/more.cedar", "permit (principal, action, resource); \"open"),
            ("issuers/x.toml", "issuer = \"http://idp.example\"\nprovider = \"github\"\n"),
            ("other.txt", ""),
        ] {
            let mut files = files("");
            files.add(path, text.into()).expect("within limits");
            let expected = Bundle::load(&files, &environment()).expect_err("it does not load");
            assert_eq!(forged(&files).expect_err("it does not load"), expected);
        }
    }
}
