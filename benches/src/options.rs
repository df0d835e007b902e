//! The command line.

use crate::Outcome;
use std::path::PathBuf;
use std::time::Duration;

const SECONDS_DEFAULT: u64 = 8;
const SECONDS_MAX: u64 = 12;
pub const USAGE: &str = "usage: scripts/bench [--seconds 1..12] [--full | --variety | --policy | --hsm | --against PROGRAM|CHECKOUT | --peer URL [--peer-pid PID]]";

#[derive(Clone)]
pub struct Options {
    /// How long each measurement lasts.
    pub lasting: Duration,
    /// Everything about this broker.
    pub full: bool,
    /// Only exchanges of other kinds.
    pub variety: bool,
    /// The token endpoint to compare with, in place of `oidc-provider`.
    pub peer: Option<String>,
    /// Its process, whose CPU time is measured.
    pub peer_pid: Option<u32>,
    /// Only what bundles cost.
    pub policy: bool,
    /// Only both tiers with an HSM.
    pub hsm: bool,
    /// Only the ratio to this `vouchsafe`, or to the one of this checkout.
    pub against: Option<PathBuf>,
}

/// Reads the arguments of the process.
pub fn parse() -> Outcome<Options> {
    let mut options = Options {
        lasting: Duration::from_secs(SECONDS_DEFAULT),
        full: false,
        variety: false,
        peer: None,
        peer_pid: None,
        policy: false,
        hsm: false,
        against: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--full" => options.full = true,
            "--variety" => options.variety = true,
            "--peer" => options.peer = Some(arguments.next().ok_or("--peer needs a URL")?),
            "--peer-pid" => options.peer_pid = Some(arguments.next().ok_or("--peer-pid needs a number")?.parse()?),
            "--policy" => options.policy = true,
            "--hsm" => options.hsm = true,
            "--against" => {
                let path = arguments.next().ok_or("--against needs a path")?;
                options.against = Some(PathBuf::from(path).canonicalize()?);
            }
            "--seconds" => {
                let seconds: u64 = arguments.next().ok_or("--seconds needs a number")?.parse()?;
                if !(1..=SECONDS_MAX).contains(&seconds) {
                    return Err("--seconds is out of range".into());
                }
                options.lasting = Duration::from_secs(seconds);
            }
            _ => return Err(format!("unknown argument `{argument}`").into()),
        }
    }
    Ok(options)
}
