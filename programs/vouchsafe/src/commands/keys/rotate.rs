//! `vouchsafe keys rotate --emergency`: replaces every epoch key, and watches each broker until it has followed.

use super::probes::Verifiers;
use crate::client::gateway::{Gateway, GatewayArgs};
use crate::client::parse_positive;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use vouchsafe_cli::{Failure, Format};
use vouchsafe_gateway::admin::{Listing, RotateRequest};

/// How often a broker's JWK Set is fetched.
const FETCH_PAUSE: Duration = Duration::from_millis(100);
/// Longest time for one fetch.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest `--timeout`.
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);
/// Consecutive correct answers that are required, since several instances may answer.
const CORRECT_ANSWERS: u32 = 5;

/// Replace every epoch key at once, after a seed or a credential leaked.
///
/// The standby generation, whose keys verifiers already have, becomes the current one. Tokens of the previous
/// generation fail as soon as a verifier fetches the key set again. This can't be undone. Each broker is watched until
/// it publishes the new generation and no old one. Can't be repeated within seven minutes: verifiers need that long to
/// learn the next generation.
#[derive(clap::Args)]
#[command(after_help = "\
Every gateway that can be reached rotates; a broker that cannot be reached counts as not following. To retry
for the rest, use `--from N` with the generation to leave; gateways that have already rotated are skipped.

Exit codes: 0 rotated, and every broker followed in time, 1 refused, or a gateway or broker did not follow in
time, 2 the command line is wrong, 3 no gateway can be reached, and none is known to have rotated.

Examples:
  vouchsafe keys rotate --emergency --broker https://broker.example --gateway https://gateway.internal:8481 --admin-token-file admin-token
  vouchsafe keys rotate --emergency --from 4 --broker https://broker.example --gateway https://gateway.internal:8481 --admin-token-file admin-token")]
pub struct Args {
    /// Confirm that every token of tier `delegated` issued so far may fail.
    #[arg(long)]
    emergency: bool,
    /// Rotate even if verifiers may not know the next generation's keys yet; they then reject new tokens for minutes.
    #[arg(long)]
    although_unpublished: bool,
    /// URL of a broker to watch, or of one of its hosts; may be repeated.
    #[arg(long = "broker", env = "VOUCHSAFE_BROKER", value_name = "URL", required = true, value_delimiter = ',')]
    brokers: Vec<String>,
    /// The generation to leave [default: the current one].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    from: Option<u64>,
    /// Time within which each broker must follow, at most 1h.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_timeout)]
    timeout: Duration,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let timeout = parse_positive(text)?;
    if timeout > TIMEOUT_MAX { Err("must be at most 1h".to_owned()) } else { Ok(timeout) }
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    if !args.emergency {
        return Err(Failure::usage("epoch keys are replaced every epoch without this command")
            .hint("`--emergency` replaces all of them now, and makes issued tokens fail"));
    }
    let gateways = args.gateways.open()?;
    let http = args.gateways.broker_http(Some(FETCH_TIMEOUT))?;
    // ORDER: arguments are checked before anything is rotated. An attacker who silences a broker or a gateway must not
    // be able to delay the others.
    let brokers = Verifiers::new(http, &args.brokers)?;
    let before = list_highest(&gateways)?;
    let from = args.from.unwrap_or(before.generation);
    let start = Instant::now();
    let request = RotateRequest { from, although_unpublished: args.although_unpublished };
    let (rotated, behind) = rotate(&gateways, &request)?;
    let kids = Kids::new(&before, from);
    let timeout = args.timeout;
    let watch = |uri: &String| kids.watch(&brokers, uri, start, timeout);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let watching: Vec<_> = brokers.uris().iter().map(|uri| scope.spawn(move || watch(uri))).collect();
        let joined = watching.into_iter().map(|it| it.join().unwrap_or(None));
        joined.collect()
    });
    for (broker, seconds) in args.brokers.iter().zip(&outcomes) {
        report(broker, *seconds, args);
    }
    if args.format == Format::Json {
        println!("{}", json!({ "generation": rotated, "before": from }));
    }
    if let Some(failure) = behind {
        // Not 3, which means that nothing is rotated.
        return Err(Failure { code: 1, ..failure });
    }
    if outcomes.iter().any(Option::is_none) {
        return Err(Failure::refused(format!(
            "generation {rotated} is current, but not every broker followed within {} s",
            args.timeout.as_secs()
        ))
        .hint(
            "a broker that reaches no gateway uses the old generation until its epoch ends; its log has the reason",
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// The listing of the gateway with the highest generation, which brokers follow.
fn list_highest(gateways: &[Gateway]) -> Result<Listing, Failure> {
    let mut found: Option<Listing> = None;
    let mut failed = Failure::usage("no --gateway given");
    for gateway in gateways {
        match gateway.list() {
            Ok(listing) => {
                let known = found.as_ref().map_or(0, |it| it.generation);
                if listing.generation > known {
                    found = Some(listing);
                }
            }
            Err(failure) => failed = failure,
        }
    }
    found.ok_or(failed)
}

/// Rotates at all gateways; returns the generation that is current now, and the first failure.
///
/// The first gateway of a token rotates, and its others follow. Gateways of other tokens rotate too.
fn rotate(gateways: &[Gateway], request: &RotateRequest) -> Result<(u64, Option<Failure>), Failure> {
    let mut rotated = None;
    let mut behind = None;
    for gateway in gateways {
        match rotate_at(gateway, request) {
            Ok((generation, how)) => {
                eprintln!("{}: {how}, generation {generation}", gateway.url);
                rotated = rotated.max(Some(generation));
            }
            Err(failure) => {
                eprintln!("warning: {}", failure.message);
                behind.get_or_insert(failure);
            }
        }
    }
    match (rotated, behind) {
        (Some(generation), behind) => Ok((generation, behind)),
        (None, Some(failure)) => Err(failure),
        (None, None) => Err(Failure::usage("no --gateway given")),
    }
}

/// Rotates at one gateway. One that did not answer may have rotated nevertheless, so it is asked.
fn rotate_at(gateway: &Gateway, request: &RotateRequest) -> Result<(u64, &'static str), Failure> {
    let from = request.from;
    match gateway.rotate(request) {
        Ok(answer) if answer.changed => Ok((answer.generation, "rotated")),
        Ok(answer) => Ok((answer.generation, "follows")),
        Err(failure) if failure.code != 3 => Err(failure),
        Err(failure) => match gateway.list() {
            Ok(listing) if listing.generation > from => Ok((listing.generation, "rotated")),
            _ => Err(failure.hint(format!(
                "retry with `--from {from}` once it is available; gateways that have already rotated are skipped"
            ))),
        },
    }
}

/// The `kid`s of old generations, of the new one, and of later ones.
struct Kids {
    old: BTreeSet<String>,
    new: BTreeSet<String>,
    later: BTreeSet<String>,
}

impl Kids {
    /// Takes them from `before`, a listing from before the rotation that leaves `from`. If the rotation was done
    /// earlier, the listing has the new standby generation instead of `from`.
    fn new(before: &Listing, from: u64) -> Self {
        let kids = |is_one: &dyn Fn(u64) -> bool| {
            let epochs = before.groups.iter().flat_map(|group| &group.epochs);
            let epochs = epochs.filter(|epoch| is_one(epoch.generation));
            epochs.map(|epoch| epoch.kid.clone()).collect()
        };
        Self {
            old: kids(&|it| it <= from),
            new: kids(&|it| it == from.saturating_add(1)),
            later: kids(&|it| it > from.saturating_add(1)),
        }
    }

    /// Watches a broker; returns the seconds from `start` until it published only new keys, or `None` if that took too
    /// long.
    fn watch(&self, brokers: &Verifiers, uri: &str, start: Instant, timeout: Duration) -> Option<f64> {
        let (mut correct, mut since) = (0, None);
        // Time for a broker that follows at the last moment to give enough answers.
        let patience = timeout + FETCH_PAUSE * (CORRECT_ANSWERS + 1);
        while start.elapsed() < patience {
            let fetched = start.elapsed();
            let set = brokers.fetch(uri).ok();
            let set = set.and_then(|set| serde_json::from_slice(&set).ok());
            if set.is_some_and(|set| self.are_only_new(&set)) {
                since = since.or(Some(fetched));
                correct += 1;
                if correct >= CORRECT_ANSWERS {
                    return since.filter(|since| *since <= timeout).map(|since| since.as_secs_f64());
                }
            } else {
                (correct, since) = (0, None);
            }
            std::thread::sleep(FETCH_PAUSE);
        }
        None
    }

    fn are_only_new(&self, jwks: &Value) -> bool {
        let kids: BTreeSet<&str> =
            jwks["keys"].as_array().into_iter().flatten().filter_map(|key| key["kid"].as_str()).collect();
        let has = |kid: &String| kids.contains(kid.as_str());
        let has_later = self.later.is_empty() || self.later.iter().any(has);
        !self.old.iter().any(has) && self.new.iter().any(has) && has_later
    }
}

fn report(broker: &str, seconds: Option<f64>, args: &Args) {
    match (args.format, seconds) {
        (Format::Json, seconds) => {
            println!("{}", json!({ "broker": broker, "seconds": seconds }));
        }
        (Format::Text, Some(seconds)) => {
            println!("{broker}: followed after {seconds:.1} s")
        }
        (Format::Text, None) => {
            println!("{broker}: NOT FOLLOWED within {} s", args.timeout.as_secs());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broker_follows_with_new_keys_and_no_old_ones() {
        let set = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
        let kids = Kids { old: set(&["a", "b"]), new: set(&["c", "d"]), later: set(&[]) };
        for (found, expected) in [
            (vec!["c", "d", "e"], true),
            (vec!["c"], true),
            (vec!["a", "c"], false),
            (vec!["e"], false),
            (vec![], false),
        ] {
            let keys: Vec<_> = found.iter().map(|kid| json!({ "kid": kid })).collect();
            assert_eq!(kids.are_only_new(&json!({ "keys": keys })), expected, "{found:?}");
        }
        assert!(!kids.are_only_new(&Value::Null));
        // Rotated earlier: a broker that has not followed does not know the new standby generation.
        let again = Kids { old: set(&[]), new: set(&["c"]), later: set(&["e"]) };
        for (found, expected) in [("e", true), ("b", false)] {
            let keys = json!({ "keys": [{ "kid": "c" }, { "kid": found }] });
            assert_eq!(again.are_only_new(&keys), expected, "{found}");
        }
    }
}
