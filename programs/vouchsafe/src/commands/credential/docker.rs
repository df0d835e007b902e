//! Docker, Podman, skopeo and others: a credential helper for registries.

use super::{host, username};
use crate::client::issue::IssueArgs;
use serde_json::json;
use std::process::ExitCode;
use vouchsafe_cli::{Failure, files};

const REQUEST_BYTES_MAX: u64 = 64 * 1024;
/// What clients recognize as "no credential": they go on without one.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// Print a token for a container registry, as a credential helper of Docker's.
///
/// Docker runs a program whose name begins with `docker-credential-`, with one argument. Make it a script that calls
/// this command, as in the example, and name it in `credHelpers` of Docker's configuration.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 answered, 1 refused, or there is no credential for this registry, 2 the command line is wrong, 3 the
broker cannot be reached or cannot answer now.

Examples:
  printf '%s\\n' '#!/bin/sh' 'exec vouchsafe credential docker --broker https://broker.example \\
    --audience https://registry.example --registry registry.example \"$@\"' > /usr/local/bin/docker-credential-vouchsafe
  echo registry.example | docker-credential-vouchsafe get")]
pub struct Args {
    #[command(flatten)]
    issue: IssueArgs,
    /// A registry that may get the token, with its port if it has one; may be repeated.
    #[arg(long = "registry", value_name = "HOST", required = true, value_parser = host::parse, help_heading = None::<&str>)]
    registries: Vec<String>,
    /// The user name that the registry expects beside the token.
    #[arg(long, value_name = "NAME", default_value = "vouchsafe", value_parser = username::parse, help_heading = None::<&str>)]
    username: String,
    /// What Docker asks for.
    action: Action,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Action {
    /// Print a credential for the registry on standard input
    Get,
    /// Fails: a token is never stored
    Store,
    /// Nothing to do: a token expires by itself
    Erase,
    /// Print the registries that have a credential
    List,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let outcome = answer(args);
    if let Err(failure) = &outcome {
        // Clients show or recognize what is on standard output.
        println!("{}", failure.message);
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

fn answer(args: &Args) -> Result<(), Failure> {
    match args.action {
        Action::Get => {
            let server = files::read_from(std::io::stdin().lock(), &"Docker's request", REQUEST_BYTES_MAX)?;
            let server = String::from_utf8_lossy(&server);
            let server = server.trim();
            if !host::is_allowed(&args.registries, host::of_server(server)) {
                return Err(Failure::refused(NOT_FOUND));
            }
            let secret = args.issue.issue()?.response.access_token;
            println!("{}", json!({ "ServerURL": server, "Username": args.username, "Secret": secret }));
            Ok(())
        }
        Action::Store => Err(Failure::refused("this helper stores no credentials: it gets a new token for each use")),
        Action::Erase => Ok(()),
        Action::List => {
            let pairs = args.registries.iter().map(|host| (host.clone(), args.username.clone().into()));
            println!("{}", serde_json::Value::Object(pairs.collect()));
            Ok(())
        }
    }
}
