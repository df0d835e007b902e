//! `vouchsafe keys canary` and `promote`: a new version signs for few workloads, is watched, and promoted or rolled
//! back.

use super::list::describe_outcomes;
use super::operation::{ask_first, request, send_to_all};
use super::probes::{self, Pair, Verifiers};
use super::several::require_same_keys;
use crate::client::gateway::{Gateway, GatewayArgs};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use vouchsafe_cli::{Failure, Format};
use vouchsafe_gateway::admin::{KeyListing, OperationRequest};
use vouchsafe_gateway::{CANARY_OUTCOMES_MIN, Verdict};

/// Let the staged version sign for a share of the workloads.
///
/// Issuer, workload and audience decide which workloads are in the share; it keeps them as it grows. With --watch, the
/// version is probed and compared with the active one, then promoted, or rolled back as soon as it is worse.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 done, with --watch promoted, 1 refused, with --watch rolled back, 2 the command line is wrong, 3 a
gateway or broker cannot be reached, with --watch for too long to judge the canary.

Examples:
  vouchsafe keys canary deploy 5% --gateway https://gateway.internal:8481 --admin-token-file admin-token
  vouchsafe keys canary deploy 20% --watch --broker https://broker.example --gateway https://gateway.internal:8481 --admin-token-file admin-token")]
pub struct Args {
    /// `name` of the [[key]].
    key: String,
    /// Share of the workloads: 1% to 100%.
    #[arg(value_name = "SHARE", value_parser = parse_share)]
    share: u8,
    /// Keep running, probe both versions, and promote or roll back.
    #[arg(long, requires = "brokers")]
    watch: bool,
    /// URL of a broker, or of one of its hosts, whose JWK Set verifies probes; may be repeated.
    #[arg(long = "broker", id = "brokers", env = "VOUCHSAFE_BROKER", value_name = "URL", value_delimiter = ',')]
    brokers: Vec<String>,
    /// How long the canary must be healthy before it is promoted.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    watch_seconds: u64,
    /// How often the canary is checked.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval_seconds: u64,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Let the canary sign for all workloads.
///
/// Refused while the canary fails more often than the active version, has fewer than 20 outcomes, or was not probed.
/// With
/// --broker, the missing probes are run first.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 promoted, or done before, 1 refused, 2 the command line is wrong, 3 a gateway or broker cannot be
reached.

Examples:
  vouchsafe keys promote deploy --broker https://broker.example --gateway https://gateway.internal:8481 --admin-token-file admin-token")]
pub struct PromoteArgs {
    /// `name` of the [[key]].
    key: String,
    /// URL of a broker, or of one of its hosts, whose JWK Set verifies probes; may be repeated.
    #[arg(long = "broker", env = "VOUCHSAFE_BROKER", value_name = "URL", value_delimiter = ',')]
    brokers: Vec<String>,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

fn parse_share(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text);
    let percent = number.parse().ok().filter(|it| (1..=100).contains(it));
    percent.ok_or_else(|| "must be 1% to 100%".to_owned())
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let gateways = args.gateways.open()?;
    // ORDER: arguments are checked before a canary starts that nobody would watch.
    let verifiers = Verifiers::new(args.gateways.broker_http(None)?, &args.brokers)?;
    require_same_keys(&gateways, &args.key)?;
    let request = OperationRequest { share: Some(args.share), ..request(&args.key, "canary") };
    let code = send_to_all(&gateways, &request, args.format)?;
    if !args.watch {
        return Ok(code);
    }
    let watch = Watch { args, gateways: &gateways, verifiers };
    watch.run()
}

pub fn promote(args: &PromoteArgs) -> Result<ExitCode, Failure> {
    let gateways = args.gateways.open()?;
    require_same_keys(&gateways, &args.key)?;
    if !args.brokers.is_empty() {
        let verifiers = Verifiers::new(args.gateways.broker_http(None)?, &args.brokers)?;
        for gateway in &gateways {
            run_missing_probes(gateway, &args.key, &verifiers)?;
        }
    }
    let outcome = send_to_all(&gateways, &request(&args.key, "promote"), args.format);
    if outcome.as_ref().is_err_and(|failure| failure.code == 1) {
        // Whatever the reason, the user looks at the outcomes next.
        for gateway in &gateways {
            let reported = gateway.list().and_then(|listing| {
                let key = probes::key(&listing, &args.key)?;
                report(gateway, key);
                Ok(())
            });
            drop(reported);
        }
    }
    outcome
}

/// Runs the probes that are missing for a verdict, equally many with both versions.
fn run_missing_probes(gateway: &Gateway, name: &str, verifiers: &Verifiers) -> Result<(), Failure> {
    let listing = gateway.list()?;
    let key = probes::key(&listing, name)?;
    let Some(pair) = probes::pair(key) else {
        return Ok(());
    };
    let seen = probes::figures(key, pair.canary).outcomes();
    // At least one, since earlier outcomes say nothing about the published keys.
    let missing = CANARY_OUTCOMES_MIN.saturating_sub(seen).max(1);
    let jwks = verifiers.jwks()?;
    for _ in 0..missing {
        for version in [pair.canary, pair.active] {
            probes::run(gateway, name, version, &jwks)?;
        }
    }
    Ok(())
}

/// Prints the outcomes of the canary and the active version to standard error.
fn report(gateway: &Gateway, key: &KeyListing) {
    if let Some(Pair { canary, active }) = probes::pair(key) {
        let seen = |version| describe_outcomes(probes::figures(key, version));
        let verdict = key.verdict.as_deref().unwrap_or("-");
        eprintln!(
            "{}: {}: canary {canary}: {}; active {active}: {}; {verdict}",
            gateway.url,
            key.name,
            seen(canary),
            seen(active),
        );
    }
}

struct Watch<'a> {
    args: &'a Args,
    gateways: &'a [Gateway],
    verifiers: Verifiers,
}

/// The state of the canary at all gateways.
enum Observation {
    Verdicts(Vec<Verdict>),
    /// Someone else promoted it or rolled it back.
    Gone {
        active: Option<u64>,
    },
}

impl Watch<'_> {
    fn run(&self) -> Result<ExitCode, Failure> {
        let period = Duration::from_secs(self.args.watch_seconds);
        let interval = Duration::from_secs(self.args.interval_seconds);
        let canary = self.canary()?;
        let start = Instant::now();
        loop {
            match self.observe() {
                Ok(Observation::Gone { active }) => {
                    eprintln!("{}: version {canary} is no longer a canary", self.args.key);
                    return Ok(if active == Some(canary) { ExitCode::SUCCESS } else { ExitCode::FAILURE });
                }
                Ok(Observation::Verdicts(verdicts)) => {
                    if verdicts.contains(&Verdict::Worse) {
                        // Retried if a gateway can't be reached.
                        match self.roll_back(canary) {
                            Err(failure) if failure.code == 3 && start.elapsed() < period * 2 => {
                                eprintln!("warning: {}", failure.message);
                                std::thread::sleep(interval);
                                continue;
                            }
                            outcome => return outcome,
                        }
                    }
                    let healthy = verdicts.iter().all(|it| *it == Verdict::Healthy);
                    if healthy && start.elapsed() >= period {
                        return send_to_all(self.gateways, &request(&self.args.key, "promote"), self.args.format);
                    }
                }
                Err(failure) => {
                    eprintln!("warning: {}", failure.message);
                    if start.elapsed() >= period * 2 {
                        return Err(Failure::unreachable(format!(
                            "cannot judge version {canary}, which stays a canary: {}",
                            failure.message
                        )));
                    }
                }
            }
            std::thread::sleep(interval);
        }
    }

    fn canary(&self) -> Result<u64, Failure> {
        let listing = ask_first(self.gateways, Gateway::list)?;
        let pair = probes::pair(probes::key(&listing, &self.args.key)?);
        let pair = pair.ok_or_else(|| Failure::refused("no canary to watch"))?;
        Ok(pair.canary)
    }

    fn roll_back(&self, canary: u64) -> Result<ExitCode, Failure> {
        let rollback = OperationRequest { version: Some(canary), ..request(&self.args.key, "rollback") };
        send_to_all(self.gateways, &rollback, self.args.format)?;
        Err(Failure::refused(format!("version {canary} is worse and was rolled back"))
            .hint("the gateway's log and standard error show what failed"))
    }

    /// A canary is worse if it is so at one gateway, even if others can't be reached. It is healthy only if it is so at
    /// all.
    fn observe(&self) -> Result<Observation, Failure> {
        let jwks = self.verifiers.jwks();
        let mut verdicts = Vec::new();
        let mut failed = None;
        for gateway in self.gateways {
            match self.observe_at(gateway, jwks.as_deref().ok()) {
                Ok(Observation::Verdicts(seen)) => verdicts.extend(seen),
                Ok(gone) => return Ok(gone),
                Err(failure) => {
                    failed.get_or_insert(failure);
                }
            }
        }
        if verdicts.contains(&Verdict::Worse) {
            return Ok(Observation::Verdicts(verdicts));
        }
        jwks?;
        failed.map_or(Ok(Observation::Verdicts(verdicts)), Err)
    }

    /// Probes both versions if the published keys are known.
    fn observe_at(&self, gateway: &Gateway, jwks: Option<&[Vec<u8>]>) -> Result<Observation, Failure> {
        let listing = gateway.list()?;
        let key = probes::key(&listing, &self.args.key)?;
        let Some(pair) = probes::pair(key) else {
            let active = key.versions.iter().find(|it| it.state == "active");
            let active = active.map(|it| it.version);
            return Ok(Observation::Gone { active });
        };
        for version in [pair.canary, pair.active] {
            if let Some(jwks) = jwks {
                probes::run(gateway, &self.args.key, version, jwks)?;
            }
        }
        let listing = gateway.list()?;
        let key = probes::key(&listing, &self.args.key)?;
        report(gateway, key);
        Ok(Observation::Verdicts(vec![probes::verdict(key, pair)]))
    }
}

#[cfg(test)]
mod tests {
    use super::parse_share;

    #[test]
    fn parses_whole_percents() {
        for (text, expected) in [("1%", 1), ("5", 5), ("100%", 100)] {
            assert_eq!(parse_share(text), Ok(expected));
        }
        for text in ["0%", "101%", "", "%", "-1%", "0.5%", "5%%"] {
            assert!(parse_share(text).is_err(), "{text}");
        }
    }
}
