//! `vouchsafe incident report`: what a key, a workload or a time has to do with, for a postmortem.

use crate::client::moment::{self, Moment};
use crate::client::text::sanitize;
use crate::commands::audit::export::Records;
use crate::commands::audit::record::Record;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format, clock};

/// Most events of the timeline.
const EVENTS_MAX: usize = 10_000;

/// Report which tokens, workloads and audiences an incident concerns, with a timeline.
///
/// Reads the audit records; changes nothing. At least one of --kid, --subject and --since says what the incident is about.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 reported, also if there is nothing, 2 the database cannot be read or the command line is wrong.

Examples:
  vouchsafe incident report /var/lib/vouchsafe --kid 4fKQ --since 24h
  vouchsafe incident report /var/lib/vouchsafe --issuer github --subject repo:acme/app --format json >incident.json")]
pub struct Args {
    /// A state directory, a database, or the address of a PostgreSQL database, or @FILE with it.
    #[arg(value_name = "DB")]
    database: String,
    /// Only tokens that this key signed.
    #[arg(long, value_name = "KID", required_unless_present_any = ["subject", "since"])]
    kid: Option<String>,
    /// Only decisions about this workload: the `sub` of its tokens without `<issuer>:`.
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Only decisions about workloads of this issuer.
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// Only what happened at this moment or later: a time, or a duration before now.
    #[arg(long, value_name = "MOMENT", value_parser = moment::parse)]
    since: Option<Moment>,
    /// Only what happened before this moment.
    #[arg(long, value_name = "MOMENT", value_parser = moment::parse)]
    until: Option<Moment>,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// What the records show.
#[derive(Default)]
struct Report {
    tokens: u64,
    live: u64,
    last_expiry: u64,
    refusals: BTreeMap<String, u64>,
    /// Tokens by issuer and subject.
    workloads: BTreeMap<(String, String), u64>,
    audiences: BTreeMap<String, u64>,
    kids: BTreeMap<String, u64>,
    bundles: BTreeMap<String, u64>,
    /// Time, kind and what happened.
    events: Vec<(u64, &'static str, Value)>,
    is_cut: bool,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let now = clock::unix_seconds()?;
    let mut records = Records::open(&args.database)?;
    let mut report = Report::default();
    // ORDER: operations first, which are few, so that they are in a timeline that is cut.
    records.each_operation(|operation| {
        if args.is_about(operation, now) {
            report.operation(operation);
        }
    })?;
    records.each(|record| {
        if args.concerns(record, now) {
            report.add(record, now);
        }
    })?;
    report.events.sort_by_key(|(at, ..)| *at);
    match args.format {
        Format::Json => println!("{:#}", report.json()),
        Format::Text => report.text().iter().for_each(|line| println!("{line}")),
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn includes(&self, ms: u64, now: u64) -> bool {
        let since = self.since.is_none_or(|it| ms >= it.seconds(now).saturating_mul(1000));
        since && self.until.is_none_or(|it| ms < it.seconds(now).saturating_mul(1000))
    }

    fn concerns(&self, record: &Record, now: u64) -> bool {
        let is = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|it| it == record.text(name));
        let last = record.number("decided_at_ms").max(record.number("last_at_ms"));
        is(&self.kid, "kid")
            && is(&self.subject, "subject")
            && is(&self.issuer, "issuer_name")
            && self.includes(last, now)
    }

    /// Whether an operation may concern the same: each of its conditions is that of the incident, or is absent.
    fn is_about(&self, operation: &Record, now: u64) -> bool {
        let may_be = |wanted: &Option<String>, name: &str| match (wanted, operation.text(name)) {
            (Some(wanted), found) if !found.is_empty() => wanted == found,
            _ => true,
        };
        may_be(&self.kid, "kid")
            && may_be(&self.subject, "subject")
            && may_be(&self.issuer, "issuer_name")
            && self.includes(operation.number("at").saturating_mul(1000), now)
    }
}

impl Report {
    fn add(&mut self, record: &Record, now: u64) {
        let text = |name: &str| record.text(name).to_owned();
        if record.text("outcome") == "issued" {
            let expires = record.number("expires_at");
            self.tokens += 1;
            self.live += u64::from(expires > now);
            self.last_expiry = self.last_expiry.max(expires);
            *self.workloads.entry((text("issuer_name"), text("subject"))).or_default() += 1;
            *self.audiences.entry(text("audience")).or_default() += 1;
            *self.kids.entry(text("kid")).or_default() += 1;
        } else {
            *self.refusals.entry(text("slug")).or_default() += 1 + record.number("repeats");
        }
        *self.bundles.entry(text("bundle_digest")).or_default() += 1;
        let about = ["decision_id", "slug", "issuer_name", "subject", "audience", "kid", "expires_at", "repeats"];
        self.event(record.number("decided_at_ms"), "decision", record, &about);
    }

    fn operation(&mut self, operation: &Record) {
        let about = ["operation", "revocation_id", "issuer_name", "subject", "audience", "kid", "actor", "reason"];
        self.event(operation.number("at").saturating_mul(1000), "operation", operation, &about);
    }

    fn event(&mut self, at_ms: u64, kind: &'static str, row: &Record, about: &[&str]) {
        if self.events.len() >= EVENTS_MAX {
            self.is_cut = true;
            return;
        }
        let member = |name: &&str| {
            let value = row.columns.get(*name)?;
            let is_empty = value.is_null() || value == "" || value == 0;
            (!is_empty).then(|| ((*name).to_owned(), value.clone()))
        };
        let about: serde_json::Map<String, Value> = about.iter().filter_map(member).collect();
        self.events.push((at_ms, kind, about.into()));
    }

    fn json(&self) -> Value {
        let workload = |((issuer, subject), tokens): (&(String, String), &u64)| json!({ "issuer": issuer, "subject": subject, "tokens": tokens });
        let event = |(at, kind, about): &(u64, &str, Value)| json!({ "at": moment::show_ms(*at), "kind": kind, "about": about });
        json!({
            "tokens": self.tokens,
            "live_tokens": self.live,
            "last_expires_at": (self.last_expiry > 0).then(|| moment::show(self.last_expiry)),
            "refusals": self.refusals,
            "workloads": self.workloads.iter().map(workload).collect::<Vec<_>>(),
            "audiences": self.audiences,
            "kids": self.kids,
            "bundles": self.bundles,
            "timeline": self.events.iter().map(event).collect::<Vec<_>>(),
            "timeline_is_cut": self.is_cut,
        })
    }

    fn text(&self) -> Vec<String> {
        let mut lines = vec![format!("{} tokens, {} of them live", self.tokens, self.live)];
        if self.last_expiry > 0 {
            lines.push(format!("the last one expires at {}", moment::show(self.last_expiry)));
        }
        let workloads: BTreeMap<String, u64> =
            self.workloads.iter().map(|((issuer, subject), count)| (format!("{issuer}:{subject}"), *count)).collect();
        let parts = [
            ("refusals", &self.refusals),
            ("workloads with tokens", &workloads),
            ("audiences", &self.audiences),
            ("keys", &self.kids),
            ("bundles", &self.bundles),
        ];
        for (name, counts) in parts {
            if !counts.is_empty() {
                lines.push(format!("\n{name}:"));
                lines.extend(counts.iter().map(|(what, count)| format!("  {count:>8}  {}", sanitize(what))));
            }
        }
        lines.push("\ntimeline:".to_owned());
        for (at, kind, about) in &self.events {
            let about = about.as_object().into_iter().flatten();
            let about = about.map(|(name, value)| {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                format!("{name} {}", sanitize(&value))
            });
            let about: Vec<String> = about.collect();
            lines.push(format!("  {}  {kind}: {}", moment::show_ms(*at), about.join(", ")));
        }
        if self.is_cut {
            lines.push(format!("  cut at {EVENTS_MAX} events: narrow it down with --since and --until"));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    const NOW: u64 = 1_800_000_000;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn args(more: &[&str]) -> Args {
        Cli::try_parse_from(["report", "db"].iter().chain(more)).map_err(|error| error.to_string()).unwrap().args
    }

    fn record(columns: Value) -> Record {
        Record { seq: 1, columns: columns.as_object().cloned().unwrap() }
    }

    fn issued(kid: &str, expires_at: u64) -> Record {
        record(json!({
            "outcome": "issued", "slug": "issued", "kid": kid, "subject": "s", "issuer_name": "i", "audience": "a",
            "bundle_digest": "b", "decided_at_ms": NOW * 1000, "expires_at": expires_at,
        }))
    }

    #[test]
    fn needs_to_know_what_the_incident_is_about() {
        assert!(Cli::try_parse_from(["report", "db"]).is_err());
        assert!(Cli::try_parse_from(["report", "db", "--issuer", "github"]).is_err());
        for more in [["--kid", "k"], ["--subject", "s"], ["--since", "90d"]] {
            args(&more);
        }
    }

    #[test]
    fn counts_tokens_of_a_key_until_they_expire() {
        let args = args(&["--kid", "k"]);
        let mut report = Report::default();
        let all = [issued("k", NOW), issued("k", NOW + 1), issued("other", NOW + 9)];
        all.iter().filter(|record| args.concerns(record, NOW)).for_each(|record| report.add(record, NOW));
        assert_eq!((report.tokens, report.live, report.last_expiry), (2, 1, NOW + 1));
        assert_eq!(report.text()[..2], ["2 tokens, 1 of them live", "the last one expires at 2027-01-15T08:00:01Z"]);
    }

    #[test]
    fn includes_operations_that_may_concern_it() {
        let of = |more: &[&str], columns: Value| args(more).is_about(&record(columns), NOW);
        assert!(of(&["--subject", "s"], json!({ "subject": "s", "at": NOW })));
        assert!(!of(&["--subject", "s"], json!({ "subject": "t", "at": NOW })));
        assert!(of(&["--subject", "s"], json!({ "issuer_name": "i", "at": NOW })), "it blocks all of an issuer");
        assert!(!of(&["--since", "1h"], json!({ "at": NOW - 3601 })));
        assert!(of(&["--since", "1h"], json!({ "at": NOW - 3600 })));
    }

    #[test]
    fn timeline_is_cut_at_its_most_events() {
        let mut report = Report::default();
        report.operation(&record(json!({ "operation": "block", "at": NOW })));
        (1..EVENTS_MAX).for_each(|_| report.add(&issued("k", NOW), NOW));
        assert_eq!((report.events.len(), report.is_cut), (EVENTS_MAX, false));
        report.add(&issued("k", NOW), NOW);
        assert_eq!((report.events.len(), report.is_cut, report.tokens), (EVENTS_MAX, true, 10_000));
        assert_eq!(report.events[0].1, "operation");
    }

    #[test]
    fn counts_repeats_of_refusals() {
        let mut report = Report::default();
        report.add(&record(json!({ "outcome": "refused", "slug": "policy.denied", "repeats": 4 })), NOW);
        assert_eq!(report.refusals, BTreeMap::from([("policy.denied".to_owned(), 5)]));
    }
}
