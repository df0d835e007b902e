//! `vouchsafe keys canary` and `promote`: a new version is tried on few, watched, and kept or taken back.

use super::act::{everywhere, first_of, request};
use super::list::outcomes;
use super::probes::{self, Pair, Verifiers};
use super::several::check_same;
use crate::client::Http;
use crate::client::gateway::{Gateway, GatewayArgs};
use serde_json::Value;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use vouchsafe_cli::{Failure, Format};
use vouchsafe_gateway::admin::{ActRequest, KeyListing};
use vouchsafe_gateway::{CANARY_OUTCOMES_MIN, Verdict};

/// Have the staged version sign for a share of the workloads.
///
/// Who is in a share is drawn from issuer, workload and audience, and stays in it while it grows. With
/// --watch the version is probed and compared with the active one, then promoted, or taken back as soon
/// as it is worse.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 done, and with --watch promoted, 1 refused, and with --watch taken back, 2 wrong use,
3 a gateway or broker can't be reached; with --watch for so long that nothing could be said.

Examples:
  vouchsafe keys canary deploy 5% --gateway https://gateway.internal:8481 --admin-token-file admin-token
  vouchsafe keys canary deploy 20% --watch --broker https://broker.example --gateway https://gateway.internal:8481 --admin-token-file admin-token")]
pub struct Args {
    /// The `name` of the [[key]].
    key: String,
    /// How many of the workloads: 1% to 100%.
    #[arg(value_name = "SHARE", value_parser = share)]
    share: u8,
    /// Stay, probe both versions, and promote or roll back.
    #[arg(long, requires = "brokers")]
    watch: bool,
    /// Where verifiers get their keys: a broker, or one host of it; may be repeated.
    #[arg(long = "broker", id = "brokers", value_name = "URL")]
    brokers: Vec<String>,
    /// For how long a canary has to be well before it is promoted.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    watch_seconds: u64,
    /// How often it is looked at.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval_seconds: u64,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Have the canary sign for all.
///
/// It is refused while the canary fails more often than the active version, has fewer than 20 outcomes, or was
/// not probed. With --broker as many probes are made as are wanting.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 promoted, or so already, 1 refused, 2 wrong use, 3 a gateway or broker can't be reached.

Examples:
  vouchsafe keys promote deploy --broker https://broker.example --gateway https://gateway.internal:8481 --admin-token-file admin-token")]
pub struct PromoteArgs {
    /// The `name` of the [[key]].
    key: String,
    /// Where verifiers get their keys: a broker, or one host of it; may be repeated.
    #[arg(long = "broker", value_name = "URL")]
    brokers: Vec<String>,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

fn share(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text);
    let percent = number.parse().ok().filter(|it| (1..=100).contains(it));
    percent.ok_or_else(|| "a share is 1% to 100%".to_owned())
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let gateways = args.gateways.open()?;
    // ORDER: whatever can fail by a wrong argument fails before a version is tried that nobody would watch.
    let verifiers = Verifiers::new(Http::new(), &args.brokers)?;
    check_same(&gateways, &args.key)?;
    let request = ActRequest {
        share: Some(args.share),
        ..request(&args.key, "canary")
    };
    let code = everywhere(&gateways, &request, args.format)?;
    if !args.watch {
        return Ok(code);
    }
    let watch = Watch {
        args,
        gateways: &gateways,
        verifiers,
    };
    watch.run()
}

pub fn promote(args: &PromoteArgs) -> Result<ExitCode, Failure> {
    let gateways = args.gateways.open()?;
    check_same(&gateways, &args.key)?;
    if !args.brokers.is_empty() {
        let verifiers = Verifiers::new(Http::new(), &args.brokers)?;
        for gateway in &gateways {
            prove(gateway, &args.key, &verifiers)?;
        }
    }
    let outcome = everywhere(&gateways, &request(&args.key, "promote"), args.format);
    if outcome.as_ref().is_err_and(|failure| failure.code == 1) {
        // Whatever the reason, the figures are what is looked at next.
        for gateway in &gateways {
            let told = gateway.list().and_then(|listing| {
                let key = probes::key(&listing, &args.key)?;
                tell(gateway, key);
                Ok(())
            });
            drop(told);
        }
    }
    outcome
}

/// Makes the probes that are wanting for a judgement, of both versions alike.
fn prove(gateway: &Gateway, name: &str, verifiers: &Verifiers) -> Result<(), Failure> {
    let listing = gateway.list()?;
    let key = probes::key(&listing, name)?;
    let Some(pair) = probes::pair(key) else {
        return Ok(());
    };
    let seen = probes::figures(key, pair.canary).outcomes();
    // One at least: what was counted so far says nothing of the published keys.
    let wanting = CANARY_OUTCOMES_MIN.saturating_sub(seen).max(1);
    let jwks = verifiers.jwks()?;
    for _ in 0..wanting {
        for version in [pair.canary, pair.active] {
            probes::probe(gateway, name, version, &jwks)?;
        }
    }
    Ok(())
}

/// Figures of the canary and the active version, on standard error.
fn tell(gateway: &Gateway, key: &KeyListing) {
    if let Some(Pair { canary, active }) = probes::pair(key) {
        let seen = |version| outcomes(probes::figures(key, version));
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

/// What a look at all gateways says.
enum Look {
    Verdicts(Vec<Verdict>),
    /// Somebody else has promoted it or taken it back.
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
            match self.look() {
                Ok(Look::Gone { active }) => {
                    eprintln!("{}: version {canary} is no canary any more", self.args.key);
                    return Ok(if active == Some(canary) {
                        ExitCode::SUCCESS
                    } else {
                        ExitCode::FAILURE
                    });
                }
                Ok(Look::Verdicts(verdicts)) => {
                    if verdicts.contains(&Verdict::Worse) {
                        // It is not let alone because of one failure.
                        match self.take_back(canary) {
                            Err(failure) if failure.code == 3 && start.elapsed() < period * 2 => {
                                eprintln!("warning: {}", failure.message);
                                std::thread::sleep(interval);
                                continue;
                            }
                            outcome => return outcome,
                        }
                    }
                    let well = verdicts.iter().all(|it| *it == Verdict::Healthy);
                    if well && start.elapsed() >= period {
                        return everywhere(
                            self.gateways,
                            &request(&self.args.key, "promote"),
                            self.args.format,
                        );
                    }
                }
                Err(failure) => {
                    eprintln!("warning: {}", failure.message);
                    if start.elapsed() >= period * 2 {
                        return Err(Failure::unreachable(format!(
                            "nothing can be said of version {canary}, which stays a canary: {}",
                            failure.message
                        )));
                    }
                }
            }
            std::thread::sleep(interval);
        }
    }

    fn canary(&self) -> Result<u64, Failure> {
        let listing = first_of(self.gateways, Gateway::list)?;
        let pair = probes::pair(probes::key(&listing, &self.args.key)?);
        let pair = pair.ok_or_else(|| Failure::refused("there is no canary to watch"))?;
        Ok(pair.canary)
    }

    fn take_back(&self, canary: u64) -> Result<ExitCode, Failure> {
        let rollback = ActRequest {
            version: Some(canary),
            ..request(&self.args.key, "rollback")
        };
        everywhere(self.gateways, &rollback, self.args.format)?;
        Err(
            Failure::refused(format!("version {canary} is worse, and was taken back"))
                .hint("the gateway's log and standard error say what failed"),
        )
    }

    /// A canary that is worse at one gateway is, whoever else can't be reached; that it is well everybody
    /// has to say.
    fn look(&self) -> Result<Look, Failure> {
        let jwks = self.verifiers.jwks();
        let mut verdicts = Vec::new();
        let mut failed = None;
        for gateway in self.gateways {
            match self.look_at(gateway, jwks.as_deref().ok()) {
                Ok(Look::Verdicts(seen)) => verdicts.extend(seen),
                Ok(gone) => return Ok(gone),
                Err(failure) => {
                    failed.get_or_insert(failure);
                }
            }
        }
        if verdicts.contains(&Verdict::Worse) {
            return Ok(Look::Verdicts(verdicts));
        }
        jwks?;
        failed.map_or(Ok(Look::Verdicts(verdicts)), Err)
    }

    /// Probes both versions where the published keys are known.
    fn look_at(&self, gateway: &Gateway, jwks: Option<&[Value]>) -> Result<Look, Failure> {
        let listing = gateway.list()?;
        let key = probes::key(&listing, &self.args.key)?;
        let Some(pair) = probes::pair(key) else {
            let active = key.versions.iter().find(|it| it.state == "active");
            let active = active.map(|it| it.version);
            return Ok(Look::Gone { active });
        };
        for version in [pair.canary, pair.active] {
            if let Some(jwks) = jwks {
                probes::probe(gateway, &self.args.key, version, jwks)?;
            }
        }
        let listing = gateway.list()?;
        let key = probes::key(&listing, &self.args.key)?;
        tell(gateway, key);
        Ok(Look::Verdicts(vec![probes::verdict(key, pair)]))
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn a_share_is_whole_percent() {
        for (text, expected) in [("1%", 1), ("5", 5), ("100%", 100)] {
            assert_eq!(share(text), Ok(expected));
        }
        for text in ["0%", "101%", "", "%", "-1%", "0.5%", "5%%"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
