//! `vouchsafe keys list`.

use super::time::relative;
use crate::client::gateway::{Gateway, GatewayArgs};
use serde_json::json;
use std::collections::BTreeMap;
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format};
use vouchsafe_gateway::Counters;
use vouchsafe_gateway::admin::{GroupListing, KeyListing, Listing, VersionListing};

/// List the keys of gateways, with warnings about overdue operations.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 listed, 1 refused, or with --deny-warnings something is overdue, 2 the command line is wrong, 3 a
gateway cannot be reached; the others are still listed. Of several failures, the first decides.

Examples:
  vouchsafe keys list --gateway https://gateway.internal:8481 --admin-token-file admin-token
  vouchsafe keys list --format json --gateway https://gateway.internal:8481 --admin-token-file admin-token")]
pub struct Args {
    #[command(flatten)]
    gateways: GatewayArgs,
    /// Exit with 1 if something is overdue.
    #[arg(long)]
    deny_warnings: bool,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut warned = false;
    let mut failed = None;
    for gateway in args.gateways.open()? {
        match gateway.list() {
            Ok(listing) => {
                warned |= listing.keys.iter().any(|key| !key.warnings.is_empty());
                report(&gateway, &listing, args.format);
            }
            // The others are still listed.
            Err(failure) => {
                if args.format == Format::Json {
                    let error = &failure.message;
                    println!("{}", json!({ "gateway": gateway.url, "error": error }));
                }
                failed = failed.or(Some(failure.report()));
            }
        }
    }
    Ok(match failed {
        Some(code) => code,
        None if warned && args.deny_warnings => ExitCode::FAILURE,
        None => ExitCode::SUCCESS,
    })
}

fn report(gateway: &Gateway, listing: &Listing, format: Format) {
    match format {
        Format::Json => println!("{}", json!({ "gateway": gateway.url, "keys": listing })),
        Format::Text => print(gateway, listing),
    }
}

fn print(gateway: &Gateway, listing: &Listing) {
    println!(
        "{}: generation {}, standby {}, hsm {}, seeds for {} s",
        gateway.url, listing.generation, listing.standby, listing.hsm, listing.seconds_left
    );
    for group in &listing.groups {
        print_group(group, listing);
    }
    for key in &listing.keys {
        print_key(key, listing.now);
    }
}

/// Prints the epochs of tier `delegated`, one line each.
fn print_group(group: &GroupListing, listing: &Listing) {
    println!("\n{}  delegated  {}  epochs of {} s", group.name, group.issuer, group.epoch_seconds);
    let mut lines: BTreeMap<(u64, u64), Vec<&str>> = BTreeMap::new();
    for epoch in &group.epochs {
        let id = (epoch.generation, epoch.start);
        lines.entry(id).or_default().push(&epoch.algorithm);
    }
    println!("  {:<20} {:<14} {:<14} LEAVES THE JWKS", "GENERATION", "EPOCH", "ALGORITHMS");
    for ((generation, start), algorithms) in lines {
        let which = if generation == listing.generation {
            format!("{generation} current")
        } else {
            format!("{generation} standby")
        };
        let end = start.saturating_add(group.epoch_seconds);
        let epoch = match listing.now {
            now if now < start => relative(now, start),
            now if now < end => "now".to_owned(),
            _ => "over".to_owned(),
        };
        let leaves = relative(listing.now, end.saturating_add(group.epoch_seconds));
        println!("  {which:<20} {epoch:<14} {:<14} {leaves}", algorithms.join(" "));
    }
}

fn print_key(key: &KeyListing, now: u64) {
    println!("\n{}  hsm  {}  group {}", key.name, key.algorithm, key.group);
    println!(
        "  {:<8} {:<12} {:<14} {:<14} {:<14} {:<16} OUTCOMES",
        "VERSION", "STATE", "SINCE", "FIRST USE", "LAST USE", "LEAVES THE JWKS"
    );
    for version in &key.versions {
        print_version(version, now);
    }
    if let Some(verdict) = &key.verdict {
        println!("  the canary: {verdict}");
    }
    for warning in &key.warnings {
        println!("  warning: {warning}");
    }
}

fn print_version(version: &VersionListing, now: u64) {
    let when = |moment: Option<u64>| moment.map_or("-".to_owned(), |it| relative(now, it));
    // Times of operations increase strictly, so that of the last one can be ahead of the clock.
    let past = |moment: Option<u64>| when(moment.map(|it| it.min(now)));
    let state = match version.share {
        Some(share) => format!("{} {share}%", version.state),
        None => version.state.clone(),
    };
    let leaves = match (version.state.as_str(), version.leaves_at) {
        ("retired" | "destroyed" | "doubled", _) => "left".to_owned(),
        (_, Some(moment)) if moment <= now => "when retired".to_owned(),
        (_, moment) => when(moment),
    };
    let mut line = format!(
        "  {:<8} {state:<12} {:<14} {:<14} {:<14} {leaves:<16} {}",
        version.version,
        past(version.since),
        past(version.first_use),
        past(version.last_use),
        describe_outcomes(version.figures.into()),
    );
    if let Some(moment) = version.may_sign_at.filter(|it| *it > now) {
        line.push_str(&format!("  may sign {}", relative(now, moment)));
    }
    println!("{}", line.trim_end());
}

/// Describes outcomes, such as `120, 2 failed`.
pub fn describe_outcomes(figures: Counters) -> String {
    match (figures.outcomes(), figures.failures()) {
        (0, _) => "-".to_owned(),
        (outcomes, 0) => outcomes.to_string(),
        (outcomes, failures) => format!("{outcomes}, {failures} failed"),
    }
}
