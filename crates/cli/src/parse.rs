//! Parses the command line. What was probably meant comes first.

use clap::Parser;
use clap::error::{ContextKind, ContextValue, Error};

/// The arguments of this process. Prints help, a version or an error, and exits, if they say or are so.
pub fn parse<T: Parser>() -> T {
    T::try_parse().unwrap_or_else(|error| closest_first(error).exit())
}

/// The error with the most similar suggestion first. Clap sorts by ascending similarity.
fn closest_first(mut error: Error) -> Error {
    for kind in [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue] {
        if let Some(ContextValue::Strings(names)) = error.get(kind) {
            let names = names.iter().rev().cloned().collect();
            error.insert(kind, ContextValue::Strings(names));
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;

    #[test]
    fn suggests_the_closest_first() {
        let command = Command::new("policy").subcommands(["check", "schema", "test"].map(Command::new));
        let error = command.try_get_matches_from(["policy", "chek"]).expect_err("must refuse an unknown command");
        let text = closest_first(error).to_string();
        let tip = "tip: some similar subcommands exist: 'check', 'schema'\n";
        assert!(text.contains(tip), "{text}");
    }
}
