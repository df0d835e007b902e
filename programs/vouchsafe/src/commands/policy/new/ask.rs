//! Prompts for values that no flag sets.

use std::io::BufRead;
use vouchsafe_cli::Failure;

pub struct Asker<'a> {
    /// Whether someone can answer.
    pub terminal: bool,
    pub input: &'a mut dyn BufRead,
}

impl Asker<'_> {
    /// The flag's value, or an answer.
    pub fn text(&mut self, what: &str, flag: &str, given: Option<&String>) -> Result<String, Failure> {
        if let Some(given) = given {
            return Ok(given.clone());
        }
        if !self.terminal {
            return Err(missing(what, flag));
        }
        match self.answer(what)? {
            answer if answer.is_empty() => Err(missing(what, flag)),
            answer => Ok(answer),
        }
    }

    /// An answer, if someone can and does answer.
    pub fn optional(&mut self, what: &str) -> Result<Option<String>, Failure> {
        if !self.terminal {
            return Ok(None);
        }
        Ok(Some(self.answer(what)?).filter(|answer| !answer.is_empty()))
    }

    /// The flag's values, or answers until an empty one. May be empty.
    pub fn list(&mut self, what: &str, given: &[String]) -> Result<Vec<String>, Failure> {
        if !given.is_empty() || !self.terminal {
            return Ok(given.to_vec());
        }
        let mut answers = Vec::new();
        loop {
            match self.answer(&format!("{what} (one per line, empty to finish)"))? {
                answer if answer.is_empty() => return Ok(answers),
                answer => answers.push(answer),
            }
        }
    }

    /// Like [`Asker::list`], but not empty.
    pub fn some(&mut self, what: &str, flag: &str, given: &[String]) -> Result<Vec<String>, Failure> {
        let answers = self.list(what, given)?;
        match answers.is_empty() {
            true => Err(missing(what, flag)),
            false => Ok(answers),
        }
    }

    fn answer(&mut self, what: &str) -> Result<String, Failure> {
        eprint!("{what}: ");
        let mut line = String::new();
        let read = self.input.read_line(&mut line);
        read.map_err(|error| Failure::usage(format!("cannot read an answer: {error}")))?;
        Ok(line.trim().to_owned())
    }
}

fn missing(what: &str, flag: &str) -> Failure {
    Failure::usage(format!("missing {what}")).hint(format!("add `{flag}`"))
}
