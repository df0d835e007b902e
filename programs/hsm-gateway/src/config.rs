//! The configuration file: listeners, the PKCS#11 token, key groups, keys, credentials.

use serde::Deserialize;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use vouchsafe_cli::files::{read_secret, read_text};
use vouchsafe_cli::{Failure, Position};
use vouchsafe_gateway::{AdminFile, Admins, CredentialFile, GroupFile, KeyFile, Rules};
use zeroize::Zeroizing;

/// Longest configuration or PIN file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
const SESSIONS_MAX: usize = 64;
const QUEUE_MAX: usize = 10_000;
const DEADLINE_MS: std::ops::RangeInclusive<u64> = 50..=60_000;

/// The file's content.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: SocketAddr,
    admin_listen: Option<SocketAddr>,
    metrics_listen: Option<SocketAddr>,
    state_dir: PathBuf,
    #[serde(default = "default_log_sync")]
    log_sync: bool,
    #[serde(default)]
    development: bool,
    tls: Option<TlsFiles>,
    module: ModuleFile,
    #[serde(default)]
    group: Vec<GroupFile>,
    #[serde(default)]
    key: Vec<KeyFile>,
    #[serde(default)]
    credential: Vec<CredentialFile>,
    #[serde(default)]
    admin: Vec<AdminFile>,
}

/// `[tls]`: PEM files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Certificate authorities; clients then need a certificate of one of them.
    pub client_roots: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModuleFile {
    path: PathBuf,
    token: String,
    pin_file: Option<PathBuf>,
    pin_variable: Option<String>,
    #[serde(default = "default_sessions")]
    sessions: usize,
    #[serde(default = "default_queue")]
    queue: usize,
    #[serde(default = "default_deadline_ms")]
    deadline_ms: u64,
}

fn default_log_sync() -> bool {
    true
}

fn default_sessions() -> usize {
    4
}

fn default_queue() -> usize {
    64
}

fn default_deadline_ms() -> u64 {
    2_000
}

/// The PKCS#11 token, its module, and their limits.
#[derive(Clone)]
pub struct Module {
    pub path: PathBuf,
    pub token: String,
    pub pin: Zeroizing<String>,
    /// The environment variable with the PIN, if it comes from there.
    pub pin_variable: Option<String>,
    /// Concurrent operations.
    pub sessions: usize,
    /// Requests that wait for a session.
    pub queue: usize,
    /// Longest duration of one operation.
    pub deadline: Duration,
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Module({}, token {:?}, ..)", self.path.display(), self.token)
    }
}

/// The checked configuration.
#[derive(Debug)]
pub struct Config {
    pub listen: SocketAddr,
    /// Where admins connect, if anywhere.
    pub admin_listen: Option<SocketAddr>,
    pub metrics_listen: Option<SocketAddr>,
    pub state_dir: PathBuf,
    /// Whether a log line is synced before its event has an effect.
    pub log_sync: bool,
    pub development: bool,
    pub tls: Option<TlsFiles>,
    pub module: Module,
    pub rules: Rules,
    pub admins: Admins,
}

impl Config {
    /// Reads the file. Paths in it are relative to its directory.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = read_text(path, FILE_BYTES_MAX).map_err(|failure| {
            failure.hint("`--config FILE` names the file; docs/hsm/install.md has one to start from")
        })?;
        let mut file: File = toml::from_str(&text).map_err(|error| {
            let position = error.span().map(|span| Position::of(&text, span.start));
            let position = position.map(|it| format!(":{it}"));
            // Only the message: the rest of this error quotes lines of the file.
            Failure::usage(format!("{}{}: {}", path.display(), position.unwrap_or_default(), error.message()))
        })?;
        let base = path.parent().unwrap_or(Path::new(""));
        let wrong = |message: String| Failure::usage(format!("{}: {message}", path.display()));
        let (groups, keys) = (mem::take(&mut file.group), mem::take(&mut file.key));
        let rules =
            Rules::new(groups, keys, mem::take(&mut file.credential)).map_err(|error| wrong(error.to_string()))?;
        let admins = Admins::new(mem::take(&mut file.admin), &rules).map_err(|error| wrong(error.to_string()))?;
        check(&file, &rules, &admins).map_err(|(message, hint)| {
            let failure = wrong(message);
            match hint {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        })?;
        let tls = file.tls.map(|tls| TlsFiles {
            certificate: base.join(tls.certificate),
            key: base.join(tls.key),
            client_roots: tls.client_roots.map(|roots| base.join(roots)),
        });
        Ok(Self {
            listen: file.listen,
            admin_listen: file.admin_listen,
            metrics_listen: file.metrics_listen,
            state_dir: base.join(&file.state_dir),
            log_sync: file.log_sync,
            development: file.development,
            tls,
            module: module(file.module, base, wrong)?,
            rules,
            admins,
        })
    }
}

/// Checks settings against each other.
///
/// # Errors
/// What is wrong, and what to do about it.
fn check(file: &File, rules: &Rules, admins: &Admins) -> Result<(), (String, Option<&'static str>)> {
    if file.admin_listen.is_some() == admins.is_empty() {
        let text = "`admin_listen` and [[admin]] require each other";
        return Err((text.to_owned(), None));
    }
    if file.tls.is_none() && !file.development {
        let hint = "plain HTTP needs `development = true`, and listens on loopback only";
        return Err(("[tls] is missing".to_owned(), Some(hint)));
    }
    let tls = file.tls.as_ref();
    let requests_certificates = tls.is_some_and(|it| it.client_roots.is_some());
    if (rules.has_bindings() || admins.have_bindings()) && !requests_certificates {
        let text = "`certificate_sha256` needs client certificates";
        let hint = "set `client_roots` in [tls]";
        return Err((text.to_owned(), Some(hint)));
    }
    for (name, address) in
        [("listen", Some(file.listen)), ("admin_listen", file.admin_listen), ("metrics_listen", file.metrics_listen)]
    {
        if let Some(address) = address.filter(|it| file.development && !it.ip().is_loopback()) {
            let text = format!("`development` allows loopback only, but `{name}` is {address}");
            return Err((text, None));
        }
    }
    if let Some(address) = file.metrics_listen.filter(|it| is_public(it.ip())) {
        let text = format!("`metrics_listen` must not be a public address: {address}");
        let hint = "metrics need no credential; use an address of loopback or a private network";
        return Err((text, Some(hint)));
    }
    Ok(())
}

/// Whether an address may be reachable from the internet. The unspecified address counts as private, since nothing is
/// known about the interfaces.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(it) => {
            // RFC 6598: shared address space.
            let [first, second, ..] = it.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            let is_inside = it.is_loopback() || it.is_private() || it.is_link_local();
            !(is_inside || is_shared || it.is_unspecified())
        }
        IpAddr::V6(it) => {
            let is_inside = it.is_loopback() || it.is_unique_local() || it.is_unicast_link_local();
            !(is_inside || it.is_unspecified())
        }
    }
}

fn module(file: ModuleFile, base: &Path, wrong: impl Fn(String) -> Failure) -> Result<Module, Failure> {
    if !(1..=SESSIONS_MAX).contains(&file.sessions) {
        return Err(wrong(format!("`sessions` must be 1 to {SESSIONS_MAX}")));
    }
    if !(1..=QUEUE_MAX).contains(&file.queue) {
        return Err(wrong(format!("`queue` must be 1 to {QUEUE_MAX}")));
    }
    if !DEADLINE_MS.contains(&file.deadline_ms) {
        return Err(wrong("`deadline_ms` must be 50 to 60000".to_owned()));
    }
    let pin = match (file.pin_file, &file.pin_variable) {
        (Some(path), None) => read_secret(&base.join(path), FILE_BYTES_MAX)?,
        (None, Some(name)) => {
            Zeroizing::new(std::env::var(name).map_err(|_| wrong(format!("environment variable {name} is not set")))?)
        }
        _ => {
            let text = "[module] needs exactly one of `pin_file` and `pin_variable`";
            return Err(wrong(text.to_owned()));
        }
    };
    // A trailing line break is not part of the PIN.
    let pin = Zeroizing::new(pin.trim_end_matches(['\r', '\n']).to_owned());
    if pin.is_empty() {
        return Err(wrong("the PIN is empty".to_owned()));
    }
    Ok(Module {
        path: base.join(file.path),
        token: file.token,
        pin,
        pin_variable: file.pin_variable,
        sessions: file.sessions,
        queue: file.queue,
        deadline: Duration::from_millis(file.deadline_ms),
    })
}

#[cfg(test)]
mod tests;
