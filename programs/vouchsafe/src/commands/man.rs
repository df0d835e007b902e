//! `vouchsafe man`: manual pages.

use std::path::PathBuf;
use std::process::ExitCode;
use vouchsafe_cli::Failure;

/// Print the manual page, or write the pages of all commands into a directory.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 printed or written, 2 the command line is wrong, or the directory can't be written.

Examples:
  vouchsafe man | man -l -
  vouchsafe man /usr/local/share/man/man1")]
pub struct Args {
    /// Write one page per command, such as vouchsafe-token.1, into this directory.
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

pub fn run(args: &Args, command: clap::Command) -> Result<ExitCode, Failure> {
    match &args.directory {
        None => {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(command).render(&mut page);
            rendered.map_err(|error| Failure::refused(error.to_string()))?;
            print!("{}", String::from_utf8_lossy(&page));
        }
        Some(directory) => {
            let written =
                std::fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(command, directory));
            written.map_err(|error| Failure::file(directory, error))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
