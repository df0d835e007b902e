//! One TOML file of a bundle while it is checked: collects findings with their places.

use crate::duration::parse_seconds;
use crate::error::{Finding, Problem};
use crate::spanned::Spanned;
use crate::toml_places;
use serde::de::DeserializeOwned;
use std::ops::{Range, RangeInclusive};
use vouchsafe_claims::{ClaimNames, NameFault};
use vouchsafe_providers::is_unprintable;

/// A file that parsed as `T`, and what was found wrong with it so far.
pub(crate) struct TomlFile<'a> {
    pub path: &'a str,
    text: &'a str,
    pub findings: Vec<Finding>,
}

/// The content as text.
pub(crate) fn utf8<'a>(path: &str, content: &'a [u8]) -> Result<&'a str, Finding> {
    std::str::from_utf8(content).map_err(|_| Finding::of_file(path, Problem::FileNotUtf8))
}

impl<'a> TomlFile<'a> {
    /// Parses `content` as `T`, whose unknown keys are errors.
    pub fn parse<T: DeserializeOwned>(
        path: &'a str,
        content: &'a [u8],
    ) -> Result<(Self, T), Finding> {
        let text = utf8(path, content)?;
        let parsed = toml::from_str(text).map_err(|error| {
            let problem = Problem::Toml(error.message().to_owned());
            match error.span() {
                Some(span) => Finding::within(path, text, span, problem),
                None => Finding::of_file(path, problem),
            }
        })?;
        Ok((
            Self {
                path,
                text,
                findings: Vec::new(),
            },
            parsed,
        ))
    }

    pub fn refuse(&mut self, span: Range<usize>, problem: Problem) {
        self.findings
            .push(Finding::within(self.path, self.text, span, problem));
    }

    /// As [`TomlFile::refuse`], of the text or key `wanted` within `span`.
    pub fn refuse_within(&mut self, span: Range<usize>, wanted: &str, problem: Problem) {
        let place = toml_places::text_within(self.text, &span, wanted);
        self.refuse(place.unwrap_or(span), problem);
    }

    /// The place of the value behind `path`, or the beginning.
    pub fn place(&self, path: &[&str]) -> Range<usize> {
        toml_places::value(self.text, path).unwrap_or_default()
    }

    /// Gives `value` if nothing was found.
    pub fn finish<T>(self, value: T) -> Result<T, Vec<Finding>> {
        if self.findings.is_empty() {
            Ok(value)
        } else {
            Err(self.findings)
        }
    }

    /// The seconds of a duration within `bounds`, or `default` where the key is absent.
    pub fn seconds(
        &mut self,
        key: &'static str,
        entry: Option<&Spanned<String>>,
        bounds: RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let Some(entry) = entry else { return default };
        let Some(value) = parse_seconds(entry.get_ref()) else {
            let value = entry.get_ref().clone();
            self.refuse(entry.span(), Problem::DurationInvalid { key, value });
            return default;
        };
        if !bounds.contains(&value) {
            let (min, max) = bounds.into_inner();
            self.refuse(
                entry.span(),
                Problem::OutOfBounds {
                    key,
                    value,
                    min,
                    max,
                },
            );
        }
        value
    }

    /// Checks a text that must not be empty, too long, or hold control or format characters.
    pub fn check_value(
        &mut self,
        key: &'static str,
        value: &str,
        span: Range<usize>,
        bytes_max: usize,
    ) {
        if value.is_empty() {
            self.refuse_within(span, value, Problem::Empty(key));
        } else if value.len() > bytes_max || value.chars().any(is_unprintable) {
            self.refuse_within(span, value, Problem::ValueInvalid { key, bytes_max });
        }
    }

    /// Adds the name of a claim to `names`.
    pub fn check_claim_name(&mut self, names: &mut ClaimNames, name: &str, span: Range<usize>) {
        let problem = match names.add(name) {
            Ok(()) => return,
            Err(NameFault::Malformed) => Problem::ClaimNameInvalid(name.to_owned()),
            Err(NameFault::Registered) => Problem::ClaimReserved(name.to_owned()),
            Err(NameFault::Repeated) => Problem::ClaimNameRepeated(name.to_owned()),
        };
        self.refuse_within(span, name, problem);
    }

    /// Refuses the second of two equal texts within `span`.
    fn refuse_again(&mut self, span: Range<usize>, double: &str) {
        let first = toml_places::text_within(self.text, &span, double);
        let rest = first.map_or(span.start, |first| first.end)..span.end;
        self.refuse_within(rest, double, Problem::DuplicateEntry(double.to_owned()));
    }

    /// Checks a list for its length and for entries that are there twice.
    pub fn check_list(&mut self, key: &'static str, list: &Spanned<Vec<String>>, max: usize) {
        if list.get_ref().len() > max {
            self.refuse(list.span(), Problem::TooMany { key, max });
            return;
        }
        let mut sorted: Vec<&String> = list.get_ref().iter().collect();
        sorted.sort_unstable();
        let doubles: Vec<String> = sorted
            .iter()
            .zip(sorted.iter().skip(1))
            .filter(|(one, next)| one == next)
            .map(|(one, _)| (*one).clone())
            .collect();
        for double in doubles {
            self.refuse_again(list.span(), &double);
        }
    }
}
