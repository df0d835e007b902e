//! Recorded decisions that are decided again.

use crate::commands::policy::audit;
use std::collections::BTreeMap;
use std::path::Path;
use vouchsafe_cli::Failure;
use vouchsafe_policy_tools::RecordedRequest;
use vouchsafe_policy_tools::diff::{Change, Subject};

/// The requests of recorded decisions.
#[derive(Default)]
pub struct Replay {
    /// By the id of the decision.
    pub requests: Vec<(String, RecordedRequest)>,
    /// How many decisions each record counts, and when the last one was made.
    counts: BTreeMap<String, (u64, u64)>,
    /// Records that cannot be parsed.
    pub unreadable: usize,
}

/// Changed decisions of one workload for one audience.
pub struct Group<'a> {
    /// The `sub` of issued tokens, unless the issuer has a template for it.
    pub subject: String,
    pub audience: &'a str,
    pub old: &'a str,
    pub new: &'a str,
    pub decisions: u64,
    /// In Unix seconds.
    pub last_at: u64,
}

impl Replay {
    /// Reads the decisions in `state` of the last `since`.
    pub fn read(state: &Path, since: Option<&str>) -> Result<Self, Failure> {
        let mut replay = Self::default();
        for record in audit::of_last(state, since)? {
            match RecordedRequest::parse(&record.cedar_request) {
                Ok(request) => {
                    let count = (record.repeats.saturating_add(1), record.last_at_ms / 1000);
                    replay.counts.insert(record.decision_id.clone(), count);
                    replay.requests.push((record.decision_id, request));
                }
                Err(_) => replay.unreadable += 1,
            }
        }
        Ok(replay)
    }

    /// The changed decisions among `changes`, grouped by workload, audience and result. The largest group
    /// comes first.
    pub fn groups<'a>(&'a self, changes: impl Iterator<Item = &'a Change>) -> Vec<Group<'a>> {
        let requests: BTreeMap<&str, &RecordedRequest> =
            self.requests.iter().map(|(id, request)| (id.as_str(), request)).collect();
        let mut groups: BTreeMap<(String, &str, &str, &str), Group<'_>> = BTreeMap::new();
        for change in changes.filter(|change| change.subject == Subject::Recorded) {
            let Some(RecordedRequest { principal, request, .. }) = requests.get(change.name.as_str()) else {
                continue;
            };
            let subject = format!("{}:{}", principal.issuer_name, principal.id);
            let audience = request.audience.as_str();
            let (old, new) = (change.old.as_str(), change.new.as_str());
            let (decisions, last_at) = self.counts.get(&change.name).copied().unwrap_or((1, 0));
            let group = groups.entry((subject.clone(), audience, old, new));
            let group = group.or_insert(Group { subject, audience, old, new, decisions: 0, last_at: 0 });
            group.decisions = group.decisions.saturating_add(decisions);
            group.last_at = group.last_at.max(last_at);
        }
        let mut groups: Vec<Group<'_>> = groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.decisions));
        groups
    }
}
