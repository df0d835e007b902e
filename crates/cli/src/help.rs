//! Completeness of `--help`.

use clap::Command;

/// The commands below and including `command` whose help lacks examples or, unless they only group others, exit codes.
pub fn undocumented(command: &Command) -> Vec<String> {
    let mut found = Vec::new();
    check(command, command.get_name(), &mut found);
    found
}

fn check(command: &Command, name: &str, found: &mut Vec<String>) {
    let help = command.get_after_help().map(ToString::to_string);
    let help = help.unwrap_or_default();
    if !help.contains("Examples:\n  ") {
        found.push(format!("{name}: no examples"));
    }
    if !command.is_subcommand_required_set() && !help.contains("Exit codes: 0 ") {
        found.push(format!("{name}: no exit codes"));
    }
    for below in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        check(below, &format!("{name} {}", below.get_name()), found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_commands_without_examples_or_exit_codes() {
        let good = "Examples:\n  run\n\nExit codes: 0 done.";
        let command = Command::new("tool")
            .subcommand_required(true)
            .after_help("Examples:\n  tool run")
            .subcommand(Command::new("run").after_help(good))
            .subcommand(Command::new("stop").after_help("Exit codes: 0 stopped."))
            .subcommand(Command::new("worker").hide(true));
        assert_eq!(undocumented(&command), ["tool stop: no examples"]);
    }
}
