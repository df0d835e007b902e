//! `vouchsafe keys rotate --emergency`: every epoch key is replaced, and each broker is watched until it
//! has followed.

use super::probes::Verifiers;
use crate::client::Http;
use crate::client::gateway::{Gateway, GatewayArgs};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use vouchsafe_cli::{Failure, Format};
use vouchsafe_gateway::admin::{Listing, RotateRequest};

/// How often a broker is asked for its keys.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// Answers in a row that have to be right, since several instances may give them.
const RIGHT_ANSWERS: u32 = 5;

/// Replace every epoch key at once, after a seed or a credential leaked.
///
/// The standby generation, whose keys verifiers have already, becomes the current one. Tokens of the one
/// before fail as soon as a verifier fetches the keys again. There is no way back. Each broker is watched
/// until it publishes the new generation and none of the old. Refused for seven minutes after the last time,
/// since verifiers may not know the next generation before.
#[derive(clap::Args)]
#[command(after_help = "\
What can't be reached stops nothing: every gateway that can be rotates, and a broker that can't be has not
followed. To repeat it for those, say `--from N` with the generation that is to be over: whoever has done so
is left alone.

Exit codes: 0 rotated, and every broker has followed in time, 1 refused, or a gateway or broker has not
followed in time, 2 wrong use, 3 no gateway can be reached, and nothing is known to be rotated.

Examples:
  vouchsafe keys rotate --emergency --broker https://broker.example --gateway https://gateway.internal:8481 --admin-token-file admin-token
  vouchsafe keys rotate --emergency --from 4 --broker https://broker.example --gateway https://gateway.internal:8481 --admin-token-file admin-token")]
pub struct Args {
    /// Yes, every token of tier `delegated` that was issued so far may fail.
    #[arg(long)]
    emergency: bool,
    /// Also where verifiers may not know the next generation's keys yet: then they refuse new tokens for minutes.
    #[arg(long)]
    although_unpublished: bool,
    /// A broker to watch, or one host of it, by its URL; may be repeated.
    #[arg(long = "broker", value_name = "URL", required = true)]
    brokers: Vec<String>,
    /// The generation that is to be over [default: the one that is current].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    from: Option<u64>,
    /// Within how many seconds each broker has to follow.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    timeout: u64,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    if !args.emergency {
        return Err(Failure::usage("epoch keys replace themselves every epoch")
            .hint("`--emergency` replaces all of them now, and makes issued tokens fail"));
    }
    let gateways = args.gateways.open()?;
    let http = Http::with_timeout(Duration::from_secs(2));
    // ORDER: whatever can fail by a wrong argument fails before anything is rotated. Nobody who can silence
    // a broker or a gateway must be able to delay the others.
    let brokers = Verifiers::new(http, &args.brokers)?;
    let before = highest(&gateways)?;
    let from = args.from.unwrap_or(before.generation);
    let start = Instant::now();
    let request = RotateRequest {
        from,
        although_unpublished: args.although_unpublished,
    };
    let (rotated, behind) = rotate(&gateways, &request)?;
    let kids = Kids::of(&before, from);
    let timeout = Duration::from_secs(args.timeout);
    let watch = |uri: &String| kids.followed(&brokers, uri, start, timeout);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let watching: Vec<_> = brokers
            .uris()
            .iter()
            .map(|uri| scope.spawn(move || watch(uri)))
            .collect();
        let joined = watching.into_iter().map(|it| it.join().unwrap_or(None));
        joined.collect()
    });
    for (broker, seconds) in args.brokers.iter().zip(&outcomes) {
        tell(broker, *seconds, args);
    }
    if args.format == Format::Json {
        println!("{}", json!({ "generation": rotated, "before": from }));
    }
    if let Some(failure) = behind {
        // Rotated it is; the code for nothing at all would mislead.
        return Err(Failure { code: 1, ..failure });
    }
    if outcomes.iter().any(Option::is_none) {
        return Err(Failure::refused(format!(
            "generation {rotated} is current, and not every broker has followed within {} s",
            args.timeout
        ))
        .hint("a broker that reaches no gateway goes on with the old generation to the end of its epoch: its log says why"));
    }
    Ok(ExitCode::SUCCESS)
}

/// What the gateway of the highest generation has: brokers go by that one.
fn highest(gateways: &[Gateway]) -> Result<Listing, Failure> {
    let mut found: Option<Listing> = None;
    let mut failed = Failure::usage("there is no --gateway");
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

/// The generation that is current now, and what became of gateways that did not say so.
///
/// The first gateway that can be reached rotates; for others of the same token it is done already, and
/// those of another token are asked too.
fn rotate(
    gateways: &[Gateway],
    request: &RotateRequest,
) -> Result<(u64, Option<Failure>), Failure> {
    let mut rotated = None;
    let mut behind = None;
    for gateway in gateways {
        match rotated_at(gateway, request) {
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
        (None, None) => Err(Failure::usage("there is no --gateway")),
    }
}

/// A gateway that gave no answer may have rotated all the same: it is asked.
fn rotated_at(gateway: &Gateway, request: &RotateRequest) -> Result<(u64, &'static str), Failure> {
    let from = request.from;
    match gateway.rotate(request) {
        Ok(answer) if answer.changed => Ok((answer.generation, "rotated")),
        Ok(answer) => Ok((answer.generation, "follows")),
        Err(failure) if failure.code != 3 => Err(failure),
        Err(failure) => match gateway.list() {
            Ok(listing) if listing.generation > from => Ok((listing.generation, "rotated")),
            _ => Err(failure.hint(format!(
                "once it can do it, say `--from {from}`: whoever has rotated is then left alone"
            ))),
        },
    }
}

/// Keys of generations that are over, of the one that comes after them, and of those that were listed
/// behind it.
struct Kids {
    old: BTreeSet<String>,
    new: BTreeSet<String>,
    later: BTreeSet<String>,
}

impl Kids {
    /// As `before` lists them, where `from` is to be over; if it was already, the new standby is listed in
    /// place of it.
    fn of(before: &Listing, from: u64) -> Self {
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

    /// Seconds from `start` until the broker's keys are the new ones alone; none if that took too long.
    fn followed(
        &self,
        brokers: &Verifiers,
        uri: &str,
        start: Instant,
        timeout: Duration,
    ) -> Option<f64> {
        let (mut right, mut since) = (0, None);
        // A broker that follows in the last moment has the time to show it.
        let patience = timeout + LOOK_PAUSE * (RIGHT_ANSWERS + 1);
        while start.elapsed() < patience {
            let asked = start.elapsed();
            let set = brokers.fetch(uri);
            if set.is_ok_and(|set| self.are_new_alone(&set)) {
                since = since.or(Some(asked));
                right += 1;
                if right >= RIGHT_ANSWERS {
                    return since
                        .filter(|since| *since <= timeout)
                        .map(|since| since.as_secs_f64());
                }
            } else {
                (right, since) = (0, None);
            }
            std::thread::sleep(LOOK_PAUSE);
        }
        None
    }

    fn are_new_alone(&self, jwks: &Value) -> bool {
        let kids: BTreeSet<&str> = jwks["keys"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|key| key["kid"].as_str())
            .collect();
        let has = |kid: &String| kids.contains(kid.as_str());
        let has_later = self.later.is_empty() || self.later.iter().any(has);
        !self.old.iter().any(has) && self.new.iter().any(has) && has_later
    }
}

fn tell(broker: &str, seconds: Option<f64>, args: &Args) {
    match (args.format, seconds) {
        (Format::Json, seconds) => {
            println!("{}", json!({ "broker": broker, "seconds": seconds }));
        }
        (Format::Text, Some(seconds)) => {
            println!("{broker}: followed after {seconds:.1} s")
        }
        (Format::Text, None) => {
            println!("{broker}: NOT FOLLOWED within {} s", args.timeout);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_has_followed_when_it_has_new_keys_and_no_old_one() {
        let set = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
        let kids = Kids {
            old: set(&["a", "b"]),
            new: set(&["c", "d"]),
            later: set(&[]),
        };
        for (found, expected) in [
            (vec!["c", "d", "e"], true),
            (vec!["c"], true),
            (vec!["a", "c"], false),
            (vec!["e"], false),
            (vec![], false),
        ] {
            let keys: Vec<_> = found.iter().map(|kid| json!({ "kid": kid })).collect();
            assert_eq!(
                kids.are_new_alone(&json!({ "keys": keys })),
                expected,
                "{found:?}"
            );
        }
        assert!(!kids.are_new_alone(&Value::Null));
        // It was rotated before: who has not followed does not know the new standby.
        let again = Kids {
            old: set(&[]),
            new: set(&["c"]),
            later: set(&["e"]),
        };
        for (found, expected) in [("e", true), ("b", false)] {
            let keys = json!({ "keys": [{ "kid": "c" }, { "kid": found }] });
            assert_eq!(again.are_new_alone(&keys), expected, "{found}");
        }
    }
}
