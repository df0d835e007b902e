//! Another server that exchanges tokens (RFC 8693), to compare with.

use crate::broker::cpu_of;
use crate::issuer::Issuer;
use crate::{BROKER, Error, Outcome};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running server.
pub struct Peer {
    pub name: String,
    /// `HOST:PORT`.
    pub address: String,
    /// Path and query of its token endpoint.
    pub path: String,
    process: Process,
}

enum Process {
    /// Stopped when dropped.
    Own(Child),
    /// Somebody else's, with its id if known.
    Foreign(Option<u32>),
}

impl Peer {
    /// Starts npm `oidc-provider`, which trusts `issuer`. Installs it first if necessary.
    pub fn oidc_provider(repository: &Path, issuer: &Issuer) -> Outcome<Self> {
        let folder = repository.join("benches/peers");
        if !folder.join("node_modules").is_dir() {
            let installed = Command::new("npm").args(["ci", "--loglevel=error"]).current_dir(&folder).status();
            if !installed.is_ok_and(|status| status.success()) {
                return Err("`npm ci` failed in benches/peers".into());
            }
        }
        let mut child = Command::new("node")
            .args(["server.mjs", &issuer.url(), BROKER])
            .current_dir(&folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let address =
            lines.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("listening on http://")?.to_owned()));
        let process = Process::Own(child);
        let name = "oidc-provider".to_owned();
        Ok(Self { name, address: address.ok_or("oidc-provider did not start")?, path: "/token".to_owned(), process })
    }

    /// The server whose token endpoint is `url`. It must trust the issuer that `scripts/bench` prints.
    pub fn at(url: &str, pid: Option<u32>) -> Outcome<Self> {
        let rest = url.strip_prefix("http://").ok_or("--peer needs an http:// URL")?;
        let (address, path) = rest.split_once('/').map_or((rest, String::new()), |(at, path)| (at, path.to_owned()));
        let process = Process::Foreign(pid);
        Ok(Self { name: url.to_owned(), address: address.to_owned(), path: format!("/{path}"), process })
    }

    /// CPU time so far, if its process is known.
    pub fn cpu(&self) -> Option<Duration> {
        match &self.process {
            Process::Own(child) => cpu_of(child.id()).ok(),
            Process::Foreign(pid) => cpu_of((*pid)?).ok(),
        }
    }

    pub fn pid(&self) -> Option<u32> {
        match &self.process {
            Process::Own(child) => Some(child.id()),
            Process::Foreign(pid) => *pid,
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Process::Own(child) = &mut self.process {
            drop(child.kill().map_err(Error::from));
            drop(child.wait());
        }
    }
}
