//! Checks of the repository that need more than a compiler.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a developer tool may panic"
)]

// Output macros that don't panic when a pipe is closed, for all modules.
#[macro_use]
extern crate vouchsafe_cli;

mod imports;
mod links;
mod lints;
mod metadata;
mod modules;
mod notices;
mod profiles;
mod sbom;
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
    /// Make links absolute that lead from copied documentation to files that were not copied
    Links {
        /// A folder with copies of files of the repository, at the same paths
        folder: PathBuf,
    },
    /// Check that every workspace member inherits the workspace's lints
    Lints,
    /// Check that the modules of each crate depend on one another without cycles
    Modules,
    /// Print the license texts of the libraries in a release archive
    Notices { archive: sbom::Archive },
    /// Check the profiles of installed programs and of components
    Profiles,
    /// Print the bill of materials of a release archive, or of the image that is made from it
    Sbom {
        archive: sbom::Archive,
        /// A Debian package of the image
        #[arg(long, value_name = "NAME=VERSION")]
        debian: Vec<sbom::DebianPackage>,
    },
    /// Compare wit/deps with the WIT of the locked spin-sdk
    WitDeps,
}

fn main() -> Result<ExitCode> {
    let root = repository()?;
    let faults = match Cli::parse().command {
        Command::Imports { bless } => imports::check(&root, bless)?,
        Command::Links { folder } => links::complete(&root, &folder)?,
        Command::Lints => lints::check(&root)?,
        Command::Modules => modules::check(&root)?,
        Command::Notices { archive } => {
            println!("{}", notices::of(&root, archive)?);
            Vec::new()
        }
        Command::Profiles => profiles::check(&root)?,
        Command::Sbom { archive, debian } => {
            println!("{:#}", sbom::of(&root, archive, &debian)?);
            Vec::new()
        }
        Command::WitDeps => wit_deps::check(&root)?,
    };
    for fault in &faults {
        eprintln!("error: {fault}");
    }
    Ok(vouchsafe_cli::print::finish(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}

/// The root of the repository that contains the current folder.
fn repository() -> Result<PathBuf> {
    let here = std::env::current_dir()?;
    let root = here.ancestors().find(|folder| folder.join("xtask/Cargo.toml").is_file());
    root.map(PathBuf::from).context("the current folder is not inside the repository")
}
