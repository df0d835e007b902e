//! `vouchsafe audit verify`.

use super::database::Database;
use super::finding::Finding;
use super::postgres::Postgres;
use super::report::{Kept, Report, compare, tree_for};
use super::rows::{self, Counts, whole};
use super::tree::Tree;
use super::{copy, note, site};
use crate::client::NetworkArgs;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format};
use vouchsafe_tlog::{Policy, TileId, decode, encode};

/// Check that no audit record was changed, deleted, inserted or moved since it was recorded.
///
/// Needs no broker and changes nothing: pass the state directory of a broker, a copy of its database, or the address of its
/// PostgreSQL database, of which this command makes a temporary copy. With a broker's
/// URL, its public tiles are checked instead, without the records. Somebody with the signing key could cut off the end of
/// the log and sign the rest again. Only a checkpoint that was kept elsewhere, or cosigned by a witness, shows that.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 nothing found, 1 something found, 2 a file cannot be read or the command line is wrong, 3 the broker cannot be reached.

Examples:
  vouchsafe audit verify /var/lib/vouchsafe --policy log-policy
  vouchsafe audit verify copy.db --policy log-policy --checkpoint kept/checkpoint
  vouchsafe audit verify https://broker.example --policy log-policy --format json")]
pub struct Args {
    /// A state directory, a database, the address of a PostgreSQL database, or @FILE with it, or the URL of a broker.
    #[arg(value_name = "DB|URL")]
    source: String,
    /// The keys of the log and its witnesses (C2SP tlog-policy): `vouchsafe audit policy` prints one.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// A checkpoint that was kept elsewhere; may be repeated.
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    network: NetworkArgs,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let policy = note::read_policy(&args.policy)?;
    let kept = args.checkpoint.iter().map(|path| read(path, &policy)).collect::<Result<Vec<_>, _>>()?;
    let is_url = args.source.starts_with("https://") || args.source.starts_with("http://");
    let report = match Postgres::address(&args.source)? {
        _ if is_url => site::check(&args.network.http()?, &args.source, &policy, &kept)?,
        Some(address) => check(&copy::of_postgres(Postgres::connect(&address)?)?, &policy, &kept)?,
        None => check(&Database::read(Path::new(&args.source))?, &policy, &kept)?,
    };
    match args.format {
        Format::Json => println!("{}", json(&report)),
        Format::Text => text(&report, &kept).iter().for_each(|line| println!("{line}")),
    }
    Ok(ExitCode::from(u8::from(!report.findings.is_empty())))
}

fn read(path: &Path, policy: &Policy) -> Result<Kept, Failure> {
    let accepted = note::read_checkpoint(path, policy)?;
    let witnesses = accepted.witnesses.into_iter().map(|(name, _)| name).collect();
    Ok(Kept { checkpoint: accepted.checkpoint, from: path.display().to_string(), witnesses })
}

/// The checkpoint that was published last.
pub fn published(database: &Database) -> Result<Option<String>, Failure> {
    let sql = "SELECT value FROM pointers WHERE name LIKE 'log/%' AND value <> '' ORDER BY name DESC LIMIT 1";
    Ok(database.column(sql)?.pop())
}

/// Checks a database: its records, leaves, tiles and checkpoints.
pub fn check(database: &Database, policy: &Policy, kept: &[Kept]) -> Result<Report, Failure> {
    // One snapshot, so that a running broker changes nothing between two statements.
    database.connection.execute_batch("BEGIN").map_err(|error| database.failed(&error))?;
    let (counts, mut findings) = rows::check(database)?;
    let mut published = Vec::new();
    for text in database.column::<String>("SELECT value FROM pointers WHERE name LIKE 'log/%' AND value <> ''")? {
        let from = "the database".to_owned();
        match note::of_log(&text, policy) {
            Ok(checkpoint) => published.push(Kept { checkpoint, from, witnesses: vec![] }),
            Err(why) => findings.push(Finding::Signature { from, why }),
        }
    }
    let all: Vec<_> = published.iter().chain(kept).collect();
    let trees = trees(database, &all, &mut findings).map_err(|error| database.failed(&error))?;
    tiles(database, &trees, &mut findings).map_err(|error| database.failed(&error))?;
    for kept in all {
        compare(kept, &trees, &mut findings);
    }
    let leaves = trees.iter().map(|(log, tree)| (*log, tree.size())).collect();
    Ok(Report { leaves, counts: Some(counts), findings })
}

/// The tree of every log, recomputed from its leaves.
fn trees(database: &Database, kept: &[&Kept], findings: &mut Vec<Finding>) -> rusqlite::Result<BTreeMap<u64, Tree>> {
    let mut trees: BTreeMap<u64, Tree> = BTreeMap::new();
    let mut statement =
        database.connection.prepare("SELECT log, log_index, hash FROM log_leaves ORDER BY log, log_index")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (log, index) = (whole(row.get(0)?), whole(row.get(1)?));
        let tree = trees.entry(log).or_insert_with(|| tree_for(log, kept.iter().copied()));
        let hash = decode(&row.get::<_, String>(2)?);
        match hash {
            Some(hash) if tree.size() == index => tree.push(hash),
            // What follows has other indexes than it should: name the first missing leaf only.
            _ if !findings
                .iter()
                .any(|finding| matches!(finding, Finding::Gap { log: known, .. } if *known == log)) =>
            {
                findings.push(Finding::Gap { log, index: tree.size() });
            }
            _ => {}
        }
    }
    Ok(trees)
}

fn tiles(database: &Database, trees: &BTreeMap<u64, Tree>, findings: &mut Vec<Finding>) -> rusqlite::Result<()> {
    let mut statement = database.connection.prepare("SELECT log, level, tile_index, hashes FROM log_tiles")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let log = whole(row.get(0)?);
        let (level, index) = (u8::try_from(row.get::<_, i64>(1)?).unwrap_or(u8::MAX), whole(row.get(2)?));
        let stored: String = row.get(3)?;
        let tile = trees.get(&log).and_then(|tree| tree.tile(TileId { level, index }));
        // A crash may leave a tile behind, which the next checkpoint lets grow.
        let is_prefix = tile.is_some_and(|tile| {
            let stored = vouchsafe_store::tile_hashes(&stored);
            stored.is_some_and(|stored| tile.starts_with(&stored))
        });
        if !is_prefix {
            findings.push(Finding::Tile { log, level, index });
        }
    }
    Ok(())
}

fn json(report: &Report) -> serde_json::Value {
    let counts = report.counts.map(|counts| {
        json!({ "verified": counts.verified, "before": counts.before, "pending": counts.pending, "pruned": counts.pruned })
    });
    json!({
        "logs": report.leaves.iter().map(|(log, leaves)| json!({ "log": log, "leaves": leaves })).collect::<Vec<_>>(),
        "records": counts,
        "findings": report.findings.iter().map(Finding::json).collect::<Vec<_>>(),
    })
}

fn text(report: &Report, kept: &[Kept]) -> Vec<String> {
    let mut lines: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    for (log, leaves) in &report.leaves {
        lines.push(format!("log {log}: {leaves} leaves"));
    }
    if let Some(Counts { verified, before, pending, pruned }) = report.counts {
        lines.push(format!(
            "records: {verified} verified, {before} from before the log, {pending} not in the log yet, {pruned} pruned"
        ));
    }
    for Kept { checkpoint, from, witnesses } in kept {
        let by = if witnesses.is_empty() { String::new() } else { format!(", cosigned by {}", witnesses.join(", ")) };
        lines.push(format!("checkpoint in {from}: size {}, root {}{by}", checkpoint.size, encode(&checkpoint.root)));
    }
    if kept.is_empty() {
        lines.push(
            "note: whether the end was cut off and the rest signed again, only a checkpoint from elsewhere shows: \
             pass --checkpoint"
                .to_owned(),
        );
    }
    lines
}
