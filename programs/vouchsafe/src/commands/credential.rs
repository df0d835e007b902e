//! `vouchsafe credential`: answers tools that run a helper for their credentials, each in its own format.

mod aws;
mod docker;
mod git;
mod google;
mod host;
mod kubectl;
mod kubelet;
mod username;

use clap::Subcommand;
use std::process::ExitCode;
use vouchsafe_cli::Failure;

/// Answer a tool that runs a helper for its credentials.
///
/// Each command prints what one tool expects, and reads what it asks. `token --watch` and `exec --renew` are for tools
/// that read a token from a file.
#[derive(clap::Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  vouchsafe credential kubectl --broker https://broker.example --audience https://cluster.example"
)]
pub struct Args {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Subcommand)]
enum Tool {
    Aws(Box<aws::Args>),
    Docker(Box<docker::Args>),
    Git(Box<git::Args>),
    Google(Box<google::Args>),
    Kubectl(Box<kubectl::Args>),
    Kubelet(Box<kubelet::Args>),
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.tool {
        Tool::Aws(args) => aws::run(&args),
        Tool::Docker(args) => docker::run(&args),
        Tool::Git(args) => git::run(&args),
        Tool::Google(args) => google::run(&args),
        Tool::Kubectl(args) => kubectl::run(&args),
        Tool::Kubelet(args) => kubelet::run(&args),
    }
}
