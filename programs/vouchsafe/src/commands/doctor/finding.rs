//! What a check found, as text and as JSON.

use crate::client::text::sanitize;
use serde_json::{Value, json};

/// The result of one check.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    /// What was checked.
    pub what: String,
    /// What was found.
    pub why: String,
    /// What to do about it.
    pub fix: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Ok,
    Warning,
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// The escape sequence that sets its color.
    fn color(self) -> &'static str {
        match self {
            Self::Ok => "\u{1b}[32m",
            Self::Warning => "\u{1b}[33m",
            Self::Error => "\u{1b}[31m",
        }
    }
}

impl Finding {
    pub fn ok(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { level: Level::Ok, what: what.into(), why: why.into(), fix: None }
    }

    pub fn warning(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::ok(what, why) }
    }

    pub fn error(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { level: Level::Error, ..Self::ok(what, why) }
    }

    pub fn fix(self, fix: impl Into<Option<String>>) -> Self {
        Self { fix: fix.into(), ..self }
    }
}

/// An error for each line of a message, as `serve` prints several faults. The last one has what to do about all.
pub fn of_lines(what: &str, message: &str, fix: Option<String>) -> Vec<Finding> {
    let of = |line: &str| Finding::error(what, line.trim_start_matches("error: "));
    let mut findings: Vec<Finding> = message.lines().map(of).collect();
    if let Some(last) = findings.last_mut() {
        last.fix = fix;
    }
    findings
}

/// A line for each finding, and one for what to do about it. Servers choose parts of the text, so it is made safe for a
/// terminal.
pub fn text(findings: &[Finding], colors: bool) -> String {
    let mut text = String::new();
    for Finding { level, what, why, fix } in findings {
        let name = format!("{:<7}", level.name());
        let name = match colors {
            true => format!("{}{name}\u{1b}[0m", level.color()),
            false => name,
        };
        text.push_str(&format!("{name}  {}: {}\n", sanitize(what), sanitize(why)));
        if let Some(fix) = fix {
            text.push_str(&format!("         hint: {}\n", sanitize(fix)));
        }
    }
    text
}

pub fn json(findings: &[Finding]) -> Value {
    let well = findings.iter().all(|finding| finding.level != Level::Error);
    let each = findings.iter().map(|finding| {
        json!({ "what": finding.what, "result": finding.level.name(), "why": finding.why, "fix": finding.fix })
    });
    json!({ "well": well, "findings": each.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> [Finding; 3] {
        [
            Finding::ok("clock", "fine"),
            Finding::warning("state", "little space"),
            Finding::error("issuer `a`", "down\u{1b}[2J").fix("wait".to_owned()),
        ]
    }

    #[test]
    fn text_has_levels_and_hints() {
        assert_eq!(
            text(&findings(), false),
            "ok       clock: fine\nwarning  state: little space\n\
             error    issuer `a`: down\u{fffd}[2J\n         hint: wait\n"
        );
        assert!(text(&findings(), true).starts_with("\u{1b}[32mok     \u{1b}[0m  clock: fine\n"));
    }

    #[test]
    fn several_faults_are_several_findings() {
        let findings =
            of_lines("configuration", "`a` has no value\nerror: `b` has no value", Some("set both".to_owned()));
        assert_eq!(
            text(&findings, false),
            "error    configuration: `a` has no value\nerror    configuration: `b` has no value\n         hint: set both\n"
        );
    }

    #[test]
    fn json_has_every_finding() {
        let json = json(&findings());
        assert_eq!((&json["well"], json["findings"].as_array().map(Vec::len)), (&false.into(), Some(3)));
        let expected = json!({ "what": "clock", "result": "ok", "why": "fine", "fix": null });
        assert_eq!(json["findings"][0], expected);
        assert_eq!(json["findings"][2]["fix"], "wait");
        assert_eq!(super::json(&findings()[..2])["well"], true, "a warning is no error");
    }
}
