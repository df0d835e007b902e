//! `vouchsafe completions`: completion scripts for shells.

use clap_complete::Shell;
use std::process::ExitCode;
use vouchsafe_cli::Failure;

/// Print a completion script for a shell.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 printed, 2 the command line is wrong.

Examples:
  vouchsafe completions bash > ~/.local/share/bash-completion/completions/vouchsafe
  vouchsafe completions zsh > /usr/local/share/zsh/site-functions/_vouchsafe
  vouchsafe completions fish > ~/.config/fish/completions/vouchsafe.fish")]
pub struct Args {
    /// The shell.
    shell: Shell,
}

pub fn run(args: &Args, mut command: clap::Command) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    print!("{}", String::from_utf8_lossy(&script));
    Ok(ExitCode::SUCCESS)
}
