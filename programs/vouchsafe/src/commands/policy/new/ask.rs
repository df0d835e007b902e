//! Prompts for values that no flag sets. Each answer is checked at once, and asked for again if it is wrong.

use std::io::{BufRead, Write};
use vouchsafe_cli::Failure;

pub struct Asker<'a> {
    /// Whether someone can answer.
    pub terminal: bool,
    pub input: &'a mut dyn BufRead,
    /// Where prompts go.
    pub prompts: &'a mut dyn Write,
}

/// What is asked for.
pub struct Question<'a> {
    pub what: &'a str,
    /// The flag with its value, such as `--claim NAME=VALUE`.
    pub flag: &'a str,
    /// Answers that are possible, as far as they are known.
    pub choices: Vec<String>,
}

impl Asker<'_> {
    /// The flag's value, or an answer.
    pub fn one<T>(
        &mut self,
        question: &Question<'_>,
        given: Option<&String>,
        mut check: impl FnMut(&str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        match given {
            Some(given) => check(given).map_err(Failure::usage),
            None => self.answer(question, "", &mut check)?.ok_or_else(|| missing(question)),
        }
    }

    /// The flag's value, or an answer if someone can and does answer.
    pub fn optional<T>(
        &mut self,
        question: &Question<'_>,
        mut check: impl FnMut(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        let mut optional = |answer: &str| if answer.is_empty() { Ok(None) } else { check(answer).map(Some) };
        Ok(self.answer(question, ", or empty", &mut optional)?.flatten())
    }

    /// The flag's values, or answers until an empty one. May be empty.
    pub fn list<T>(
        &mut self,
        question: &Question<'_>,
        given: &[String],
        mut check: impl FnMut(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Failure> {
        if !given.is_empty() {
            return given.iter().map(|value| check(value).map_err(Failure::usage)).collect();
        }
        let mut optional = |answer: &str| if answer.is_empty() { Ok(None) } else { check(answer).map(Some) };
        let mut answers = Vec::new();
        let further = Question { what: "one more", choices: Vec::new(), ..*question };
        loop {
            let question = if answers.is_empty() { question } else { &further };
            match self.answer(question, ", or empty to finish", &mut optional)?.flatten() {
                Some(answer) => answers.push(answer),
                None => return Ok(answers),
            }
        }
    }

    /// Like [`Asker::list`], but not empty.
    pub fn some<T>(
        &mut self,
        question: &Question<'_>,
        given: &[String],
        mut check: impl FnMut(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Failure> {
        if !given.is_empty() {
            return self.list(question, given, check);
        }
        let mut answers = vec![self.one(question, None, &mut check)?];
        let further = Question { what: "one more", choices: Vec::new(), ..*question };
        answers.extend(self.list(&further, &[], check)?);
        Ok(answers)
    }

    /// The first answer that passes `check`; none if nobody answers.
    fn answer<T>(
        &mut self,
        question: &Question<'_>,
        or: &str,
        check: &mut dyn FnMut(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        let failed = |error: std::io::Error| Failure::usage(format!("cannot read an answer: {error}"));
        let known = match question.choices.as_slice() {
            [] => String::new(),
            choices => format!(" ({})", choices.join(", ")),
        };
        while self.terminal {
            write!(self.prompts, "{}{known}{or}: ", question.what)
                .and_then(|()| self.prompts.flush())
                .map_err(failed)?;
            let mut line = String::new();
            if self.input.read_line(&mut line).map_err(failed)? == 0 {
                return Ok(None);
            }
            match check(line.trim()) {
                Ok(answer) => return Ok(Some(answer)),
                Err(wrong) => writeln!(self.prompts, "error: {wrong}").map_err(failed)?,
            }
        }
        Ok(None)
    }
}

fn missing(question: &Question<'_>) -> Failure {
    let failure = Failure::usage(format!("`{}` is missing", question.flag));
    match question.choices.as_slice() {
        [] => failure,
        choices => failure.hint(format!("{}: {}", question.what, choices.join(", "))),
    }
}
