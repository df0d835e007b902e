//! Which platform this process runs on, judged by variables and files only: nothing is sent to find out.

use super::platform::{KUBERNETES_TOKEN, Platform};
use super::raw_token::variable;
use std::path::Path;
use vouchsafe_cli::Failure;

/// Variables that a platform sets in its jobs and functions; one of them is enough.
const SIGNS: [(Platform, &[&str]); 16] = [
    (
        Platform::Aws,
        &[
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_EXECUTION_ENV",
            "AWS_LAMBDA_FUNCTION_NAME",
            "CODEBUILD_BUILD_ARN",
        ],
    ),
    (Platform::Azure, &["IDENTITY_ENDPOINT"]),
    (Platform::AzurePipelines, &["SYSTEM_OIDCREQUESTURI"]),
    (Platform::Bitbucket, &["BITBUCKET_PIPELINE_UUID", "BITBUCKET_STEP_OIDC_TOKEN"]),
    (Platform::Buildkite, &["BUILDKITE"]),
    (Platform::Circleci, &["CIRCLECI"]),
    (Platform::Codefresh, &["CF_OIDC_REQUEST_URL"]),
    (Platform::Fly, &["FLY_MACHINE_ID"]),
    (Platform::Github, &["ACTIONS_ID_TOKEN_REQUEST_URL", "GITHUB_ACTIONS"]),
    (Platform::Gitlab, &["GITLAB_CI"]),
    (Platform::Google, &["CLOUD_RUN_JOB", "GCE_METADATA_HOST", "K_SERVICE"]),
    (Platform::Semaphore, &["SEMAPHORE_OIDC_TOKEN"]),
    (Platform::Spacelift, &["SPACELIFT_OIDC_TOKEN"]),
    (Platform::Spiffe, &["SPIFFE_ENDPOINT_SOCKET"]),
    (Platform::Terraform, &["TFC_WORKLOAD_IDENTITY_TOKEN"]),
    (Platform::Vercel, &["VERCEL_OIDC_TOKEN"]),
];

/// What the firmware of a cloud's virtual machines says.
const MACHINES: [(Platform, &str, &str); 3] = [
    (Platform::Aws, "/sys/class/dmi/id/sys_vendor", "Amazon EC2"),
    (Platform::Azure, "/sys/class/dmi/id/chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77"),
    (Platform::Google, "/sys/class/dmi/id/product_name", "Google Compute Engine"),
];

/// What tells platforms apart.
pub struct Surroundings<'a> {
    /// Variables that are set and not empty.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    pub exists: &'a dyn Fn(&Path) -> bool,
    pub read: &'a dyn Fn(&Path) -> Option<String>,
}

impl Surroundings<'static> {
    /// Those of this process.
    pub fn actual() -> Self {
        Self {
            variable: &|name| variable(name),
            exists: &Path::exists,
            read: &|path| std::fs::read_to_string(path).ok(),
        }
    }
}

/// The platform whose token is the only one here. If there are two, choosing one could mean the wrong identity.
pub fn detect(here: &Surroundings) -> Result<Platform, Failure> {
    let is_set = |name: &&str| (here.variable)(name).is_some();
    let is_here = |names: &[&str]| names.iter().any(is_set);
    let mut found: Vec<Platform> =
        SIGNS.iter().filter(|(_, names)| is_here(names)).map(|(platform, _)| *platform).collect();
    if (here.exists)(Path::new(KUBERNETES_TOKEN)) {
        found.push(Platform::Kubernetes);
    }
    if found.is_empty() && !is_here(&["CI", "KUBERNETES_SERVICE_HOST"]) {
        found.extend(machine(here));
    }
    match found[..] {
        [platform] => Ok(platform),
        [] => Err(none(here)),
        _ => {
            let names: Vec<String> = found.iter().map(|platform| format!("`{}`", platform.name())).collect();
            Err(Failure::usage(format!("more than one platform offers a token here: {}", names.join(", ")))
                .hint("choose one with --from"))
        }
    }
}

/// The cloud of this virtual machine. Its identity belongs to all that runs on it, so jobs and pods never get it unasked.
fn machine(here: &Surroundings) -> Option<Platform> {
    let is_there = |path: &str, text: &str| (here.read)(Path::new(path)).is_some_and(|found| found.trim() == text);
    MACHINES.into_iter().find(|(_, path, text)| is_there(path, text)).map(|(platform, ..)| platform)
}

fn none(here: &Surroundings) -> Failure {
    let failure = Failure::usage("no subject token: use --subject-token-file, --subject-token-env or --from");
    if (here.variable)("KUBERNETES_SERVICE_HOST").is_some() {
        return failure.hint(format!("mount a projected token at {KUBERNETES_TOKEN}; then it is found automatically"));
    }
    failure.hint("on CI platforms it is found automatically; for local work, `vouchsafe dev-issuer mint` creates one")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: &str = "file:/sys/class/dmi/id/product_name=Google Compute Engine\n";

    /// Detects among `name=value`s, files that exist (`file:path=content`) and nothing else.
    fn check(facts: &[&str]) -> Result<Platform, (String, Option<String>)> {
        let find = |name: &str| {
            let pairs = facts.iter().filter_map(|fact| fact.split_once('='));
            pairs.into_iter().find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
        };
        let file = |path: &Path| find(&format!("file:{}", path.display()));
        let here = Surroundings { variable: &find, exists: &|path| file(path).is_some(), read: &file };
        detect(&here).map_err(|failure| (failure.message, failure.hint))
    }

    #[test]
    fn recognizes_each_platform() {
        for (platform, names) in SIGNS {
            for name in names {
                assert_eq!(check(&[&format!("{name}=x")]), Ok(platform), "{name}");
            }
        }
        assert_eq!(check(&["file:/var/run/secrets/vouchsafe/token="]), Ok(Platform::Kubernetes));
        for (platform, path, text) in MACHINES {
            assert_eq!(check(&[&format!("file:{path}={text}\n")]), Ok(platform), "{path}");
        }
    }

    #[test]
    fn names_both_platforms_and_stops() {
        let (message, hint) =
            check(&["GITHUB_ACTIONS=true", "file:/var/run/secrets/vouchsafe/token="]).expect_err("two");
        assert_eq!(message, "more than one platform offers a token here: `github`, `kubernetes`");
        assert_eq!(hint.as_deref(), Some("choose one with --from"));
    }

    #[test]
    fn job_on_a_virtual_machine_is_not_the_machine() {
        assert_eq!(check(&["GITHUB_ACTIONS=true", MACHINE]), Ok(Platform::Github));
        for name in ["CI=true", "KUBERNETES_SERVICE_HOST=10.0.0.1"] {
            let (message, _) = check(&[name, MACHINE]).expect_err("no token of its own");
            assert_eq!(message, "no subject token: use --subject-token-file, --subject-token-env or --from", "{name}");
        }
    }

    #[test]
    fn firmware_must_match_exactly() {
        for text in ["Google Compute Engine 2", "google compute engine", "Google"] {
            check(&[&format!("file:/sys/class/dmi/id/product_name={text}")]).expect_err("another machine");
        }
    }

    #[test]
    fn pod_without_a_token_is_told_where_to_mount_it() {
        let (_, hint) = check(&["KUBERNETES_SERVICE_HOST=10.0.0.1"]).expect_err("none");
        let expected = "mount a projected token at /var/run/secrets/vouchsafe/token; then it is found automatically";
        assert_eq!(hint.as_deref(), Some(expected));
    }
}
