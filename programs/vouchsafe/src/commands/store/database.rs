//! The database of a command.

use crate::commands::serve::failure;
use std::path::{Path, PathBuf};
use vouchsafe_cli::{Failure, files};
use vouchsafe_host::admin::Admin;

/// Longest address.
const ADDRESS_BYTES_MAX: u64 = 4096;

/// Where the database is.
#[derive(clap::Args)]
pub struct Database {
    /// Address of the database, such as postgres://owner@db.internal/vouchsafe?sslmode=require, or a file that contains it
    #[arg(long, value_name = "ADDRESS|@FILE", env = "POSTGRES_ADDRESS", hide_env_values = true)]
    address: String,
    /// Spin's runtime config, for the certificate authority of the database in client_tls
    #[arg(long, value_name = "FILE")]
    runtime_config_file: Option<PathBuf>,
}

impl Database {
    pub async fn connect(&self) -> Result<Admin, Failure> {
        let address = match self.address.strip_prefix('@') {
            Some(path) => files::read_text(Path::new(path), ADDRESS_BYTES_MAX)?.trim_end().to_owned(),
            None => self.address.clone(),
        };
        Admin::connect(&address, self.runtime_config_file.as_deref()).await.map_err(failure)
    }
}
