//! Proofs as text, JSON, SARIF and annotations.

use crate::commands::policy::output::count;
use serde_json::{Value, json};
use std::time::Duration;
use vouchsafe_policy::authoring::span::diagnostic_in;
use vouchsafe_policy::{Bundle, BundleFiles, Diagnostic, Guardrail, NamedPolicy, to_rfc3339};
use vouchsafe_policy_proofs::Counterexample;
use vouchsafe_policy_proofs::prove::{Outcome, Proof, Proofs};
use vouchsafe_policy_tools::CheckError;
use vouchsafe_policy_tools::report::{self, Item};

pub struct Shown<'a> {
    pub files: &'a BundleFiles,
    pub brokers: &'a [(Option<String>, Bundle)],
    pub proofs: &'a Proofs,
}

impl Shown<'_> {
    pub fn as_text(&self, colours: bool) -> String {
        let mut text = String::new();
        for (guardrail, proofs) in self.by_guardrail() {
            text.push_str(&summary(guardrail, &proofs));
            for proof in proofs.into_iter().filter(|proof| proof.outcome != Outcome::Proven) {
                text.extend(self.item(proof).map(|item| report::text(&[item], colours)));
                if let Outcome::Violated(found) = &proof.outcome {
                    text.push_str(&indented(found));
                }
            }
        }
        text + &self.total()
    }

    pub fn as_github(&self, dir: &str) -> String {
        report::github(&self.items(), dir)
    }

    pub fn as_sarif(&self, dir: &str) -> Value {
        report::sarif(&self.items(), dir, env!("CARGO_PKG_VERSION"))
    }

    pub fn as_json(&self) -> Value {
        let digest = self.brokers.first().map(|(_, bundle)| bundle.digest());
        let guardrails = self.by_guardrail().into_iter().map(|(guardrail, proofs)| {
            json!({
                "id": guardrail.policy.id,
                "description": guardrail.description,
                "holds": proofs.iter().all(|proof| proof.outcome == Outcome::Proven),
                "proofs": proofs.into_iter().map(of_proof).collect::<Vec<_>>(),
            })
        });
        let guardrails: Vec<Value> = guardrails.collect();
        json!({ "bundle": digest, "solver": self.proofs.solver, "unchanged": self.proofs.unchanged, "guardrails": guardrails })
    }

    /// Every guardrail with its proofs.
    fn by_guardrail(&self) -> Vec<(&Guardrail, Vec<&Proof>)> {
        let guardrails = self.brokers.first().into_iter().flat_map(|(_, bundle)| bundle.guardrails());
        let with_proofs = guardrails.map(|guardrail| {
            let proofs = self.proofs.proofs.iter();
            (guardrail, proofs.filter(|proof| proof.guardrail == guardrail.policy.id).collect())
        });
        with_proofs.collect()
    }

    fn items(&self) -> Vec<Item> {
        self.proofs.proofs.iter().filter_map(|proof| self.item(proof)).collect()
    }

    /// The diagnostic of a guardrail that is not proven, at the policy that breaks it.
    fn item(&self, proof: &Proof) -> Option<Item> {
        let (_, bundle) = self.brokers.iter().find(|(profile, _)| *profile == proof.profile)?;
        let guardrail = bundle.guardrails().iter().find(|it| it.policy.id == proof.guardrail)?;
        let at = |policy: &NamedPolicy, error| report::of_error(self.files, &self.diagnostic(policy, error));
        let id = proof.guardrail.clone();
        match &proof.outcome {
            Outcome::Proven => None,
            Outcome::Errs => Some(at(&guardrail.policy, CheckError::GuardrailErrs(id))),
            Outcome::Unknown(why) => {
                let (audience, why) = (proof.audience.clone(), why.to_string());
                Some(at(&guardrail.policy, CheckError::GuardrailUndecided { guardrail: id, audience, why }))
            }
            Outcome::Violated(found) => {
                let permitting = found.permitted_by.first()?;
                let policy = bundle.policies().iter().find(|policy| policy.id == *permitting)?;
                let (policy_id, request) = (permitting.clone(), on_one_line(found));
                let error = CheckError::GuardrailViolated { guardrail: id, policy: policy_id, request };
                Some(at(policy, error))
            }
        }
    }

    fn diagnostic(&self, policy: &NamedPolicy, error: CheckError) -> Diagnostic<CheckError> {
        diagnostic_in(self.files, policy, None, error)
    }

    fn total(&self) -> String {
        let number = |is: fn(&Outcome) -> bool| {
            let proofs = self.by_guardrail();
            proofs.iter().filter(|(_, proofs)| proofs.iter().any(|proof| is(&proof.outcome))).count()
        };
        let violated = number(|outcome| matches!(outcome, Outcome::Violated(_)));
        let undecided = number(|outcome| matches!(outcome, Outcome::Errs | Outcome::Unknown(_)));
        let all = self.by_guardrail().len();
        let time: Duration = self.proofs.proofs.iter().map(|proof| proof.time).sum();
        let (guardrails, solver) = (count(all, "guardrail"), &self.proofs.solver);
        let unchanged = match self.proofs.unchanged {
            0 => String::new(),
            number => format!("{} as in the base, which is recorded as proven\n", count(number, "request environment")),
        };
        format!(
            "{unchanged}{guardrails}: {violated} violated, {undecided} not decided, {} of {solver}\n",
            milliseconds(time)
        )
    }
}

/// What is known about a guardrail, in one line, and what it says in another.
fn summary(guardrail: &Guardrail, proofs: &[&Proof]) -> String {
    let is = |check: fn(&Outcome) -> bool| proofs.iter().any(|proof| check(&proof.outcome));
    let word = match () {
        () if is(|outcome| matches!(outcome, Outcome::Violated(_))) => "violated",
        () if is(|outcome| matches!(outcome, Outcome::Errs | Outcome::Unknown(_))) => "not decided",
        () => "proven",
    };
    let time: Duration = proofs.iter().map(|proof| proof.time).sum();
    let scope = match proofs.len() {
        0 => "nothing to prove".to_owned(),
        number => format!("{}, {}", count(number, "request environment"), milliseconds(time)),
    };
    format!("{word}: {} ({scope})\n  {}\n", guardrail.policy.id, guardrail.description)
}

fn milliseconds(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

fn indented(found: &Counterexample) -> String {
    let mut text = "  request:\n".to_owned();
    text.extend(found.lines().iter().map(|line| format!("    {line}\n")));
    text
}

pub fn on_one_line(found: &Counterexample) -> String {
    let lines = found.lines();
    let (first, others) =
        lines.split_first().map_or((String::new(), Vec::new()), |(first, rest)| (first.clone(), rest.to_vec()));
    match others.is_empty() {
        true => first,
        false => format!("{first}, with {}", others.join(", ")),
    }
}

fn of_proof(proof: &Proof) -> Value {
    let (outcome, why, counterexample) = match &proof.outcome {
        Outcome::Proven => ("proven", None, None),
        Outcome::Violated(found) => ("violated", None, Some(of_counterexample(found))),
        Outcome::Errs => ("errs", None, None),
        Outcome::Unknown(why) => ("unknown", Some(why.to_string()), None),
    };
    json!({
        "profile": proof.profile,
        "principal_type": proof.entity_type,
        "issuer": proof.issuer,
        "audience": proof.audience,
        "outcome": outcome,
        "why": why,
        "counterexample": counterexample,
        "milliseconds": proof.time.as_millis() as u64,
    })
}

pub fn of_counterexample(found: &Counterexample) -> Value {
    let request = &found.request;
    let claims: serde_json::Map<String, Value> =
        found.claims.iter().map(|(claim, value)| (claim.clone(), value.as_str().into())).collect();
    let circumstances: serde_json::Map<String, Value> =
        found.circumstances.iter().map(|(what, value)| ((*what).to_owned(), value.as_str().into())).collect();
    json!({
        "rules": found.permitted_by,
        "subject": request.principal.id,
        "scopes": request.request.scopes,
        "at": to_rfc3339(request.now),
        "claims_that_matter": claims,
        "circumstances_that_matter": circumstances,
    })
}
