//! Checks of the repository that need more than a compiler.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a tool of developers may panic"
)]

mod imports;
mod lints;
mod profiles;
mod wit_deps;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare what each built component imports with tests/snapshots/imports
    Imports {
        /// Write the snapshots instead
        #[arg(long)]
        bless: bool,
    },
    /// Check that every workspace member inherits the workspace's lints
    Lints,
    /// Check the profiles of installed programs and of components
    Profiles,
    /// Compare wit/deps with the WIT of the locked spin-sdk
    WitDeps,
}

fn main() -> Result<ExitCode> {
    let root = repository()?;
    let faults = match Cli::parse().command {
        Command::Imports { bless } => imports::check(&root, bless)?,
        Command::Lints => lints::check(&root)?,
        Command::Profiles => profiles::check(&root)?,
        Command::WitDeps => wit_deps::check(&root)?,
    };
    for fault in &faults {
        eprintln!("error: {fault}");
    }
    Ok(if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The repository's root, wherever the command was started.
fn repository() -> Result<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .map(PathBuf::from)
        .context("xtask is a folder of the repository")
}
