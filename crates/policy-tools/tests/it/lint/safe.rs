//! Ordinary policies, about which there is nothing to warn.

use super::dangerous::{
    AWS, AZURE, BUILDKITE, CIRCLECI, GHES, GITHUB, GITLAB, GOOGLE, KUBERNETES, OIDC, Of, SELF_MANAGED, SPIFFE,
    TERRAFORM, of,
};

fn is_fine(provider: &Of, conditions: &[&str]) {
    for condition in conditions {
        let found = of(provider, condition);
        assert!(found.is_empty(), "{condition}: {found:#?}");
    }
}

#[test]
fn accepts_ordinary_policies_for_github() {
    let push = "principal.repository_id == \"123456\" && principal.event_name == \"push\"";
    for provider in [&GITHUB, &GHES] {
        is_fine(provider, &[push]);
        for more in [
            "principal.ref == \"refs/heads/main\"",
            "principal.ref like \"refs/heads/release/*\"",
            "principal.ref like \"refs/tags/v*\"",
            "principal has environment && [\"production\", \"staging\"].contains(principal.environment)",
            "(if principal has environment then principal.environment == \"production\" else true)",
            "principal.ref like \"refs/heads/release-*\" && !(principal.ref like \"refs/heads/release-*/*\")",
            "principal has environment && principal.environment == \"production\"",
            "principal has environment && principal.environment like \"prod-*\"",
            "principal has workflow_ref && \
             principal.workflow_ref == \"o/r/.github/workflows/deploy.yml@refs/heads/main\"",
            "principal.repository == \"octo-org/octo-repo\"",
            "principal.actor == \"octocat\" && principal has run_attempt && principal.run_attempt == \"1\"",
            "principal has ref_protected && principal.ref_protected == \"true\"",
            "principal has runner_environment && principal.runner_environment == \"self-hosted\"",
            "context.requested_lifetime_seconds <= 900",
            "context has client_ip && context.client_ip.isInRange(ip(\"10.20.0.0/16\"))",
            "context has client_ip && (context.client_ip.isInRange(ip(\"10.0.0.0/8\")) || \
             context.client_ip.isInRange(ip(\"2001:db8::/32\")))",
            "context.local.berlin.hour >= 9 && context.local.berlin.hour < 17",
            "!([\"saturday\", \"sunday\"].contains(context.local.berlin.weekday))",
            "context.now < datetime(\"2027-06-01\")",
        ] {
            is_fine(provider, &[&format!("{push} && {more}")]);
        }
        is_fine(
            provider,
            &[
                "[\"1\", \"2\", \"3\"].contains(principal.repository_id) && principal.event_name == \"push\"",
                "(principal.repository_id == \"1\" || principal.repository_id == \"2\") && \
                 [\"push\", \"workflow_dispatch\"].contains(principal.event_name)",
                "!(principal.repository_id != \"1\" || principal.event_name != \"push\")",
                "(if principal.event_name == \"push\" then principal.repository_id == \"1\" else false)",
                "principal.repository_owner_id == \"65\" && principal.event_name == \"push\"",
                "principal.repository_owner_id == \"65\" && principal.event_name == \"push\" && \
                 principal has job_workflow_ref && \
                 principal.job_workflow_ref == \"octo-org/w/.github/workflows/deploy.yml@refs/heads/main\"",
                // Office hours for pushes, or a release by hand.
                "principal.repository_id == \"1\" && (principal.event_name == \"workflow_dispatch\" || \
                 principal.event_name == \"push\" && context.local.berlin.hour >= 9)",
                // From our network, or a scheduled run.
                "principal.repository_id == \"1\" && (principal.event_name == \"schedule\" || \
                 principal.event_name == \"push\" && context has client_ip && \
                 context.client_ip.isInRange(ip(\"192.0.2.0/24\")))",
            ],
        );
    }
}

#[test]
fn accepts_ordinary_policies_for_gitlab() {
    for provider in [&GITLAB, &SELF_MANAGED] {
        is_fine(
            provider,
            &[
                "principal.project_id == \"20\" && principal has ref_protected && principal.ref_protected == \"true\"",
                "principal.project_id == \"20\" && principal.ref == \"main\" && principal.pipeline_source == \"push\"",
                "principal.project_id == \"20\" && principal has ref_path && principal.ref_path == \"refs/heads/main\"",
                "principal.namespace_id == \"12\" && principal.project_id == \"20\" && \
                 principal.project_path == \"corp/app\" && principal.pipeline_source == \"push\"",
            ],
        );
    }
}

#[test]
fn accepts_ordinary_policies_for_other_providers() {
    is_fine(
        &KUBERNETES,
        &[
            "principal.namespace == \"build\" && principal.service_account_name == \"deployer\"",
            "principal.namespace == \"build\" && principal has pod_uid",
            "principal.service_account_uid == \"0b1f8a35\"",
        ],
    );
    is_fine(
        &SPIFFE,
        &[
            "principal.path == \"/ns/prod/sa/payments\"",
            "principal.path like \"/ns/prod/*\"",
            "principal.spiffe_id == \"spiffe://example.org/ns/prod/sa/payments\"",
            "principal.spiffe_id like \"spiffe://example.org/ns/prod/*\"",
        ],
    );
    is_fine(
        &GOOGLE,
        &[
            "principal.unique_id == \"110987294251917851298\"",
            "principal has email && principal.email == \"builder@octo.iam.gserviceaccount.com\" && \
             principal has email_verified && principal.email_verified",
        ],
    );
    is_fine(
        &AWS,
        &[
            "principal.principal_arn == \"arn:aws:iam::123456789012:role/batch\"",
            "principal.principal_arn like \"arn:aws:iam::123456789012:role/team/*\"",
            "principal has principal_tags && principal.principal_tags.contains(\"environment=production\")",
        ],
    );
    is_fine(&AZURE, &["principal.oid == \"644d9b8a\"", "principal has roles && principal.roles.contains(\"Deploy\")"]);
    is_fine(
        &TERRAFORM,
        &["principal.terraform_workspace_id == \"ws-1\" && principal.terraform_run_phase == \"apply\""],
    );
    is_fine(
        &CIRCLECI,
        &["principal.project_id == \"ecc458d2\" && principal has vcs_origin && \
           principal.vcs_origin == \"github.com/octo-org/octo-repo\""],
    );
    is_fine(
        &BUILDKITE,
        &["principal has pipeline_id && principal.pipeline_id == \"p\" && principal has build_source && \
           principal.build_source == \"ui\""],
    );
    is_fine(
        &OIDC,
        &[
            "principal.team == \"platform\"",
            "principal.team like \"platform-*\" && principal.level > 3",
            "principal has roles && principal.roles.contains(\"deployer\")",
            "principal == Oidc::It::\"ci\"",
        ],
    );
}
