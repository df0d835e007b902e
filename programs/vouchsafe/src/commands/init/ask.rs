//! Prompts for values that no flag sets. Each answer is checked at once, and asked for again if it is wrong.

use std::io::BufRead;
use vouchsafe_cli::Failure;

pub struct Asker<'a> {
    /// Whether someone can answer.
    pub terminal: bool,
    pub input: &'a mut dyn BufRead,
}

/// Says what is wrong with a value.
pub type Check<'c> = &'c dyn Fn(&str) -> Result<(), String>;

impl Asker<'_> {
    /// The flag's value, or an answer, or the default where nobody can answer.
    pub fn value(
        &mut self,
        what: &str,
        flag: &str,
        given: Option<&str>,
        default: Option<&str>,
        check: Check<'_>,
    ) -> Result<String, Failure> {
        let default = given.or(default);
        if given.is_some() || !self.terminal {
            let value = default.ok_or_else(|| missing(what, flag))?;
            check(value).map_err(|why| Failure::usage(why).hint(format!("it comes from `{flag}`")))?;
            return Ok(value.to_owned());
        }
        loop {
            match default {
                Some(default) => eprint!("{what} [{default}]: "),
                None => eprint!("{what}: "),
            }
            let mut line = String::new();
            let read = self.input.read_line(&mut line);
            if read.map_err(|error| Failure::usage(format!("cannot read an answer: {error}")))? == 0 {
                return Err(missing(what, flag));
            }
            let answer = match line.trim() {
                "" => default.unwrap_or_default(),
                answer => answer,
            };
            match check(answer) {
                Ok(()) => return Ok(answer.to_owned()),
                Err(why) => eprintln!("{why}"),
            }
        }
    }
}

fn missing(what: &str, flag: &str) -> Failure {
    Failure::usage(format!("missing {what}")).hint(format!("add `{flag}`"))
}
