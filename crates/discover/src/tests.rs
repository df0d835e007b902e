//! Secrets that are found, and text that looks like one.

use super::*;

fn found(text: &str) -> Vec<(&'static str, String)> {
    scan(text).into_iter().map(|finding| (finding.kind.code, finding.name)).collect()
}

fn check(text: &str, code: &'static str, name: &str) {
    assert_eq!(found(text), [(code, name.to_owned())], "{text}");
}

#[test]
fn finds_names_in_each_kind_of_file() {
    let (aws, key) = ("aws-access-key", "AWS_SECRET_ACCESS_KEY");
    for text in [
        "AWS_SECRET_ACCESS_KEY=abc",
        "export AWS_SECRET_ACCESS_KEY='abc'",
        "      AWS_SECRET_ACCESS_KEY: ${{ secrets.AWS_SECRET_ACCESS_KEY }}",
        "      aws-secret-access-key: ${{ secrets.AWS_SECRET_ACCESS_KEY }}",
        "        - name: AWS_SECRET_ACCESS_KEY",
        "            key: \"AWS_SECRET_ACCESS_KEY\"",
        "  \"AWS_SECRET_ACCESS_KEY\": \"abc\",",
    ] {
        check(text, aws, key);
    }
    check("VAULT_TOKEN: abc", "vault-token", "VAULT_TOKEN");
    check("  credentials_json: '${{ secrets.GCP_SA_KEY }}'", "google-service-account-key", "GCP_SA_KEY");
}

#[test]
fn leaves_out_what_a_job_makes_or_only_reads() {
    for text in [
        "echo $AWS_SECRET_ACCESS_KEY",
        "VAULT_TOKEN=$(bao login -method=jwt)",
        "VAULT_TOKEN=`bao login`",
        "VAULT_TOKEN: ${{ steps.login.outputs.token }}",
        "VAULT_TOKEN: ${{ needs.login.outputs.token }}",
        "VAULT_TOKEN: $OTHER",
        "VAULT_TOKEN=",
        "VAULT_TOKEN: \"\"",
        "MY_VAULT_TOKEN=abc",
        "GITHUB_TOKEN: ${{ secrets.GITHUB_TOKEN }}",
        "id-token: write",
        "# The variable VAULT_TOKEN is not needed",
    ] {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn finds_values_by_shape_on_both_sides_of_their_length() {
    for (prefix, more, code) in [
        ("AKIA", 16, "aws-access-key"),
        ("ghp_", 36, "github-token"),
        ("glpat-", 20, "gitlab-token"),
        ("npm_", 36, "package-registry-token"),
        ("dapi", 32, "databricks-token"),
        ("dckr_pat_", 20, "registry-password"),
        ("hvs.", 24, "vault-token"),
    ] {
        check(&format!("token = \"{prefix}{}\"", "A".repeat(more)), code, "");
        assert_eq!(found(&format!("token = \"{prefix}{}\"", "A".repeat(more - 1))), [], "{prefix}");
        assert_eq!(found(&format!("x{prefix}{}", "A".repeat(more))), [], "{prefix}");
    }
    check("-----BEGIN EC PRIVATE KEY-----", "private-key", "");
    assert_eq!(found("-----BEGIN PUBLIC KEY-----"), []);
    check("{\"type\": \"service_account\", \"private_key_id\": \"1\"}", "google-service-account-key", "");
    // Temporary keys of AWS expire.
    assert_eq!(found("ASIAAAAAAAAAAAAAAAAA"), []);
}

#[test]
fn names_each_kind_once_per_line() {
    let both = "AWS_ACCESS_KEY_ID=AKIAAAAAAAAAAAAAAAAA AWS_SECRET_ACCESS_KEY=b";
    check(both, "aws-access-key", "");
    let lines: Vec<_> = scan("a\nVAULT_TOKEN=x\n\nVAULT_TOKEN=y").iter().map(|finding| finding.line).collect();
    assert_eq!(lines, [2, 4]);
}

#[test]
fn finding_never_contains_a_value() {
    let secret = "AKIAIOSFODNN7EXAMPLE";
    for text in [format!("AWS_ACCESS_KEY_ID={secret}"), format!("{secret}: x"), format!("secrets.{secret}")] {
        let shown = format!("{:?}", scan(&text));
        assert!(!shown.contains("IOSFODNN7"), "{shown}");
    }
}

#[test]
fn kinds_are_sorted_and_distinct() {
    let codes: Vec<_> = kinds::KINDS.iter().map(|kind| kind.code).collect();
    assert!(codes.is_sorted_by(|one, two| one < two), "{codes:?}");
    let mut names: Vec<_> = kinds::KINDS.iter().flat_map(|kind| kind.names).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}
