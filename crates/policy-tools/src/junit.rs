//! JUnit XML, which CI systems show as a list of tests.
//!
//! Uses the dialect that Jenkins, GitLab and GitHub's reporters read: a `testsuite` per policy, a `testcase` per case,
//! with `failure` if it was not met and `error` if it could not be decided.

use crate::suite::{CaseResult, Suite, Verdict};
use crate::xml::escaped;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// The results of `suite` as a JUnit document; `elapsed` is the time of the whole run.
pub fn junit(suite: &Suite, elapsed: Duration) -> String {
    let mut groups: BTreeMap<&str, Vec<&CaseResult>> = BTreeMap::new();
    for result in &suite.results {
        groups.entry(&result.case.policy).or_default().push(result);
    }
    for policy in &suite.untested {
        groups.entry(policy).or_default();
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
    for (policy, results) in &groups {
        let untested = suite.untested.iter().any(|id| id == policy);
        group(&mut xml, policy, results, untested);
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn group(xml: &mut String, policy: &str, results: &[&CaseResult], untested: bool) {
    let (failures, errors) = count(results.iter().copied());
    let extra = usize::from(untested);
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{errors}\">",
        escaped(policy),
        results.len().saturating_add(extra),
        failures.saturating_add(extra),
    );
    for result in results {
        let name = result.case.path.trim_start_matches("tests/");
        let name = name.trim_start_matches(policy).trim_start_matches('/');
        let name = name.trim_end_matches(".toml");
        let head = format!(
            "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\"",
            escaped(policy),
            escaped(name),
            escaped(&result.case.path)
        );
        let _ = match &result.verdict {
            Verdict::Met => writeln!(xml, "{head}/>"),
            Verdict::Undecidable(reason) => {
                writeln!(xml, "{head}>\n      <error message=\"{}\"/>\n    </testcase>", escaped(reason))
            }
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
            "    <testcase classname=\"{}\" name=\"determines a case\">\n      <failure message=\"this policy \
             determines no case\"/>\n    </testcase>",
            escaped(policy)
        );
    }
    xml.push_str("  </testsuite>\n");
}

/// The numbers of failures and errors.
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
