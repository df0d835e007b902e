//! The configuration of each kind of relying party, as its documentation shows it.

use serde_json::{Value, json};
use vouchsafe_policy::{Audience, View};

/// Longest issuer URL of an AWS OIDC provider, in bytes (IAM API, `CreateOpenIDConnectProvider`).
const AWS_URL_BYTES_MAX: usize = 255;

/// What keeps a relying party from accepting the issuer URL of its view.
pub fn warnings(view: View, issuer: &str) -> Vec<String> {
    let rest = issuer.strip_prefix("https://");
    let mut warnings = Vec::new();
    if rest.is_none() && view != View::Envoy {
        warnings.push(format!("`{issuer}` is not https: the target will not fetch its keys"));
    }
    let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    if view == View::Aws && host.contains(':') {
        warnings.push(format!("AWS accepts no port in an issuer URL: `{host}`"));
    }
    if view == View::Aws && issuer.len() > AWS_URL_BYTES_MAX {
        warnings.push(format!("AWS accepts issuer URLs of at most {AWS_URL_BYTES_MAX} bytes"));
    }
    warnings
}

/// The configuration, ready to paste once the words in capitals are replaced.
pub fn configuration(view: View, issuer: &str, audience: &Audience, subject: &str) -> String {
    let target = Target { issuer, audience: &audience.id, subject };
    match view {
        View::Aws => target.aws(),
        View::Azure => target.azure(),
        View::Databricks => target.databricks(),
        View::Envoy => target.envoy(),
        View::Gcp => target.gcp(),
        View::Kubernetes => target.kubernetes(),
        View::Snowflake => target.snowflake(),
        View::Vault => target.vault(),
    }
}

struct Target<'a> {
    issuer: &'a str,
    audience: &'a str,
    subject: &'a str,
}

impl Target<'_> {
    /// Host and path of the issuer URL: how IAM names the provider and its condition keys.
    fn without_scheme(&self) -> &str {
        self.issuer.split_once("://").map_or(self.issuer, |(_, rest)| rest)
    }

    fn aws(&self) -> String {
        let name = self.without_scheme();
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": { "Federated": format!("arn:aws:iam::ACCOUNT:oidc-provider/{name}") },
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": { "StringEquals": {
                    format!("{name}:aud"): self.audience,
                    format!("{name}:sub"): self.subject,
                } },
            }],
        });
        format!(
            "# The session of a role does not end with the token: keep it short.\n\
             aws iam create-open-id-connect-provider --url {} --client-id-list {}\n\
             aws iam create-role --role-name ROLE --max-session-duration 3600 --assume-role-policy-document {}\n",
            shell(self.issuer),
            shell(self.audience),
            shell(&format!("{policy:#}")),
        )
    }

    fn azure(&self) -> String {
        let parameters = json!({
            "name": "vouchsafe", "issuer": self.issuer, "subject": self.subject, "audiences": [self.audience],
        });
        format!(
            "az ad app federated-credential create --id APP_ID --parameters {}\n",
            shell(&format!("{parameters:#}"))
        )
    }

    fn databricks(&self) -> String {
        let policy = json!({ "oidc_policy": {
            "issuer": self.issuer, "audiences": [self.audience], "subject": self.subject,
        } });
        format!(
            "databricks account service-principal-federation-policy create SERVICE_PRINCIPAL_ID --json {}\n",
            shell(&format!("{policy:#}"))
        )
    }

    fn envoy(&self) -> String {
        let without_scheme = self.without_scheme();
        let host = without_scheme.split('/').next().unwrap_or_default();
        format!(
            "# Envoy asks for keys every ten minutes, and not sooner for a key that it does not know.\n\
             - name: envoy.filters.http.jwt_authn\n  typed_config:\n    \
             \"@type\": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication\n    \
             providers:\n      vouchsafe:\n        issuer: {}\n        audiences: [{}]\n        \
             subjects: {{ exact: {} }}\n        require_expiration: true\n        remote_jwks:\n          \
             http_uri: {{ uri: {}, cluster: CLUSTER, timeout: 5s }}\n          cache_duration: 600s\n    \
             rules:\n      - match: {{ prefix: / }}\n        requires: {{ provider_name: vouchsafe }}\n\
             # CLUSTER connects to {host}.\n",
            text(self.issuer),
            text(self.audience),
            text(self.subject),
            text(&format!("{}/.well-known/jwks.json", self.issuer)),
        )
    }

    fn gcp(&self) -> String {
        // A string of CEL, which escapes as JSON does.
        let condition = format!("assertion.sub == {}", text(self.subject));
        format!(
            "gcloud iam workload-identity-pools providers create-oidc PROVIDER --location=global \\\n  \
             --workload-identity-pool=POOL --issuer-uri={} --allowed-audiences={} \\\n  \
             --attribute-mapping=google.subject=assertion.sub --attribute-condition={}\n",
            shell(self.issuer),
            shell(self.audience),
            shell(&condition),
        )
    }

    fn kubernetes(&self) -> String {
        format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n- issuer:\n    url: {}\n    \
             audiences: [{}]\n    audienceMatchPolicy: MatchAny\n  claimMappings:\n    username: {{ claim: sub, prefix: \
             \"vouchsafe:\" }}\n  userValidationRules:\n  - expression: {}\n    message: only this workload\n",
            text(self.issuer),
            text(self.audience),
            text(&format!("user.username == {}", text(&format!("vouchsafe:{}", self.subject)))),
        )
    }

    fn snowflake(&self) -> String {
        format!(
            "CREATE USER NAME TYPE = SERVICE WORKLOAD_IDENTITY = (\n  TYPE = OIDC ISSUER = {} SUBJECT = {}\n  \
             OIDC_AUDIENCE_LIST = ({})\n);\n",
            sql(self.issuer),
            sql(self.subject),
            sql(self.audience),
        )
    }

    fn vault(&self) -> String {
        let issuer = shell(self.issuer);
        format!(
            "bao auth enable jwt\n\
             bao write auth/jwt/config oidc_discovery_url={issuer} bound_issuer={issuer}\n\
             bao write auth/jwt/role/ROLE role_type=jwt user_claim=sub bound_audiences={} bound_subject={} \\\n  \
             token_policies=POLICY token_ttl=15m\n",
            shell(self.audience),
            shell(self.subject),
        )
    }
}

/// A word of a POSIX shell.
fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A string of JSON, and so of YAML.
fn text(text: &str) -> String {
    Value::from(text).to_string()
}

/// A string of SQL. Snowflake reads backslashes in it.
fn sql(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Target<'_> = Target {
        issuer: "https://broker.example/v/aws",
        audience: "sts.amazonaws.com",
        subject: "github:repo:acme/o'neil",
    };

    #[test]
    fn names_provider_as_iam_does() {
        let text = TARGET.aws();
        assert!(text.contains("--url 'https://broker.example/v/aws' --client-id-list 'sts.amazonaws.com'"), "{text}");
        assert!(text.contains(r#""Federated": "arn:aws:iam::ACCOUNT:oidc-provider/broker.example/v/aws""#), "{text}");
        assert!(text.contains(r#""broker.example/v/aws:sub": "github:repo:acme/o'\''neil""#), "{text}");
    }

    #[test]
    fn quotes_for_each_language() {
        assert_eq!(shell("a'b $c"), r"'a'\''b $c'");
        assert_eq!(text("a\"b\\"), r#""a\"b\\""#);
        assert_eq!(sql(r"a'b\c"), r"'a''b\\c'");
        assert!(TARGET.gcp().contains(r#"'assertion.sub == "github:repo:acme/o'\''neil"'"#), "{}", TARGET.gcp());
    }

    #[test]
    fn warns_of_urls_that_targets_refuse() {
        let warned = |view, issuer: &str| warnings(view, issuer);
        assert!(warned(View::Aws, "https://broker.example/v/aws").is_empty());
        assert_eq!(
            warned(View::Aws, "https://broker.example:8443/v/aws"),
            ["AWS accepts no port in an issuer URL: `broker.example:8443`"]
        );
        assert!(warned(View::Vault, "https://broker.example:8443/v/vault").is_empty());
        let http = "http://127.0.0.1:3000/v/gcp";
        assert_eq!(warned(View::Gcp, http), [format!("`{http}` is not https: the target will not fetch its keys")]);
        for (length, expected) in [(255, 0), (256, 1)] {
            let url = format!("https://{}", "a".repeat(length - 8));
            assert_eq!(warned(View::Aws, &url).len(), expected);
        }
    }
}
