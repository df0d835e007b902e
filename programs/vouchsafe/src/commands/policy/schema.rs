//! `vouchsafe policy schema`: JSON Schemas of a bundle's TOML files, for editors.

use super::output::write_file;
use std::path::PathBuf;
use std::process::ExitCode;
use vouchsafe_cli::Failure;
use vouchsafe_policy_tools::schemas;

/// Write the JSON Schemas of a trust bundle's TOML files, for editors.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 written, 2 usage error.

Examples:
  vouchsafe policy schema --output docs/schemas
  vouchsafe policy schema --kind issuer")]
pub struct Args {
    /// Print the schema of one kind of file: bundle, issuer, audience, client, group, links, case or case-base.
    #[arg(long, value_name = "KIND", required_unless_present = "output")]
    kind: Option<String>,
    /// Write all schemas as KIND.schema.json into this folder.
    #[arg(long, value_name = "FOLDER", conflicts_with = "kind")]
    output: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    print!("{}", schema(args)?);
    Ok(ExitCode::SUCCESS)
}

pub(super) fn schema(args: &Args) -> Result<String, Failure> {
    let all = schemas();
    if let Some(folder) = &args.output {
        let mut text = String::new();
        for (name, schema) in &all {
            let path = folder.join(format!("{name}.schema.json"));
            write_file(&path, &format!("{schema:#}\n"))?;
            text.push_str(&format!("{}\n", path.display()));
        }
        return Ok(text);
    }
    let kind = args.kind.as_deref().unwrap_or_default();
    let found = all.iter().find(|(name, _)| *name == kind);
    let (_, schema) = found.ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        Failure::usage(format!("unknown kind of file `{kind}`")).hint(format!("the kinds are {}", names.join(", ")))
    })?;
    Ok(format!("{schema:#}\n"))
}
