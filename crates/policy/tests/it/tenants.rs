//! Issuers of many tenants.

use crate::support::*;

/// What is said of an issuer file; an error keeps the bundle from loading.
fn errors(issuer: &str) -> Vec<String> {
    match load(&[("issuers/other.toml", Some(issuer))]) {
        Ok(_) => Vec::new(),
        Err(invalid) => invalid.findings.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn refuses_a_shared_issuer_under_another_provider() {
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
                "issuers/other.toml:2:12: issuer `{issuer}` serves many tenants, which only provider `{provider}` \
                 tells apart"
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
fn tells_which_provider_a_shared_issuer_has() {
    let problem = vouchsafe_policy::Problem::IssuerHasProvider {
        issuer: "https://gitlab.com".to_owned(),
        provider: "gitlab",
    };
    assert_eq!(problem.code(), "issuer-has-a-provider");
    assert_eq!(
        problem.fix().as_deref(),
        Some("write `provider = \"gitlab\"`")
    );
}
