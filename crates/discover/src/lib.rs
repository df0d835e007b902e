//! Finds long-lived secrets in workflows, manifests and files of variables, and says what replaces each.
//!
//! Reads text, and no files. Entry point: [`scan`].
//!
//! Invariant: a finding has the place, the kind and the name of a secret, never a value or part of one.
//!
//! A finding is a hint for people, and not a proof: a name says what a variable is for, not what is in it. What is made
//! while a job runs, by a command or an earlier step, is left out.
//!
//! ```
//! use vouchsafe_discover::scan;
//!
//! let found = scan("env:\n  AWS_SECRET_ACCESS_KEY: ${{ secrets.AWS_SECRET_ACCESS_KEY }}\n");
//! assert_eq!((found[0].line, found[0].name.as_str()), (2, "AWS_SECRET_ACCESS_KEY"));
//! assert_eq!(found[0].kind.view, Some("aws"));
//! ```

mod kinds;
mod lines;

pub use kinds::Kind;

use std::collections::BTreeSet;

/// A place with a long-lived secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// From 1.
    pub line: usize,
    pub kind: &'static Kind,
    /// The variable that has the secret; empty if the text has the secret itself.
    pub name: String,
}

/// The secrets that `text` has or names: at most one of each kind per line, in the order of lines.
#[must_use]
pub fn scan(text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let mut kinds = BTreeSet::new();
        // Values first: they say more than the names beside them.
        let values = lines::values(line).map(|kind| (kind, ""));
        for (kind, name) in values.chain(lines::names(line)) {
            if kinds.insert(kind.code) {
                found.push(Finding { line: number, kind, name: name.to_owned() });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
