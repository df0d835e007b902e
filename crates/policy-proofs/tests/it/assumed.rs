//! What proofs assume: each is needed for a proof, and the broker keeps each.

use crate::support::*;
use vouchsafe_policy::{BundleFiles, DecideError};
use vouchsafe_policy_proofs::prove::Outcome;

/// Nobody may get a token.
fn nobody() -> String {
    guardrail("nobody", "1 == 2")
}

fn proven(files: &BundleFiles) {
    for proof in proofs(files).proofs {
        assert_eq!(proof.outcome, Outcome::Proven, "{proof:?}");
    }
}

fn violated(files: &BundleFiles) {
    let proofs = proofs(files).proofs;
    assert!(proofs.iter().any(|proof| matches!(proof.outcome, Outcome::Violated(_))), "{proofs:?}");
}

#[test]
fn lifetime_is_within_the_audience() {
    let rules = permit("a", "true");
    proven(&bundle(&rules, &guardrail("g", "context.requested_lifetime_seconds <= 900")));
    violated(&bundle(&rules, &guardrail("g", "context.requested_lifetime_seconds <= 899")));
    proven(&bundle(&rules, &guardrail("g", "context.requested_lifetime_seconds >= 1")));
}

#[test]
fn audience_can_require_a_scope() {
    let files = bundle(&permit("a", "true"), &guardrail("g", "!context.scopes.isEmpty()"));
    violated(&files);
    let audience = "id = \"https://a.example\"\nscopes = [\"read\"]\nscopes_required = true\n";
    proven(&with(&files, &[("audiences/a.toml", audience)]));
}

#[test]
fn audience_can_require_a_proof_of_possession() {
    let files = bundle(&permit("a", "true"), &guardrail("g", "context.proof_of_possession"));
    violated(&files);
    let audience = "id = \"https://a.example\"\nscopes = [\"read\"]\nproof_of_possession = \"required\"\n";
    proven(&with(&files, &[("audiences/a.toml", audience)]));
}

#[test]
fn issuer_file_requires_claims() {
    let bound = "principal is GitHub::Workflow && [\"65\", \"66\"].contains(principal.repository_owner_id)";
    let files = bundle(&permit("a", "true"), &guardrail("g", bound));
    violated(&files);
    let issuer = "issuer = \"https://idp.example\"\nprovider = \"github\"\nrequire = { repository_owner_id = [\"65\", \"66\"] }\n";
    proven(&with(&files, &[("issuers/github.toml", issuer)]));
}

#[test]
fn groups_have_exactly_their_members() {
    let rule = "@id(\"a\") permit (principal in WorkloadGroup::\"g\", action, resource in AudienceGroup::\"g\");";
    let group = "audiences = [\"https://a.example\"]\n[[workloads]]\nissuer = \"github\"\n\
        claims = { repository_id = \"1\", environment = \"production\" }\n[[workloads]]\nissuer = \"github\"\n\
        claims = { sub = \"robot\" }\n";
    let member = "principal is GitHub::Workflow && resource == Audience::\"https://a.example\" && \
        (principal == GitHub::Workflow::\"robot\" || \
        (principal has environment && principal.environment == \"production\" && principal.repository_id == \"1\"))";
    let files = |bound: &str| with(&bundle(rule, &guardrail("g", bound)), &[("entities/g.toml", group)]);
    proven(&files(member));
    violated(&files(&member.replace("robot", "other")));
}

#[test]
fn client_address_is_a_single_one() {
    let within = |network: &str| format!("context has client_ip && context.client_ip.isInRange(ip(\"{network}\"))");
    let forbid = |id: &str, network: &str| permit(id, &within(network)).replacen("permit", "forbid", 1);
    let halves = forbid("b", "10.0.0.0/9") + &forbid("c", "10.128.0.0/9");
    proven(&bundle(&(permit("a", &within("10.0.0.0/8")) + &halves), &nobody()));
    violated(&bundle(&(permit("a", &within("10.0.0.0/7")) + &halves), &nobody()));
    let files = bundle(&permit("a", "true"), "");
    let mut asked = crate::generated::request(&mut crate::generated::Numbers(1));
    asked.request.client_ip = Some("10.0.0.0/8".to_owned());
    asked.request.audience = "https://a.example".to_owned();
    let decided = load(&files).decide(&asked.principal, &asked.request, asked.now);
    assert_eq!(decided.expect_err("it is a network"), DecideError::ClientIpInvalid);
}

#[test]
fn time_has_whole_seconds() {
    let between =
        |from: &str, to: &str| format!("context.now > datetime(\"{from}\") && context.now < datetime(\"{to}\")");
    let second = between("2027-01-01T00:00:00Z", "2027-01-01T00:00:01Z");
    proven(&bundle(&permit("a", &second), &nobody()));
    let two = between("2027-01-01T00:00:00Z", "2027-01-01T00:00:02Z");
    violated(&bundle(&permit("a", &two), &nobody()));
    proven(&bundle(&permit("a", "context.now < datetime(\"1970-01-01T00:00:00Z\")"), &nobody()));
}

#[test]
fn local_times_are_hours_and_weekdays() {
    let zones = [("bundle.toml", "name = \"test\"\nversion = \"1\"\n[zones]\nberlin = \"Europe/Berlin\"\n")];
    let rule = |when: &str| with(&bundle(&permit("a", when), &nobody()), &zones);
    proven(&rule("context.local.berlin.hour > 23 || context.local.berlin.weekday == \"Monday\""));
    violated(&rule("context.local.berlin.hour == 23 && context.local.berlin.weekday == \"monday\""));
}

#[test]
fn forbid_that_fails_denies() {
    let forbid =
        permit("b", "context.requested_lifetime_seconds * 9223372036854775807 > 0").replacen("permit", "forbid", 1);
    proven(&bundle(&(permit("a", "true") + &forbid), &nobody()));
    let harmless = permit("b", "context.requested_lifetime_seconds * 2 > 900").replacen("permit", "forbid", 1);
    violated(&bundle(&(permit("a", "true") + &harmless), &nobody()));
}

#[test]
fn guardrail_that_can_fail_is_no_proof() {
    let files =
        bundle(&permit("a", "true"), &guardrail("g", "context.requested_lifetime_seconds * 9223372036854775807 > 0"));
    assert_eq!(only(&files), Outcome::Errs);
}

#[test]
fn profiles_are_proven_one_by_one() {
    let rule = permit("a", "true").replacen("@id", "@profile(\"staging\") @id", 1);
    let profiles = "name = \"test\"\nversion = \"1\"\n[profiles]\nproduction = \"https://broker.example\"\n\
        staging = \"https://staging.example\"\n";
    let files = with(&bundle(&rule, &nobody()), &[("bundle.toml", profiles)]);
    let proofs = proofs(&files).proofs;
    assert_eq!(proofs.len(), 1, "only staging permits something");
    assert_eq!(proofs[0].profile.as_deref(), Some("staging"));
    assert!(matches!(proofs[0].outcome, Outcome::Violated(_)));
    let production = nobody().replacen("@id", "@profile(\"production\") @id", 1);
    proven(&with(&files, &[("guardrails/all.cedar", &production)]));
}
