//! Not written yet.

use super::Failure;
use std::process::ExitCode;

/// Get a token from a broker.
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> Result<ExitCode, Failure> {
    Err(Failure::usage("not written yet"))
}
