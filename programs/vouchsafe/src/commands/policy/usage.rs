//! `vouchsafe policy usage`: who has access, who used it, and what nobody used.

use super::audit;
use super::bundle::{DIR_DEFAULT, EnvironmentArgs, load};
use crate::client::moment;
use crate::client::text::sanitize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format};
use vouchsafe_policy::{Bundle, Tier};
use vouchsafe_policy_tools::{RecordedRequest, access};

/// Most workloads that are listed for one grant.
const WORKLOADS_MAX: usize = 100;

/// List what each policy permits to whom, how often that was used, and what nobody used.
///
/// A grant is a `permit` with an issuer and an audience that its scope connects; `policy graph` draws them. What nobody used
/// for long may be more access than anybody needs.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 listed, 1 the bundle does not load, or with --deny-unused nobody used some grant, 2 usage error.

Examples:
  vouchsafe policy usage --replay /var/lib/vouchsafe
  vouchsafe policy usage policies --replay audit.jsonl --since 90d --format json")]
pub struct Args {
    /// The folder that contains `bundle.toml`.
    #[arg(default_value = DIR_DEFAULT)]
    dir: PathBuf,
    /// The recorded decisions: a broker's state directory, or an exported file.
    #[arg(long, value_name = "STATE")]
    replay: PathBuf,
    /// Count only decisions of the last DURATION, such as 30m, 24h or 90d.
    #[arg(long, value_name = "DURATION", default_value = "90d")]
    since: String,
    /// Exit with 1 if nobody used some grant.
    #[arg(long)]
    deny_unused: bool,
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// A grant and its use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Use {
    count: u64,
    last_ms: u64,
    workloads: BTreeSet<String>,
}

/// Issuer, audience and policy.
type Grant = (String, String, String);

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let (_, bundle) = load(&args.dir, &args.environment.environment())?;
    let mut grants = grants(&bundle);
    for record in audit::of_last(&args.replay, Some(&args.since))? {
        count(&mut grants, &record);
    }
    match args.format {
        Format::Json => println!("{:#}", json_of(&bundle, &grants)),
        Format::Text => text_of(&bundle, &grants).iter().for_each(|line| println!("{line}")),
    }
    let is_unused = grants.values().any(|it| it.count == 0);
    Ok(ExitCode::from(u8::from(args.deny_unused && is_unused)))
}

/// Every grant of the bundle, unused.
fn grants(bundle: &Bundle) -> BTreeMap<Grant, Use> {
    let permits = access(bundle).into_iter().flat_map(|((issuer, audience), policies)| {
        policies.into_iter().map(move |policy| ((issuer.clone(), audience.clone(), policy), Use::default()))
    });
    permits.collect()
}

/// Decisions of other bundles' policies are left out.
fn count(grants: &mut BTreeMap<Grant, Use>, record: &audit::Record) {
    let Ok(RecordedRequest { principal, request, .. }) = RecordedRequest::parse(&record.cedar_request) else {
        return;
    };
    if record.outcome != "issued" {
        return;
    }
    for policy in &record.determining_rules {
        let grant = (principal.issuer_name.clone(), request.audience.clone(), policy.clone());
        if let Some(used) = grants.get_mut(&grant) {
            used.count = used.count.saturating_add(1);
            used.last_ms = used.last_ms.max(record.last_at_ms);
            if used.workloads.len() < WORKLOADS_MAX {
                used.workloads.insert(principal.id.clone());
            }
        }
    }
}

/// The keys that sign for an audience.
fn keys(bundle: &Bundle, audience: &str) -> String {
    bundle.audience(audience).map_or(String::new(), |audience| match audience.tier {
        Tier::Delegated => format!("epoch keys, {}", audience.algorithm),
        Tier::Hsm => format!("HSM, {}", audience.algorithm),
    })
}

fn json_of(bundle: &Bundle, grants: &BTreeMap<Grant, Use>) -> Value {
    let grant = |((issuer, audience, policy), used): (&Grant, &Use)| {
        json!({
            "issuer": issuer,
            "audience": audience,
            "policy": policy,
            "keys": keys(bundle, audience),
            "tokens": used.count,
            "last": (used.count > 0).then(|| moment::show(used.last_ms / 1000)),
            "workloads": used.workloads,
        })
    };
    Value::from_iter(grants.iter().map(grant))
}

fn text_of(bundle: &Bundle, grants: &BTreeMap<Grant, Use>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut before = "";
    for ((issuer, audience, policy), used) in grants {
        if before != audience {
            lines.push(format!("{} ({})", sanitize(audience), keys(bundle, audience)));
            before = audience;
        }
        let use_text = match used.count {
            0 => "UNUSED".to_owned(),
            count => {
                let last = moment::show(used.last_ms / 1000);
                let workloads = match used.workloads.len() {
                    WORKLOADS_MAX => format!("{WORKLOADS_MAX} or more"),
                    workloads => workloads.to_string(),
                };
                format!("{count} tokens, the last at {last}, of {workloads} workloads")
            }
        };
        lines.push(format!("  {issuer} by {policy}: {use_text}"));
        lines.extend(used.workloads.iter().map(|workload| format!("    {}", sanitize(workload))));
    }
    let unused = grants.values().filter(|used| used.count == 0).count();
    lines.push(format!("{} grants, {unused} unused", grants.len()));
    lines
}
