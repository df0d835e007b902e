//! `vouchsafe audit witness`.

use super::{note, site};
use crate::client::NetworkArgs;
use crate::client::http::Http;
use crate::client::text::sanitize;
use std::path::PathBuf;
use std::process::ExitCode;
use vouchsafe_cli::{Failure, files};
use vouchsafe_tlog::{NOTE_BYTES_MAX, Note, Policy, Tiles, Witness, consistency, encode, tiles_of};

/// Have witnesses cosign the checkpoint of a broker's log, and keep it.
///
/// Sends the checkpoint to every witness of the policy that has a URL there (C2SP tlog-witness). A witness cosigns only a
/// log that extends what it has seen before, so a cosigned checkpoint proves later that nothing was taken away. The file
/// is written only if the policy's quorum is met.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 the quorum cosigned, 1 it did not, 2 the command line is wrong, 3 the broker cannot be reached.

Examples:
  vouchsafe audit witness --broker https://broker.example --policy log-policy --output kept/checkpoint")]
pub struct Args {
    /// The broker's URL.
    #[arg(long, env = "VOUCHSAFE_BROKER", value_name = "URL")]
    broker: String,
    /// The keys of the log and its witnesses, with their URLs (C2SP tlog-policy).
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// The file that the cosigned checkpoint replaces.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    network: NetworkArgs,
}

/// What a witness answered.
enum Answer {
    /// Lines of cosignatures.
    Cosigned(String),
    /// It has seen a tree of this size.
    Seen(u64),
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let policy = note::read_policy(&args.policy)?;
    let http = args.network.http()?;
    let text = site::text(&http, &args.broker, "checkpoint")?;
    let checkpoint = note::of_log(&text, &policy).map_err(Failure::refused)?;
    let log = note::log_of(&checkpoint.origin);
    let log = log.ok_or_else(|| Failure::refused(format!("`{}` is not the name of a log", checkpoint.origin)))?;
    let mut cosigned = text.clone();
    for witness in &policy.witnesses {
        let Some(url) = &witness.url else { continue };
        let source = Source { http: &http, broker: &args.broker, log, size: checkpoint.size, text: &text };
        match source.cosign(witness, url) {
            Ok(lines) => cosigned.push_str(&lines),
            Err(failure) => eprintln!("vouchsafe: witness `{}`: {}", witness.name, failure.message),
        }
    }
    let accepted = accept(&cosigned, &policy)?;
    files::replace_secret(&args.output, cosigned.as_bytes()).map_err(|error| Failure::file(&args.output, error))?;
    println!("size {}, cosigned by {} of {} witnesses", checkpoint.size, accepted, policy.witnesses.len());
    Ok(ExitCode::SUCCESS)
}

/// How many witnesses cosigned.
fn accept(cosigned: &str, policy: &Policy) -> Result<usize, Failure> {
    let note = Note::parse(cosigned).map_err(|error| Failure::refused(error.to_string()))?;
    let accepted = policy.accept(&note, &note::verify).map_err(|error| Failure::refused(error.to_string()))?;
    Ok(accepted.witnesses.len())
}

struct Source<'a> {
    http: &'a Http,
    broker: &'a str,
    log: u64,
    size: u64,
    /// The checkpoint.
    text: &'a str,
}

impl Source<'_> {
    /// The lines that `witness` adds.
    fn cosign(&self, witness: &Witness, url: &str) -> Result<String, Failure> {
        let lines = match self.add(url, 0)? {
            Answer::Cosigned(lines) => lines,
            // A witness that has seen the log says what of it.
            Answer::Seen(old) => match self.add(url, old)? {
                Answer::Cosigned(lines) => lines,
                Answer::Seen(size) => return Err(Failure::refused(format!("it has seen a tree of {size} leaves now"))),
            },
        };
        let note =
            Note::parse(&format!("{}{lines}", self.text)).map_err(|error| Failure::refused(error.to_string()))?;
        match note.signed_by(&witness.key, &note::verify) {
            Ok(Some(_)) => Ok(lines),
            Ok(None) => Err(Failure::refused("its cosignature is by another key")),
            Err(error) => Err(Failure::refused(error.to_string())),
        }
    }

    /// Sends the checkpoint with the proof that it extends the tree of `old` leaves.
    fn add(&self, url: &str, old: u64) -> Result<Answer, Failure> {
        let path = consistency(old, self.size).ok_or_else(|| {
            Failure::refused(format!("it has seen a tree of {old} leaves, and there are {} now", self.size))
        })?;
        let mut tiles = Tiles::default();
        for id in tiles_of(&path) {
            tiles.insert(id, site::tile(self.http, self.broker, self.log, id, id.width(self.size))?);
        }
        let hashes = tiles.hashes(&path).ok_or_else(|| Failure::refused("a tile of the broker is missing"))?;
        let proof: String = hashes.iter().map(|hash| encode(hash) + "\n").collect();
        let url = format!("{}/add-checkpoint", url.trim_end_matches('/'));
        let reply = self.http.post_text(&url, format!("old {old}\n{proof}\n{}", self.text))?;
        let body = String::from_utf8_lossy(&reply.body);
        match reply.status {
            200 if body.len() <= NOTE_BYTES_MAX => Ok(Answer::Cosigned(body.into_owned())),
            409 => match body.trim_end().parse() {
                Ok(size) => Ok(Answer::Seen(size)),
                Err(_) => Err(reply.unexpected(&url)),
            },
            status => {
                let why = sanitize(body.lines().next().unwrap_or_default());
                Err(Failure::refused(format!("{url} answered {status}: {why}")))
            }
        }
    }
}
