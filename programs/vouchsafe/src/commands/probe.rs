//! Not written yet.

use super::Failure;
use std::process::ExitCode;

/// Prove a broker from outside.
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> Result<ExitCode, Failure> {
    Err(Failure::usage("not written yet"))
}
