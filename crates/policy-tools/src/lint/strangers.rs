//! What workloads of somebody else look like, for each provider.

/// A workload of somebody else.
pub(super) struct Stranger {
    pub provider: &'static str,
    /// How a warning describes it, with claims in braces.
    pub described: &'static str,
    /// Claims that a stranger cannot choose, each with a value that belongs to a stranger.
    pub claims: &'static [(&'static str, &'static str)],
    /// Those among them that name a tenant or an owner, so that other workloads of an issuer share them.
    pub of_tenant: &'static [&'static str],
}

/// In the order of providers. Ids of different kinds are equal on purpose: a policy that compares two claims of the
/// same token with each other says nothing about whose it is.
static STRANGERS: [Stranger; 10] = [
    Stranger {
        provider: "aws",
        described: "principal `{principal_arn}`",
        claims: &[
            ("aws_account", "666666666666"),
            ("ec2_instance_source_private_ipv4", "192.0.2.66"),
            ("ec2_instance_source_vpc", "vpc-666"),
            ("ec2_source_instance_arn", "arn:aws:ec2:eu-west-1:666666666666:instance/i-666"),
            ("lambda_source_function_arn", "arn:aws:lambda:eu-west-1:666666666666:function:evil"),
            ("org_id", "o-666"),
            ("principal_arn", "arn:aws:iam::666666666666:role/evil"),
            ("principal_id", "AROA666:evil"),
            ("principal_tags", ""),
            ("sub", "arn:aws:iam::666666666666:role/evil"),
        ],
        of_tenant: &["aws_account", "org_id"],
    },
    Stranger {
        provider: "azure",
        described: "an identity with object id `{oid}`",
        claims: &[
            ("appid", "66666666-6666-6666-6666-666666666666"),
            ("azp", "66666666-6666-6666-6666-666666666666"),
            ("oid", "66666666-6666-6666-6666-666666666666"),
            ("roles", ""),
            ("sub", "66666666-6666-6666-6666-666666666666"),
            ("tid", "66666666-6666-6666-6666-666666666666"),
            ("xms_mirid", "/subscriptions/666/evil"),
        ],
        of_tenant: &["tid"],
    },
    Stranger {
        provider: "buildkite",
        described: "a job of pipeline `{pipeline_slug}`, pipeline id `{pipeline_id}`",
        claims: &[
            ("agent_id", "666"),
            ("build_id", "666"),
            ("cluster_id", "666"),
            ("cluster_name", "evil"),
            ("job_id", "666"),
            ("organization_id", "666"),
            ("organization_slug", "evil"),
            ("pipeline_id", "666"),
            ("pipeline_slug", "evil"),
            ("queue_id", "666"),
            ("sub", "organization:evil:pipeline:evil"),
        ],
        of_tenant: &["organization_id", "organization_slug"],
    },
    Stranger {
        provider: "circleci",
        described: "a job of project `{project_id}`",
        claims: &[
            ("context_ids", ""),
            ("job_id", "666"),
            ("org_id", "666"),
            ("pipeline_definition_id", "666"),
            ("pipeline_id", "666"),
            ("project_id", "666"),
            ("sub", "org/666/project/666/user/666"),
            ("vcs_origin", "github.com/evil/evil"),
            ("workflow_id", "666"),
        ],
        of_tenant: &["org_id"],
    },
    Stranger {
        provider: "github",
        described: "a run of `{repository}`, repository id {repository_id}",
        // Anyone may call a public reusable workflow, so `job_workflow_ref` is nobody's own.
        claims: &[
            ("check_run_id", "666"),
            ("enterprise", "evil"),
            ("enterprise_id", "666"),
            ("environment_node_id", "EN_666"),
            ("repository", "evil/evil"),
            ("repository_id", "666"),
            ("repository_owner", "evil"),
            ("repository_owner_id", "666"),
            ("run_id", "666"),
            ("sub", "repo:evil/evil:ref:refs/heads/evil"),
            ("workflow_ref", "evil/evil/.github/workflows/evil.yml@refs/heads/evil"),
        ],
        of_tenant: &[],
    },
    Stranger {
        provider: "gitlab",
        described: "a job of `{project_path}`, project id {project_id}",
        claims: &[
            ("job_id", "666"),
            ("job_namespace_id", "666"),
            ("job_namespace_path", "evil"),
            ("job_project_id", "666"),
            ("job_project_path", "evil/evil"),
            ("namespace_id", "666"),
            ("namespace_path", "evil"),
            ("pipeline_id", "666"),
            ("project_id", "666"),
            ("project_path", "evil/evil"),
            ("sub", "project_path:evil/evil:ref_type:branch:ref:evil"),
        ],
        // Members may create projects in their groups.
        of_tenant: &["job_namespace_id", "job_namespace_path", "namespace_id", "namespace_path"],
    },
    Stranger {
        provider: "google",
        described: "an account with unique id `{unique_id}`",
        claims: &[
            ("azp", "666"),
            ("email", "evil@evil.example"),
            ("instance_id", "666"),
            ("instance_name", "evil"),
            ("project_id", "evil"),
            ("project_number", "666"),
            ("sub", "666"),
            ("unique_id", "666"),
        ],
        of_tenant: &["project_id", "project_number"],
    },
    Stranger {
        provider: "kubernetes",
        described: "service account `{service_account_name}` of namespace `{namespace}`",
        claims: &[
            ("namespace", "evil"),
            ("node_name", "evil"),
            ("node_uid", "666"),
            ("pod_name", "evil"),
            ("pod_uid", "666"),
            ("secret_name", "evil"),
            ("secret_uid", "666"),
            ("service_account_name", "evil"),
            ("service_account_uid", "666"),
            ("sub", "system:serviceaccount:evil:evil"),
        ],
        of_tenant: &[],
    },
    Stranger {
        provider: "spiffe",
        described: "workload `{path}`",
        claims: &[("path", "/evil"), ("spiffe_id", "spiffe://evil/evil"), ("sub", "spiffe://evil/evil")],
        of_tenant: &[],
    },
    Stranger {
        provider: "terraform",
        described: "a run of workspace `{terraform_workspace_name}`, workspace id `{terraform_workspace_id}`",
        claims: &[
            ("sub", "organization:evil:project:evil:workspace:evil:run_phase:plan"),
            ("terraform_full_workspace", "organization:evil:project:evil:workspace:evil"),
            ("terraform_organization_id", "org-666"),
            ("terraform_organization_name", "evil"),
            ("terraform_project_id", "prj-666"),
            ("terraform_project_name", "evil"),
            ("terraform_run_id", "run-666"),
            ("terraform_workspace_id", "ws-666"),
            ("terraform_workspace_name", "evil"),
        ],
        of_tenant: &["terraform_organization_id", "terraform_organization_name"],
    },
];

/// For issuers whose file declares the claims.
static OTHER: Stranger =
    Stranger { provider: "oidc", described: "subject `{sub}`", claims: &[("sub", "evil")], of_tenant: &[] };

/// What a stranger of this provider looks like.
pub(super) fn stranger_of(provider: &str) -> &'static Stranger {
    STRANGERS.iter().find(|stranger| stranger.provider == provider).unwrap_or(&OTHER)
}

impl Stranger {
    /// A stranger's value of a claim; `evil` for the claims that an issuer file declares.
    pub fn value(&self, claim: &str) -> &'static str {
        let known = self.claims.iter().find(|(name, _)| *name == claim);
        known.map_or("evil", |(_, value)| value)
    }
}

/// A kind of run that can build unreviewed code.
#[derive(Debug)]
pub struct Proposal {
    pub provider: &'static str,
    /// Claims with the value that such a run has; an empty one can be absent. The first one identifies what triggered the run.
    pub claims: &'static [(&'static str, &'static str)],
    /// Whether its `ref` is that of a branch.
    pub on_branch: bool,
    /// Claims that only such runs have, so that a policy that compares them is about such runs.
    pub telling: &'static [&'static str],
}

/// The proposals of a provider.
pub fn proposals(provider: &str) -> impl Iterator<Item = &'static Proposal> {
    PROPOSALS.iter().filter(move |proposal| proposal.provider == provider)
}

impl Proposal {
    /// The claim that identifies what triggered the run, and its value.
    pub fn trigger(&self) -> (&'static str, &'static str) {
        self.claims.first().copied().unwrap_or_default()
    }
}

/// GitHub: `pull_request_target`, `workflow_run` and `issue_comment` runs have the identity of the base repository and
/// the `ref` of its default or base branch, whatever they check out. A `pull_request` run has the `ref` of the merge,
/// and a token if the repository gives write tokens to forks; a review starts such a run too. Only the two for pull
/// requests themselves have a `base_ref`. GitLab: a merge request of a fork runs as the target project when a member
/// starts it there, with the name of the source branch. Terraform: a pull request starts a plan, which runs the code of
/// the proposal.
static PROPOSALS: [Proposal; 9] = [
    Proposal {
        provider: "github",
        claims: &[("event_name", "issue_comment"), ("ref_type", "branch"), ("base_ref", ""), ("head_ref", "")],
        on_branch: true,
        telling: &["event_name"],
    },
    Proposal {
        provider: "github",
        claims: &[("event_name", "pull_request"), ("ref", "refs/pull/1/merge")],
        on_branch: false,
        telling: &["base_ref", "event_name", "ref"],
    },
    Proposal {
        provider: "github",
        claims: &[
            ("event_name", "pull_request_review"),
            ("ref", "refs/pull/1/merge"),
            ("base_ref", ""),
            ("head_ref", ""),
        ],
        on_branch: false,
        telling: &["event_name", "ref"],
    },
    Proposal {
        provider: "github",
        claims: &[
            ("event_name", "pull_request_review_comment"),
            ("ref", "refs/pull/1/merge"),
            ("base_ref", ""),
            ("head_ref", ""),
        ],
        on_branch: false,
        telling: &["event_name", "ref"],
    },
    Proposal {
        provider: "github",
        claims: &[("event_name", "pull_request_target"), ("ref_type", "branch")],
        on_branch: true,
        telling: &["base_ref", "event_name"],
    },
    Proposal {
        provider: "github",
        claims: &[("event_name", "workflow_run"), ("ref_type", "branch"), ("base_ref", ""), ("head_ref", "")],
        on_branch: true,
        telling: &["event_name"],
    },
    Proposal {
        provider: "gitlab",
        claims: &[
            ("pipeline_source", "external_pull_request_event"),
            ("ref_protected", "false"),
            ("ref_path", "refs/heads/evil"),
        ],
        on_branch: false,
        telling: &["pipeline_source", "ref_protected"],
    },
    Proposal {
        provider: "gitlab",
        claims: &[
            ("pipeline_source", "merge_request_event"),
            ("ref_protected", "false"),
            ("ref_path", "refs/merge-requests/1/head"),
        ],
        on_branch: false,
        telling: &["pipeline_source", "ref_protected"],
    },
    Proposal {
        provider: "terraform",
        claims: &[("terraform_run_phase", "plan")],
        on_branch: false,
        telling: &["terraform_run_phase"],
    },
];
