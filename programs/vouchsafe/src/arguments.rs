//! Variables that stand for options of the command line.

use clap::error::{ContextKind, ContextValue, Error};
use clap::{Arg, Command};
use std::ffi::{OsStr, OsString};

/// Ignores variables that are set to nothing: CI systems set undefined ones so.
pub fn without_empty_variables(command: Command, value: &dyn Fn(&OsStr) -> Option<OsString>) -> Command {
    let ignore = |arg: Arg| match arg.get_env().and_then(value) {
        Some(value) if value.is_empty() => arg.env(None::<&str>),
        _ => arg,
    };
    command.mut_args(ignore).mut_subcommands(|below| without_empty_variables(below, value))
}

/// Names the variable that a rejected value comes from.
pub fn name_variable(error: &mut Error, command: &Command, value: &dyn Fn(&OsStr) -> Option<OsString>) {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let (Some(option), Some(rejected)) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue)) else {
        return;
    };
    let is_source = |name: &OsStr| value(name).is_some_and(|value| value == rejected.as_str());
    if let Some(variable) = variable_of(command, &option, &is_source) {
        error.insert(ContextKind::InvalidArg, ContextValue::String(format!("{variable} ({option})")));
    }
}

/// The variable of an option that an error shows as `--option <VALUE>`.
fn variable_of(command: &Command, option: &str, is_source: &dyn Fn(&OsStr) -> bool) -> Option<String> {
    let long = option.strip_prefix("--").and_then(|text| text.split([' ', '=']).next());
    let of = |arg: &Arg| {
        let variable = arg.get_env().filter(|name| arg.get_long() == long && is_source(name))?;
        Some(variable.to_string_lossy().into_owned())
    };
    let found = command.get_arguments().find_map(of);
    found.or_else(|| command.get_subcommands().find_map(|below| variable_of(below, option, is_source)))
}

#[cfg(test)]
mod tests {
    use super::*;

    // A variable that every test process has.
    const VARIABLE: &str = "CARGO_MANIFEST_DIR";

    fn command() -> Command {
        let tries = Arg::new("tries").long("tries").env(VARIABLE).value_parser(clap::value_parser!(u32));
        Command::new("tool").subcommand(Command::new("run").arg(tries))
    }

    #[test]
    fn empty_variable_counts_as_unset() {
        let tries = |value: &str| {
            let command = without_empty_variables(command(), &|_| Some(value.into()));
            let found = command.try_get_matches_from(["tool", "run"])?;
            let (_, run) = found.subcommand().expect("a subcommand");
            Ok::<_, Error>(run.get_one::<u32>("tries").copied())
        };
        assert_eq!(tries("").expect("no value"), None);
        tries("x").expect_err("the variable has another value");
    }

    #[test]
    fn error_names_the_variable() {
        let value = |name: &OsStr| std::env::var_os(name);
        let shown = |arguments: &[&str]| {
            let mut error = command().try_get_matches_from(arguments).expect_err("not a number");
            name_variable(&mut error, &command(), &value);
            error.to_string()
        };
        let text = shown(&["tool", "run"]);
        assert!(text.contains("for 'CARGO_MANIFEST_DIR (--tries <tries>)'"), "{text}");
        let text = shown(&["tool", "run", "--tries", "x"]);
        assert!(text.contains("invalid value 'x' for '--tries <tries>'"), "{text}");
    }
}
