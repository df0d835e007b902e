//! The tests' trust bundle: the repository's schema, issuers that a test names, and audiences with each kind of limit.

use std::path::Path;

/// The broker's issuer URL. Only a name: nothing listens there.
pub const BROKER: &str = "http://127.0.0.1:3999";
/// Any number of uses; scopes `read` and `write`; lifetimes of 5 to 15 minutes.
pub const API: &str = "https://api.example";
/// One use per subject token.
pub const DEPLOY: &str = "https://deploy.example";
/// [`USES`] uses per subject token.
pub const BOUNDED: &str = "https://bounded.example";
pub const USES: usize = 5;
/// Signed with EdDSA.
pub const EDDSA: &str = "https://eddsa.example";
/// In tier `hsm`, as are [`HSM_EDDSA`] and [`HSM_ES256`], each with another algorithm.
pub const HSM: &str = "https://hsm.example";
pub const HSM_EDDSA: &str = "https://hsm-eddsa.example";
pub const HSM_ES256: &str = "https://hsm-es256.example";
/// The longest lifetime that the signer allows; may outlive the subject token.
pub const LONG: &str = "https://long.example";
/// Refuses requests without scopes; offers `read` and `write`.
pub const SCOPED: &str = "https://scoped.example";
/// Requires a proof of possession; offers `read` and `write`.
pub const BOUND: &str = "https://bound.example";
/// Has the view `gcp`.
pub const CLOUD: &str = "https://cloud.example";
/// Not in the signer's list of audiences.
pub const BEYOND: &str = "https://beyond.example";
/// The signer's list of audiences: all except [`BEYOND`].
pub const SIGNER_AUDIENCES: &str = "https://api.example https://bound.example https://bounded.example https://cloud.example https://deploy.example https://eddsa.example https://hsm.example https://hsm-eddsa.example https://hsm-es256.example https://long.example https://scoped.example";
/// Length of an epoch in these tests; tokens for [`LONG`] live 60 s less.
pub const EPOCH_SECONDS: u64 = 1200;

const AUDIENCES: [(&str, &str, &str); 12] = [
    ("api", API, "scopes = [\"read\", \"write\"]\n"),
    ("beyond", BEYOND, ""),
    ("bound", BOUND, "scopes = [\"read\", \"write\"]\nproof_of_possession = \"required\"\n"),
    ("bounded", BOUNDED, "replay = \"bounded(5)\"\n"),
    ("cloud", CLOUD, "view = \"gcp\"\n"),
    ("deploy", DEPLOY, "claims = [\"ref\", \"repository\"]\nreplay = \"single-use\"\n"),
    ("eddsa", EDDSA, "algorithm = \"EdDSA\"\n"),
    ("hsm", HSM, "tier = \"hsm\"\nalgorithm = \"RS256\"\n"),
    ("hsm-eddsa", HSM_EDDSA, "tier = \"hsm\"\nalgorithm = \"EdDSA\"\n"),
    (
        "hsm-es256",
        HSM_ES256,
        "tier = \"hsm\"\nalgorithm = \"ES256\"\nclaims = [\"ref\", \"repository\"]\nscopes = [\"read\", \"write\"]\n",
    ),
    ("long", LONG, "default_lifetime = \"19m\"\nmax_lifetime = \"19m\"\noutlive_subject = true\n"),
    ("scoped", SCOPED, "scopes = [\"read\", \"write\"]\nscopes_required = true\n"),
];

/// An issuer file: its name, its URL, and further lines.
#[derive(Debug, Clone)]
pub struct IssuerFile {
    pub name: String,
    pub url: String,
    pub more: String,
    pub provider: &'static str,
}

impl IssuerFile {
    pub fn new(name: &str, url: impl Into<String>, more: impl Into<String>) -> Self {
        Self { name: name.to_owned(), url: url.into(), more: more.into(), provider: "github" }
    }

    #[must_use]
    pub fn of(self, provider: &'static str) -> Self {
        Self { provider, ..self }
    }
}

/// Writes a bundle to `folder`. Workloads of the issuer `main` with `repository_id` 123456 may have a token for every
/// audience; nobody else may have any.
pub fn write(folder: &Path, repository: &Path, issuers: &[IssuerFile]) {
    let put = |path: String, text: String| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    put("bundle.toml".into(), "name = \"tests\"\nversion = \"1\"\n".into());
    let schema = std::fs::read_to_string(repository.join("policies/schema.cedarschema")).expect("the schema");
    put("schema.cedarschema".into(), schema);
    for IssuerFile { name, url, more, provider } in issuers {
        let text =
            format!("issuer = \"{url}\"\nprovider = \"{provider}\"\ndevelopment = true\nreplay = \"allow\"\n{more}");
        put(format!("issuers/{name}.toml"), text);
    }
    for (name, id, more) in AUDIENCES {
        put(format!("audiences/{name}.toml"), format!("id = \"{id}\"\n{more}"));
    }
    for IssuerFile { name, provider, .. } in issuers {
        if let Some(rule) = provider_rule(name, provider) {
            put(format!("rules/{name}.cedar"), rule);
        }
    }
    // A policy that names a missing issuer would keep the bundle from loading.
    if issuers.iter().any(|issuer| issuer.name == "main") {
        put("rules/main.cedar".into(), AUDIENCES.map(|(name, id, _)| rule(name, id)).concat());
    }
}

fn rule(name: &str, audience: &str) -> String {
    format!(
        "@id(\"main-{name}\")\npermit (\n  principal is GitHub::Workflow in Issuer::\"main\",\n  \
         action == Action::\"issue\",\n  resource == Audience::\"{audience}\"\n)\n\
         when {{ principal.repository_id == \"123456\" && [\"read\", \"write\"].containsAll(context.scopes) }};\n\n"
    )
}

/// A policy that lets one workload of another provider read from [`API`].
fn provider_rule(issuer: &str, provider: &str) -> Option<String> {
    let (entity_type, condition) = match provider {
        "aws" => (
            "Aws::Principal",
            "principal has principal_tags && \
             principal.principal_tags.contains(\"environment=production\")",
        ),
        "azure" => ("Azure::Workload", "principal.oid == \"644d9b8a\""),
        "buildkite" => (
            "Buildkite::Job",
            "principal has pipeline_id && principal.pipeline_id == \"p-1\" && \
             principal.build_branch == \"main\"",
        ),
        "circleci" => (
            "CircleCi::Job",
            "principal.project_id == \"p-1\" && principal has vcs_origin && \
             principal.vcs_origin == \"github.com/a/b\" && \
             principal has ssh_rerun && !principal.ssh_rerun",
        ),
        "google" => ("Google::ServiceAccount", "principal.unique_id == \"1109872942\""),
        "spiffe" => ("Spiffe::Workload", "principal.path == \"/ns/prod/sa/payments\""),
        "terraform" => (
            "Terraform::Run",
            "principal.terraform_workspace_id == \"ws-1\" && \
             principal.terraform_run_phase == \"apply\"",
        ),
        "gitlab" => (
            "GitLab::Job",
            "principal.project_id == \"20\" && principal has ref_protected && \
             principal.ref_protected == \"true\"",
        ),
        "kubernetes" => (
            "Kubernetes::ServiceAccount",
            "principal.namespace == \"build\" && principal.service_account_name == \"deployer\" && \
             principal has pod_uid",
        ),
        _ => return None,
    };
    Some(format!(
        "@id(\"{issuer}-api\")\npermit (\n  principal is {entity_type} in Issuer::\"{issuer}\",\n  \
         action == Action::\"issue\",\n  resource == Audience::\"{API}\"\n)\n\
         when {{ {condition} && [\"read\"].containsAll(context.scopes) }};\n"
    ))
}
