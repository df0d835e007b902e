//! `vouchsafe store`: the schema and the upkeep of a store on PostgreSQL.

mod maintain;
mod migrate;

use clap::Subcommand;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use vouchsafe_cli::{Failure, files};
use vouchsafe_host::admin::Admin;

/// Longest address.
const ADDRESS_BYTES_MAX: u64 = 4096;

/// Prepare and maintain a store on PostgreSQL.
///
/// Brokers with their state in SQLite need none of this.
#[derive(clap::Args)]
#[command(
    subcommand_required = true,
    after_help = "Examples:\n  vouchsafe store migrate --check --address @/etc/vouchsafe/postgres-address\n  vouchsafe store maintain --address @/etc/vouchsafe/postgres-address"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Maintain(maintain::Args),
    Migrate(migrate::Args),
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Maintain(args) => vouchsafe_cli::run(maintain::run(args)),
        Command::Migrate(args) => vouchsafe_cli::run(migrate::run(args)),
    }
}

/// Where the database is.
#[derive(clap::Args)]
struct Database {
    /// Address of the database, such as postgres://owner@db.internal/vouchsafe?sslmode=require, or a file that contains it
    #[arg(long, value_name = "ADDRESS|@FILE", env = "POSTGRES_ADDRESS", hide_env_values = true)]
    address: String,
    /// Spin's runtime config, for the certificate authority of the database in client_tls
    #[arg(long, value_name = "FILE")]
    runtime_config_file: Option<PathBuf>,
}

impl Database {
    async fn connect(&self) -> Result<Admin, Failure> {
        let address = match self.address.strip_prefix('@') {
            Some(path) => files::read_text(Path::new(path), ADDRESS_BYTES_MAX)?.trim_end().to_owned(),
            None => self.address.clone(),
        };
        Admin::connect(&address, self.runtime_config_file.as_deref()).await.map_err(super::serve::failure)
    }
}
