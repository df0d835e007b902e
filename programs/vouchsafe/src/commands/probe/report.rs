//! The results of a probe, for people and for programs.

use super::checks::{Check, Verdict};
use serde_json::json;

#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Format {
    Json,
    Table,
}

pub fn print(broker: &str, audience: &str, checks: &[Check], format: Format) {
    let passed = checks.iter().all(|check| check.verdict != Verdict::Failed);
    match format {
        Format::Json => {
            println!("{}", json!({ "broker": broker, "audience": audience, "passed": passed, "checks": checks }));
        }
        Format::Table => {
            println!("{:<8} {:<32} {:<22} SEEN", "RESULT", "CHECK", "MUST BE");
            for check in checks {
                println!("{:<8} {:<32} {:<22} {}", word(check.verdict), check.name, check.expected, check.detail);
            }
            for check in checks.iter().filter(|check| check.verdict == Verdict::Failed) {
                if let Some(id) = &check.decision_id {
                    println!("{}: the broker's log has the reason under decision {id}", check.name);
                }
                if let Some(hint) = &check.hint {
                    println!("{}: hint: {hint}", check.name);
                }
            }
        }
    }
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Failed => "FAILED",
        Verdict::NotRun => "not run",
        Verdict::Passed => "ok",
    }
}
