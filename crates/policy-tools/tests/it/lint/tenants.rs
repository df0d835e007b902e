//! Issuers of many tenants, and subjects that distinguish workloads.

use super::lints::said;
use super::support::*;
use vouchsafe_policy_tools::lint;

/// The errors and warnings about an issuer file.
fn errors(issuer: &str) -> Vec<String> {
    match load(&[("issuers/other.toml", Some(issuer))]) {
        Ok(_) => Vec::new(),
        Err(invalid) => invalid.diagnostics.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn refuses_shared_issuer_with_other_provider() {
    for (issuer, provider) in [
        ("https://token.actions.githubusercontent.com", "github"),
        ("https://token.actions.githubusercontent.com/octo", "github"),
        ("https://gitlab.com", "gitlab"),
        ("https://oidc.circleci.com/org/c9035eb6", "circleci"),
        ("https://agent.buildkite.com", "buildkite"),
        ("https://app.terraform.io", "terraform"),
        ("https://accounts.google.com", "google"),
        ("https://login.microsoftonline.com/common/v2.0", "azure"),
    ] {
        for other in ["oidc", "kubernetes"] {
            let file = format!("issuer = \"{issuer}\"\nprovider = \"{other}\"\n");
            let expected = format!(
                "issuers/other.toml:2:12: issuer `{issuer}` is shared by many tenants and requires provider `{provider}`"
            );
            assert_eq!(errors(&file), [expected], "{issuer} {other}");
        }
    }
    for issuer in [
        "https://token.actions.githubusercontent.com.example",
        "https://gitlab.example",
        "https://two.example",
        "https://login.microsoftonline.com/0e3e2e88-8caf-41ca-b4da-e3b33b6c52ec/v2.0",
    ] {
        let file = format!("issuer = \"{issuer}\"\nprovider = \"oidc\"\n");
        assert_eq!(errors(&file), [""; 0], "{issuer}");
    }
}

#[test]
fn suggests_provider_of_shared_issuer() {
    let problem = vouchsafe_policy::BundleError::IssuerHasProvider {
        issuer: "https://gitlab.com".to_owned(),
        provider: "gitlab",
    };
    assert_eq!(problem.code(), "issuer-has-a-provider");
    assert_eq!(problem.fix().as_deref(), Some("write `provider = \"gitlab\"`"));
}

/// Warnings about the subject template of an issuer of this provider, with the default schema.
fn of_subject(provider: &str, settings: &str, subject: &str) -> Vec<String> {
    const STANDARD: &str = include_str!("../../../../../policies/schema.cedarschema");
    let issuer = format!("provider = \"{provider}\"\nsubject = \"{subject}\"\n{settings}");
    let report = lint::check(
        &files(&[("schema.cedarschema", Some(STANDARD)), ("issuers/other.toml", Some(&issuer))]),
        &environment(),
    );
    assert!(report.bundle.is_some(), "{report}");
    let about = ["subject-shared", "subject-ambiguous"];
    let warnings = report.warnings.iter();
    warnings.filter(|it| about.contains(&it.kind.code())).map(said).collect()
}

#[test]
fn warns_of_subjects_without_workload_id() {
    let shared = |placeholders: &str| {
        [format!(
            "issuers/other.toml: `subject` does not identify the workload: several workloads share one `sub`: put \
             `{placeholders}` into the template, or remove `subject`"
        )]
    };
    let tenant = "issuer = \"https://two.example/tenant\"\n";
    let spiffe = "issuer = \"spiffe://example.org\"\nkeys = { jwks_uri = \"https://b.example/k\" }\n";
    let oidc = "issuer = \"https://two.example\"\n[claims]\nemail = { type = \"text\" }\nuuid = { type = \"text\" }\n";
    let pinned = |claim: &str| format!("{tenant}require = {{ {claim} = \"a\" }}\n");
    let (circle, kite) = (pinned("org_id"), pinned("organization_id"));
    let (run, google) = (pinned("terraform_organization_id"), pinned("email"));
    for (provider, settings, subject, id) in [
        ("github", tenant, "{ref}", "{repository_id}"),
        ("github", tenant, "{environment}", "{repository_id}"),
        ("github", tenant, "{repository}", "{repository_id}"),
        // Ids of something other than the workload.
        ("github", tenant, "{repository_owner_id}:{ref}", "{repository_id}"),
        ("github", tenant, "{run_id}", "{repository_id}"),
        ("gitlab", tenant, "{namespace_id}:{ref}", "{project_id}"),
        ("circleci", &circle, "{org_id}", "{project_id}"),
        ("buildkite", &kite, "{organization_id}:{pipeline_slug}", "{pipeline_id}"),
        ("terraform", &run, "{terraform_project_id}", "{terraform_workspace_id}"),
        ("google", &google, "{email}", "{unique_id}"),
        ("azure", tenant, "{tid}:{app_displayname}", "{oid}"),
        ("aws", tenant, "{aws_account}:{source_identity}", "{principal_arn}"),
        ("kubernetes", tenant, "{namespace}", "{service_account_uid}"),
        ("spiffe", spiffe, "{trust_domain}", "{spiffe_id}"),
        // A name that ends in `id` proves nothing.
        ("oidc", oidc, "{uuid}", "{sub}"),
        ("oidc", oidc, "{email}", "{sub}"),
    ] {
        let found = of_subject(provider, settings, subject);
        assert_eq!(found, shared(id), "{provider} {subject}");
    }
    for (provider, settings, subject) in [
        ("github", tenant, "{repository_id}:{ref}"),
        ("github", tenant, "github:{sub}"),
        ("gitlab", tenant, "{project_id}:{ref}"),
        ("circleci", &circle, "{org_id}:{project_id}"),
        ("buildkite", &kite, "{pipeline_id}"),
        ("terraform", &run, "{terraform_workspace_id}:{terraform_run_phase}"),
        ("google", &google, "{unique_id}"),
        ("azure", tenant, "{tid}:{oid}"),
        ("aws", tenant, "{aws_account}:{principal_arn}"),
        ("kubernetes", tenant, "{namespace}:{service_account_name}"),
        ("kubernetes", tenant, "{service_account_uid}"),
        ("spiffe", spiffe, "x:{path}"),
        ("oidc", oidc, "{sub}"),
    ] {
        assert_eq!(of_subject(provider, settings, subject), [""; 0], "{provider} {subject}");
    }
}

/// If values can be any text, names that end in `id` do not separate them.
#[test]
fn warns_of_free_text_before_subject_end() {
    let oidc = "issuer = \"https://two.example\"\n[claims]\nuuid = { type = \"text\" }\n";
    let found = of_subject("oidc", oidc, "{uuid}:{sub}");
    let expected = "issuers/other.toml: `subject` is ambiguous: the value of `uuid` can contain its neighbour's, so two workloads could share one: put ids first, separate placeholders with text, and put at most one free-text claim, last";
    assert_eq!(found, [expected]);
}
