//! JUnit's XML, which CI systems show as a list of tests.
//!
//! The dialect that Jenkins, GitLab and GitHub's reporters read: `testsuites`, a `testsuite` per rule,
//! a `testcase` per case, `failure` where it came out otherwise and `error` where it could not be decided.

use crate::suite::{CaseResult, Suite, Verdict};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// The results of `suite` as a JUnit document; `elapsed` is what all of it took.
pub fn junit(suite: &Suite, elapsed: Duration) -> String {
    let mut groups: BTreeMap<&str, Vec<&CaseResult>> = BTreeMap::new();
    for result in &suite.results {
        groups.entry(&result.case.rule).or_default().push(result);
    }
    for rule in &suite.untested {
        groups.entry(rule).or_default();
    }
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let (failures, errors) = count(suite.results.iter());
    let failures = failures.saturating_add(suite.untested.len());
    let tests = suite.results.len().saturating_add(suite.untested.len());
    // Writing to a String cannot fail.
    let _ = writeln!(
        xml,
        "<testsuites name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{:.3}\">",
        escaped(&suite.bundle.name),
        elapsed.as_secs_f64(),
    );
    for (rule, results) in &groups {
        let untested = suite.untested.iter().any(|id| id == rule);
        group(&mut xml, rule, results, untested);
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn group(xml: &mut String, rule: &str, results: &[&CaseResult], untested: bool) {
    let (failures, errors) = count(results.iter().copied());
    let extra = usize::from(untested);
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{errors}\">",
        escaped(rule),
        results.len().saturating_add(extra),
        failures.saturating_add(extra),
    );
    for result in results {
        let name = result.case.path.trim_start_matches("tests/");
        let name = name.trim_start_matches(rule).trim_start_matches('/');
        let name = name.trim_end_matches(".toml");
        let head = format!(
            "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\"",
            escaped(rule),
            escaped(name),
            escaped(&result.case.path)
        );
        let _ = match &result.verdict {
            Verdict::Met => writeln!(xml, "{head}/>"),
            Verdict::Undecidable(reason) => writeln!(
                xml,
                "{head}>\n      <error message=\"{}\"/>\n    </testcase>",
                escaped(reason)
            ),
            Verdict::Unmet { expected, found } => writeln!(
                xml,
                "{head}>\n      <failure message=\"{}\"/>\n    </testcase>",
                escaped(&format!("expected {expected}, found {found}"))
            ),
        };
    }
    if untested {
        let _ = writeln!(
            xml,
            "    <testcase classname=\"{}\" name=\"determines a case\">\n      <failure message=\"no case is \
             determined by this rule\"/>\n    </testcase>",
            escaped(rule)
        );
    }
    xml.push_str("  </testsuite>\n");
}

/// Failures and errors.
fn count<'a>(results: impl Iterator<Item = &'a CaseResult>) -> (usize, usize) {
    let (mut failures, mut errors) = (0_usize, 0_usize);
    for result in results {
        match result.verdict {
            Verdict::Met => {}
            Verdict::Undecidable(_) => errors = errors.saturating_add(1),
            Verdict::Unmet { .. } => failures = failures.saturating_add(1),
        }
    }
    (failures, errors)
}

/// `text` as an attribute's value (XML 1.0 §2.3); what XML can't say at all becomes U+FFFD.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' | '\r' => escaped.push_str(&format!("&#{};", u32::from(character))),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            plain => escaped.push(plain),
        }
    }
    escaped
}
