//! What a broker answers about revocations, and how people read it.

use crate::client::moment;
use crate::client::text::sanitize;
use serde::{Deserialize, Serialize};
use vouchsafe_cli::Failure;

/// No revocation after a dry run, and no count if the broker could not count in time.
#[derive(Debug, Deserialize, Serialize)]
pub struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Revocation>,
    pub affected: Option<Affected>,
}

/// A revocation. Absent conditions do not apply.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Revocation {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    pub block: bool,
    pub at: u64,
    pub actor: String,
    pub decision_id: String,
    pub reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifted: Option<Lifted>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Lifted {
    pub at: u64,
    pub actor: String,
    pub decision_id: String,
    pub reason: String,
}

/// Live tokens that are revoked.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Affected {
    pub tokens: u64,
    pub last_expires_at: Option<u64>,
    /// Whether all live tokens were counted.
    pub complete: bool,
    pub workloads: Vec<Workload>,
}

#[derive(Debug, Deserialize, Serialize)]
pub struct Workload {
    pub issuer: String,
    pub subject: String,
    pub audience: String,
    pub tokens: u64,
    pub last_expires_at: u64,
}

impl Revocation {
    /// The conditions in words: `issuer github, audience https://api.example, issued until 2027-01-15T08:00:00Z`.
    pub fn conditions(&self) -> String {
        let texts = [
            ("token", &self.token),
            ("issuer", &self.issuer),
            ("subject", &self.subject),
            ("audience", &self.audience),
            ("bundle", &self.bundle),
            ("kid", &self.kid),
        ];
        let texts = texts.into_iter().filter_map(|(name, text)| Some(format!("{name} {}", sanitize(text.as_ref()?))));
        let mut parts: Vec<_> = texts.collect();
        if parts.is_empty() {
            parts.push("all tokens".to_owned());
        }
        parts.extend(self.since.map(|at| format!("issued since {}", moment::show(at))));
        parts.extend(self.until.map(|at| format!("issued until {}", moment::show(at))));
        parts.join(", ")
    }

    /// `revoked`, `blocked` or `lifted`.
    pub fn state(&self) -> &'static str {
        match (self.block, &self.lifted) {
            (false, _) => "revoked",
            (true, None) => "blocked",
            (true, Some(_)) => "lifted",
        }
    }
}

/// `<prefix>-<Unix seconds>-<random>`, so that ids sort by time.
pub fn random_id(prefix: &str, now: u64) -> Result<String, Failure> {
    let random = getrandom::u32().map_err(|error| Failure::refused(format!("no randomness: {error}")))?;
    Ok(format!("{prefix}-{now}-{random:08x}"))
}

impl Affected {
    /// The count, and a line for each workload.
    pub fn lines(&self) -> Vec<String> {
        let at_least = if self.complete { "" } else { "at least " };
        let tokens = if self.tokens == 1 { "live token" } else { "live tokens" };
        let last = self.last_expires_at.map(|at| format!("; the last one expires at {}", moment::show(at)));
        let mut lines = vec![format!("{at_least}{} {tokens}{}", self.tokens, last.unwrap_or_default())];
        lines.extend(self.workloads.iter().map(|workload| {
            let Workload { issuer, subject, audience, tokens, last_expires_at } = workload;
            let (subject, audience) = (sanitize(subject), sanitize(audience));
            let until = moment::show(*last_expires_at);
            format!("  {tokens} of {}:{subject} for {audience}, until {until}", sanitize(issuer))
        }));
        let listed: u64 = self.workloads.iter().map(|workload| workload.tokens).sum();
        if listed < self.tokens {
            lines.push(format!("  {} of other workloads", self.tokens - listed));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 1_800_000_000;

    #[test]
    fn describes_conditions_in_words() {
        let text = |text: &str| Some(text.to_owned());
        let all = Revocation::default();
        assert_eq!(all.conditions(), "all tokens");
        let some =
            Revocation { issuer: text("github"), kid: text("k\u{1b}"), until: Some(AT), ..Revocation::default() };
        assert_eq!(some.conditions(), "issuer github, kid k\u{fffd}, issued until 2027-01-15T08:00:00Z");
    }

    #[test]
    fn names_the_state() {
        let state = |block, lifted| Revocation { block, lifted, ..Revocation::default() }.state();
        assert_eq!(state(false, None), "revoked");
        assert_eq!(state(true, None), "blocked");
        assert_eq!(state(true, Some(Lifted::default())), "lifted");
    }

    #[test]
    fn counts_what_is_not_listed() {
        let workload = |tokens| Workload {
            issuer: "github".into(),
            subject: "repo:a".into(),
            audience: "https://api.example".into(),
            tokens,
            last_expires_at: AT,
        };
        let affected = Affected {
            tokens: 5,
            last_expires_at: Some(AT),
            complete: false,
            workloads: vec![workload(2), workload(1)],
        };
        assert_eq!(
            affected.lines(),
            [
                "at least 5 live tokens; the last one expires at 2027-01-15T08:00:00Z",
                "  2 of github:repo:a for https://api.example, until 2027-01-15T08:00:00Z",
                "  1 of github:repo:a for https://api.example, until 2027-01-15T08:00:00Z",
                "  2 of other workloads",
            ]
        );
        let none = Affected { complete: true, ..Affected::default() };
        assert_eq!(none.lines(), ["0 live tokens"]);
    }
}
