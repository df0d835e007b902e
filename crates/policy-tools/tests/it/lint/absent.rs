//! Strangers whose tokens lack an optional claim that a policy reads.

use super::dangerous::{API, AZURE, BUILDKITE, CIRCLECI, GITHUB, GITLAB, GOOGLE, KUBERNETES, SCHEMA, warns};
use super::support::*;
use vouchsafe_policy_tools::lint;

/// A stranger's token can lack every optional claim.
#[test]
fn finds_strangers_without_a_claim() {
    let push = "principal.event_name == \"push\"";
    for condition in [
        format!("{push} && (if principal has enterprise_id then principal.enterprise_id == \"5\" else true)"),
        format!("{push} && !(principal has environment_node_id)"),
    ] {
        warns(&GITHUB, "any-tenant", "repository id 666", &[&condition]);
    }
    let own = "principal.project_id == \"20\"";
    let optional = format!("({own} || !(principal has job_project_id))");
    warns(&GITLAB, "any-tenant", "project id 666", &[&optional]);
    warns(
        &KUBERNETES,
        "no-workload-named",
        "namespace `evil`",
        &["!(principal has pod_uid)", "(if principal has pod_uid then principal.namespace == \"build\" else true)"],
    );
    let email = "(if principal has email then principal.email == \"b@p.iam.gserviceaccount.com\" else true)";
    warns(&GOOGLE, "no-workload-named", "unique id `666`", &[email]);
    warns(&AZURE, "no-workload-named", "an identity with", &["!(principal has azp)"]);
    let pipeline = "principal has pipeline_id && principal.pipeline_id == \"p\" && \
        !(principal has build_source && principal.build_source == \"webhook\")";
    warns(&BUILDKITE, "build-of-fork", "pipeline id `p`", &[pipeline]);
    let origin = "principal.project_id == \"20\" && !(principal has vcs_origin)";
    warns(&CIRCLECI, "build-of-fork", "project `20`", &[origin]);
    let attempt = "principal.repository_id == \"1\" && principal.actor == \"octocat\" && !(principal has run_attempt)";
    warns(&GITHUB, "attempt-unchecked", "trusts `actor`", &[attempt]);
}

#[test]
fn finds_forbids_that_need_an_optional_claim() {
    let permit = |forbidden: &str| {
        let rules = format!(
            "@id(\"api\") permit ({}, action, {API}) when {{ principal.event_name == \"push\" && \
             [\"read\"].containsAll(context.scopes) }};\n\
             @id(\"others\") forbid (principal is GitHub::Workflow, action, resource) when {{ {forbidden} }};",
            GITHUB.scope
        );
        let files = files(&[
            ("schema.cedarschema", Some(SCHEMA)),
            ("issuers/github.toml", None),
            ("issuers/it.toml", Some(GITHUB.issuer)),
            ("rules/api.cedar", Some(&rules)),
        ]);
        let report = lint::check(&files, &environment());
        assert!(report.errors.is_empty(), "{forbidden}: {report}");
        report.warnings.iter().any(|warning| warning.kind.code() == "any-tenant")
    };
    let others = "principal.repository_owner_id != \"65\"";
    assert!(permit(&format!("{others} && principal has environment_node_id")));
    assert!(!permit(others));
}
