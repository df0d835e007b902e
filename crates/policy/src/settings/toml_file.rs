//! A TOML file of a bundle while it is being checked: collects diagnostics with their positions.

use crate::bundle::files::utf8;
use crate::diagnostics::spanned::Spanned;
use crate::diagnostics::{BundleError, Diagnostic, toml_span};
use crate::settings::duration::parse_seconds;
use serde::de::DeserializeOwned;
use std::ops::{Range, RangeInclusive};
use vouchsafe_claims::{ClaimNames, NameFault};
use vouchsafe_providers::is_unprintable;

/// A parsed file and the errors found in it so far.
pub struct TomlFile<'a, E = BundleError> {
    pub path: &'a str,
    text: &'a str,
    pub diagnostics: Vec<Diagnostic<E>>,
}

impl<'a, E: From<BundleError>> TomlFile<'a, E> {
    /// Parses `content` as `T`. Unknown keys are errors if `T` denies them.
    pub fn parse<T: DeserializeOwned>(path: &'a str, content: &'a [u8]) -> Result<(Self, T), Diagnostic> {
        let text = utf8(path, content)?;
        let parsed = toml::from_str(text).map_err(|error| {
            let problem = BundleError::Toml(error.message().to_owned());
            match error.span() {
                Some(span) => Diagnostic::within(path, text, span, problem),
                None => Diagnostic::of_file(path, problem),
            }
        })?;
        Ok((Self { path, text, diagnostics: Vec::new() }, parsed))
    }

    /// Records an error at `span`.
    pub fn refuse(&mut self, span: Range<usize>, error: impl Into<E>) {
        self.diagnostics.push(Diagnostic::within(self.path, self.text, span, error.into()));
    }

    /// Records an error at the string or key `wanted` within `span`.
    pub fn refuse_within(&mut self, span: Range<usize>, wanted: &str, error: impl Into<E>) {
        let found = toml_span::text_within(self.text, &span, wanted);
        self.refuse(found.unwrap_or(span), error);
    }

    /// The span of the value at `path`, or the start of the file.
    pub fn span_of(&self, path: &[&str]) -> Range<usize> {
        toml_span::value(self.text, path).unwrap_or_default()
    }

    /// Returns `value` if no error was recorded.
    pub fn finish<T>(self, value: T) -> Result<T, Vec<Diagnostic<E>>> {
        if self.diagnostics.is_empty() { Ok(value) } else { Err(self.diagnostics) }
    }

    /// The seconds of a duration within `bounds`, or `default` if the key is absent.
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
            self.refuse(entry.span(), BundleError::DurationInvalid { key, value });
            return default;
        };
        if !bounds.contains(&value) {
            let (min, max) = bounds.into_inner();
            self.refuse(entry.span(), BundleError::OutOfBounds { key, value, min, max });
        }
        value
    }

    /// Refuses an empty string, one that is too long, and control or format characters.
    pub fn check_value(&mut self, key: &'static str, value: &str, span: Range<usize>, bytes_max: usize) {
        if value.is_empty() {
            self.refuse_within(span, value, BundleError::Empty(key));
        } else if value.len() > bytes_max || value.chars().any(is_unprintable) {
            self.refuse_within(span, value, BundleError::ValueInvalid { key, bytes_max });
        }
    }

    /// Adds a claim name to `names`, or records why it cannot be one.
    pub fn check_claim_name(&mut self, names: &mut ClaimNames, name: &str, span: Range<usize>) {
        let error = match names.add(name) {
            Ok(()) => return,
            Err(NameFault::Malformed) => BundleError::ClaimNameInvalid(name.to_owned()),
            Err(NameFault::Registered) => BundleError::ClaimReserved(name.to_owned()),
            Err(NameFault::Repeated) => BundleError::ClaimNameRepeated(name.to_owned()),
        };
        self.refuse_within(span, name, error);
    }

    /// Refuses the second of two equal strings within `span`.
    fn refuse_duplicate(&mut self, span: Range<usize>, double: &str) {
        let first = toml_span::text_within(self.text, &span, double);
        let rest = first.map_or(span.start, |first| first.end)..span.end;
        self.refuse_within(rest, double, BundleError::DuplicateEntry(double.to_owned()));
    }

    /// Refuses a list that is too long or has duplicate entries.
    pub fn check_list(&mut self, key: &'static str, list: &Spanned<Vec<String>>, max: usize) {
        if list.get_ref().len() > max {
            self.refuse(list.span(), BundleError::TooMany { key, max });
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
            self.refuse_duplicate(list.span(), &double);
        }
    }
}
