//! What `init` asks about the first workload, by provider.

use super::ask::Asker;
use super::check::check_url;
use crate::client::http::origin;
use vouchsafe_cli::Failure;
use vouchsafe_policy_tools::scaffold::NewIssuer;

/// The first workload, by flags.
#[derive(clap::Args)]
pub struct WorkloadArgs {
    /// The platform of the first workload, such as `github`
    #[arg(long, value_name = "P")]
    provider: Option<String>,
    /// The exact `iss` of the platform's tokens [default: the public URL of platforms that have one]
    #[arg(long, value_name = "URL")]
    provider_url: Option<String>,
    /// A claim of the first workload's tokens; repeatable
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    claims: Vec<String>,
}

/// What identifies a workload of one provider.
struct Starter {
    provider: &'static str,
    /// The `iss` of its tokens, if all installations have the same.
    url: Option<&'static str>,
    /// An example otherwise.
    example: &'static str,
    /// Further hosts that its keys come from.
    hosts: &'static [&'static str],
    questions: &'static [Question],
    /// Claims with the only value that a first policy should permit.
    fixed: &'static [(&'static str, &'static str)],
}

struct Question {
    claim: &'static str,
    what: &'static str,
    default: Option<&'static str>,
    kind: Kind,
    /// Whether the issuer file requires it of every token, because one issuer serves all tenants.
    is_tenant: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Digits,
    Text,
}

const fn ask_for(claim: &'static str, what: &'static str, kind: Kind) -> Question {
    Question { claim, what, default: None, kind, is_tenant: false }
}

impl Question {
    const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn of_tenant(self) -> Self {
        Self { is_tenant: true, ..self }
    }
}

use Kind::{Digits, Text};

static STARTERS: [Starter; 9] = [
    Starter {
        provider: "aws",
        url: None,
        example: "https://00000000-0000-0000-0000-000000000000.tokens.sts.global.api.aws",
        hosts: &[],
        questions: &[
            ask_for("aws_account", "the AWS account (12 digits)", Digits).of_tenant(),
            ask_for("principal_arn", "the role, such as arn:aws:iam::123456789012:role/deploy", Text),
        ],
        fixed: &[],
    },
    Starter {
        provider: "buildkite",
        url: Some("https://agent.buildkite.com"),
        example: "",
        hosts: &[],
        questions: &[
            ask_for("organization_id", "the organization's id (a UUID)", Text).of_tenant(),
            ask_for("pipeline_id", "the pipeline's id (a UUID)", Text),
            ask_for("build_branch", "the branch", Text).or("main"),
            ask_for("build_source", "what starts the build, such as ui or schedule", Text).or("ui"),
        ],
        fixed: &[],
    },
    Starter {
        provider: "circleci",
        url: None,
        example: "https://oidc.circleci.com/org/ORGANIZATION-ID",
        hosts: &[],
        questions: &[
            ask_for("project_id", "the project's id (a UUID)", Text),
            ask_for("vcs_origin", "the repository, such as github.com/octo-org/octo-repo", Text),
            ask_for("vcs_ref", "the ref", Text).or("refs/heads/main"),
        ],
        fixed: &[("ssh_rerun", "false")],
    },
    Starter {
        provider: "github",
        url: Some("https://token.actions.githubusercontent.com"),
        example: "",
        hosts: &[],
        questions: &[
            ask_for("repository_id", "the repository's id (`gh api repos/OWNER/REPO --jq .id`)", Digits),
            ask_for("ref", "the ref", Text).or("refs/heads/main"),
        ],
        fixed: &[("event_name", "push")],
    },
    Starter {
        provider: "gitlab",
        url: Some("https://gitlab.com"),
        example: "",
        hosts: &[],
        questions: &[ask_for("project_id", "the project's id (on the project's page, below its menu)", Digits)],
        fixed: &[("ref_protected", "true")],
    },
    Starter {
        provider: "google",
        url: Some("https://accounts.google.com"),
        example: "",
        hosts: &["https://www.googleapis.com"],
        questions: &[
            ask_for("email", "the service account, such as build@project.iam.gserviceaccount.com", Text).of_tenant(),
            ask_for("unique_id", "its unique id (`gcloud iam service-accounts describe`)", Digits),
        ],
        fixed: &[("email_verified", "true")],
    },
    Starter {
        provider: "kubernetes",
        url: None,
        example: "https://oidc.cluster.example",
        hosts: &[],
        questions: &[
            ask_for("namespace", "the namespace", Text),
            ask_for("service_account_name", "the service account", Text).or("default"),
        ],
        fixed: &[],
    },
    Starter {
        provider: "oidc",
        url: None,
        example: "https://idp.example",
        hosts: &[],
        questions: &[ask_for("sub", "the `sub` of the workload's tokens", Text)],
        fixed: &[],
    },
    Starter {
        provider: "terraform",
        url: Some("https://app.terraform.io"),
        example: "",
        hosts: &[],
        questions: &[
            ask_for("terraform_organization_id", "the organization's id, such as org-GRNbCjYNpBB6NEH9", Text)
                .of_tenant(),
            ask_for("terraform_workspace_id", "the workspace's id, such as ws-mbsd5E3Ktt5Rg2Xm", Text),
        ],
        fixed: &[("terraform_run_phase", "apply")],
    },
];

/// The first workload, and its issuer.
pub struct Workload {
    pub issuer: NewIssuer,
    /// What the first policy compares.
    pub claims: Vec<(String, String)>,
    hosts: &'static [&'static str],
}

impl Workload {
    /// The hosts that the issuer's keys come from.
    pub fn hosts(&self) -> Vec<String> {
        let own = origin(&self.issuer.url).map(|(scheme, authority)| format!("{scheme}://{authority}"));
        own.into_iter().chain(self.hosts.iter().map(|&host| host.to_owned())).collect()
    }
}

/// The workload, by flags and answers.
pub fn ask(args: &WorkloadArgs, asker: &mut Asker<'_>) -> Result<Workload, Failure> {
    let mut given = pairs(&args.claims)?;
    let names: Vec<&str> = STARTERS.iter().map(|one| one.provider).collect();
    let what = format!("the platform of the first workload ({})", names.join(", "));
    let known = |name: &str| find(name).map(|_| ());
    let name = asker.value(&what, "--provider", args.provider.as_deref(), None, &known)?;
    let starter = find(&name).map_err(Failure::usage)?;
    let what = match starter.url {
        Some(_) => "the exact `iss` of its tokens".to_owned(),
        None => format!("the exact `iss` of its tokens, such as {}", starter.example),
    };
    let url = asker.value(&what, "--provider-url", args.provider_url.as_deref(), starter.url, &check_url)?;
    let mut issuer = NewIssuer { name: name.clone(), url, provider: name, ..NewIssuer::default() };
    let mut claims = Vec::new();
    for question in starter.questions {
        let flag = format!("--claim {}=VALUE", question.claim);
        let value = take(&mut given, question.claim);
        let check = |text: &str| question.check(text);
        let value = asker.value(question.what, &flag, value.as_deref(), question.default, &check)?;
        let pair = (question.claim.to_owned(), value);
        match question.is_tenant {
            true => issuer.require.push(pair),
            false => claims.push(pair),
        }
    }
    for &(claim, value) in starter.fixed {
        claims.push((claim.to_owned(), take(&mut given, claim).unwrap_or_else(|| value.to_owned())));
    }
    claims.extend(given);
    if starter.provider == "oidc" {
        issuer.claims = claims.iter().map(|(name, _)| name.clone()).collect();
    }
    Ok(Workload { issuer, claims, hosts: starter.hosts })
}

fn find(name: &str) -> Result<&'static Starter, String> {
    if let Some(starter) = STARTERS.iter().find(|one| one.provider == name) {
        return Ok(starter);
    }
    if vouchsafe_policy::providers().any(|provider| provider.name == name) {
        return Err(format!(
            "`{name}` needs settings that `init` does not ask for; choose another platform first, then follow \
             docs/providers/{name}.md"
        ));
    }
    let names: Vec<&str> = STARTERS.iter().map(|one| one.provider).collect();
    Err(format!("`{name}` is not a platform; choose one of `{}`", names.join("`, `")))
}

fn take(given: &mut Vec<(String, String)>, claim: &str) -> Option<String> {
    let at = given.iter().position(|(name, _)| name == claim)?;
    Some(given.remove(at).1)
}

fn pairs(texts: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let pair = |text: &String| {
        let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
        pair.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| {
            Failure::usage(format!("`{text}` is not a claim with a value"))
                .hint("write NAME=VALUE, such as repository_id=123456")
        })
    };
    texts.iter().map(pair).collect()
}

impl Question {
    fn check(&self, text: &str) -> Result<(), String> {
        let claim = self.claim;
        if self.kind == Digits && (text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(format!("`{text}` is not a `{claim}`: it has digits only"));
        }
        if text.is_empty() || text.chars().any(char::is_whitespace) {
            return Err(format!("`{text}` is not a `{claim}`: it is empty or contains white space"));
        }
        Ok(())
    }
}

/// Every provider with a set of valid answers.
#[cfg(test)]
pub const SAMPLES: [(&str, &str, &[&str]); 9] = [
    (
        "aws",
        "https://0.tokens.sts.global.api.aws",
        &["aws_account=123456789012", "principal_arn=arn:aws:iam::123456789012:role/deploy"],
    ),
    ("buildkite", "", &["organization_id=0184990a-477b", "pipeline_id=0184990a-4782"]),
    (
        "circleci",
        "https://oidc.circleci.com/org/c9035eb6",
        &["project_id=ecc458d2", "vcs_origin=github.com/octo-org/octo-repo"],
    ),
    ("github", "", &["repository_id=123456"]),
    ("gitlab", "", &["project_id=20"]),
    ("google", "", &["email=build@p.iam.gserviceaccount.com", "unique_id=110987294251917851298"]),
    ("kubernetes", "https://oidc.cluster.example", &["namespace=build"]),
    ("oidc", "https://idp.example", &["sub=release"]),
    (
        "terraform",
        "",
        &["terraform_organization_id=org-GRNbCjYNpBB6NEH9", "terraform_workspace_id=ws-mbsd5E3Ktt5Rg2Xm"],
    ),
];
