//! The details of an exchange's log line beyond its outcome.

use crate::ports::Instance;
use crate::request::Grant;

/// The timed steps of one exchange, and its decision.
#[derive(Debug, Default)]
pub struct Trace {
    /// Decides which error codes the caller gets.
    pub grant: Grant,
    /// Present if a decision about a verified token was made.
    pub decision_id: Option<String>,
    /// The name of the issuer file whose `issuer` the token names. Before the token is verified, anyone can name any.
    pub issuer: Option<String>,
    /// The requested audience, if the bundle has it.
    pub audience: Option<String>,
    pub determining_rules: Vec<String>,
    pub erring_rules: Vec<String>,
    /// Name and microseconds of each step.
    pub steps: Vec<(&'static str, u64)>,
    last_us: u64,
}

impl Trace {
    pub(crate) fn start(ports: &impl Instance) -> Self {
        Self { last_us: ports.elapsed_us(), ..Self::default() }
    }

    /// Ends the step `name`.
    pub(crate) fn step(&mut self, ports: &impl Instance, name: &'static str) {
        let now = ports.elapsed_us();
        self.steps.push((name, now.saturating_sub(self.last_us)));
        self.last_us = now;
    }

    pub(crate) fn note_policies(&mut self, determining: &[String], erring: &[String]) {
        self.determining_rules = determining.to_vec();
        self.erring_rules = erring.to_vec();
    }

    /// The steps so far, for the audit record.
    pub(crate) fn timings(&self) -> Vec<(String, u64)> {
        self.steps.iter().map(|(name, us)| ((*name).to_owned(), *us)).collect()
    }
}
