//! Google's client libraries: an executable as the source of a subject token.

use crate::client::issue::{IssueArgs, Token};
use serde_json::{Value, json};
use std::process::ExitCode;
use vouchsafe_cli::{Failure, print};

/// Print a token for Google's client libraries and gcloud.
///
/// It is the `credential_source.executable` of an `external_account` configuration; GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES
/// must be 1. The libraries exchange the token at Google's own token service.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 a token or a refusal was printed, 2 the command line is wrong.

Examples:
  vouchsafe credential google --broker https://broker.example \\
    --audience //iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/providers/vouchsafe")]
pub struct Args {
    #[command(flatten)]
    issue: IssueArgs,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    // The libraries read both streams as one answer, so nothing else may be printed. A failure is part of the answer.
    print::mute_stderr();
    println!("{}", args.issue.issue().map_or_else(|failure| refusal(&failure), |token| answer(&token)));
    Ok(ExitCode::SUCCESS)
}

fn answer(token: &Token) -> Value {
    let mut answer = json!({
        "version": 1,
        "success": true,
        "token_type": "urn:ietf:params:oauth:token-type:jwt",
        "id_token": token.response.access_token,
    });
    if let Some(expires) = token.expires {
        answer["expiration_time"] = expires.into();
    }
    answer
}

fn refusal(failure: &Failure) -> Value {
    let hint = failure.hint.as_deref().map_or_else(String::new, |hint| format!("; {hint}"));
    let message = format!("{}{hint}", failure.message);
    json!({ "version": 1, "success": false, "code": failure.code.to_string(), "message": message })
}
