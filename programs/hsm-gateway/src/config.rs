//! The one file: where to listen, which token, and the rules.

use serde::Deserialize;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use vouchsafe_cli::files::{read_secret, read_text};
use vouchsafe_cli::{Failure, Position};
use vouchsafe_gateway::{AdminFile, Admins, CredentialFile, GroupFile, KeyFile, Rules};
use zeroize::Zeroizing;

/// Longest file that is read whole.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
const SESSIONS_MAX: usize = 64;
const QUEUE_MAX: usize = 10_000;
const DEADLINE_MS: std::ops::RangeInclusive<u64> = 50..=60_000;

/// The file as it is written.
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
    /// Clients need a certificate of one of these authorities.
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

/// Which token of which module, and how much of it is used at once.
#[derive(Clone)]
pub struct Module {
    pub path: PathBuf,
    pub token: String,
    pub pin: Zeroizing<String>,
    /// Where in the environment the PIN is, if it is there.
    pub pin_variable: Option<String>,
    /// Operations at once.
    pub sessions: usize,
    /// Requests that wait for one of them.
    pub queue: usize,
    /// Of one operation.
    pub deadline: Duration,
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Module({}, token {:?}, ..)",
            self.path.display(),
            self.token
        )
    }
}

/// All that the file says, checked.
#[derive(Debug)]
pub struct Config {
    pub listen: SocketAddr,
    /// Where keys are changed; nowhere without it.
    pub admin_listen: Option<SocketAddr>,
    pub metrics_listen: Option<SocketAddr>,
    pub state_dir: PathBuf,
    /// Whether a line of the log is on the disk before what it tells of leaves.
    pub log_sync: bool,
    pub development: bool,
    pub tls: Option<TlsFiles>,
    pub module: Module,
    pub rules: Rules,
    pub admins: Admins,
}

impl Config {
    /// Reads the file; other files that it names are relative to its folder.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = read_text(path, FILE_BYTES_MAX).map_err(|failure| {
            failure.hint("`--config FILE` names it; docs/hsm/install.md has one to start from")
        })?;
        let mut file: File = toml::from_str(&text).map_err(|error| {
            let position = error.span().map(|span| Position::of(&text, span.start));
            let position = position.map(|it| format!(":{it}"));
            // Only the message: the rest of an error of this crate quotes the file's lines.
            Failure::usage(format!(
                "{}{}: {}",
                path.display(),
                position.unwrap_or_default(),
                error.message()
            ))
        })?;
        let base = path.parent().unwrap_or(Path::new(""));
        let wrong = |message: String| Failure::usage(format!("{}: {message}", path.display()));
        let (groups, keys) = (mem::take(&mut file.group), mem::take(&mut file.key));
        let rules = Rules::new(groups, keys, mem::take(&mut file.credential))
            .map_err(|error| wrong(error.to_string()))?;
        let admins = Admins::new(mem::take(&mut file.admin), &rules)
            .map_err(|error| wrong(error.to_string()))?;
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

/// What members say together.
///
/// # Errors
/// What is wrong, and what to do about it.
fn check(
    file: &File,
    rules: &Rules,
    admins: &Admins,
) -> Result<(), (String, Option<&'static str>)> {
    if file.admin_listen.is_some() == admins.is_empty() {
        let text = "`admin_listen` and [[admin]] go together: there is one without the other";
        return Err((text.to_owned(), None));
    }
    if file.tls.is_none() && !file.development {
        let hint = "plain http is for development on loopback: `development = true`";
        return Err(("there is no [tls]".to_owned(), Some(hint)));
    }
    let tls = file.tls.as_ref();
    let asks_for_certificates = tls.is_some_and(|it| it.client_roots.is_some());
    if (rules.has_bindings() || admins.have_bindings()) && !asks_for_certificates {
        let text = "`certificate_sha256` is for clients that show a certificate";
        let hint = "[tls] `client_roots` asks them for one";
        return Err((text.to_owned(), Some(hint)));
    }
    for (name, address) in [
        ("listen", Some(file.listen)),
        ("admin_listen", file.admin_listen),
        ("metrics_listen", file.metrics_listen),
    ] {
        if let Some(address) = address.filter(|it| file.development && !it.ip().is_loopback()) {
            let text = format!("`development` is for loopback alone, and `{name}` is {address}");
            return Err((text, None));
        }
    }
    if let Some(address) = file.metrics_listen.filter(|it| is_public(it.ip())) {
        let text = format!(
            "`metrics_listen` is {address}, which is a public address, and metrics are there for anyone"
        );
        let hint = "an address of loopback or of a private network";
        return Err((text, Some(hint)));
    }
    Ok(())
}

/// Whether anybody on the internet may reach an address: it is none of loopback, of a private network, of
/// the link, or of all interfaces, of which nothing is known.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(it) => {
            // RFC 6598: shared by a provider's customers.
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

fn module(
    file: ModuleFile,
    base: &Path,
    wrong: impl Fn(String) -> Failure,
) -> Result<Module, Failure> {
    if !(1..=SESSIONS_MAX).contains(&file.sessions) {
        return Err(wrong(format!("`sessions` is not 1 to {SESSIONS_MAX}")));
    }
    if !(1..=QUEUE_MAX).contains(&file.queue) {
        return Err(wrong(format!("`queue` is not 1 to {QUEUE_MAX}")));
    }
    if !DEADLINE_MS.contains(&file.deadline_ms) {
        return Err(wrong("`deadline_ms` is not 50 to 60000".to_owned()));
    }
    let pin = match (file.pin_file, &file.pin_variable) {
        (Some(path), None) => read_secret(&base.join(path), FILE_BYTES_MAX)?,
        (None, Some(name)) => Zeroizing::new(
            std::env::var(name).map_err(|_| wrong(format!("the environment has no {name}")))?,
        ),
        _ => {
            let text = "[module] wants one of `pin_file` and `pin_variable`";
            return Err(wrong(text.to_owned()));
        }
    };
    // An editor's last line break is not part of the PIN.
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
mod tests {
    use super::*;

    const GOOD: &str = r#"
listen = "127.0.0.1:8480"
state_dir = "state"
development = true
[module]
path = "/module.so"
token = "vouchsafe"
pin_variable = "PATH"
[[group]]
name = "default"
issuer = "http://127.0.0.1:3000"
algorithms = ["ES256"]
epoch_seconds = 3600
[[credential]]
name = "broker"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
groups = ["default"]
"#;

    fn read(text: &str) -> Result<Config, String> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("gateway-{}-{number}.toml", std::process::id()));
        std::fs::write(&path, text).expect("writes");
        let config = Config::read(&path).map_err(|failure| failure.message);
        std::fs::remove_file(&path).expect("removes");
        config
    }

    #[track_caller]
    fn refuses(from: &str, to: &str, expected: &str) {
        assert!(GOOD.contains(from), "{from}");
        let message = read(&GOOD.replacen(from, to, 1)).map(drop).expect_err(to);
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn reads_a_small_file() {
        let config = read(GOOD).expect("reads");
        assert_eq!((config.module.sessions, config.module.queue), (4, 64));
        assert!(config.log_sync);
        assert!(!format!("{config:?}").contains(&*config.module.pin));
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        refuses("token = ", "tokne = ", ":7:1: unknown field `tokne`");
        refuses("development = true\n", "", "there is no [tls]");
        refuses(
            "127.0.0.1:8480",
            "0.0.0.0:8480",
            "`development` is for loopback alone",
        );
        refuses(
            "pin_variable = \"PATH\"",
            "",
            "one of `pin_file` and `pin_variable`",
        );
        refuses(
            "\"PATH\"",
            "\"NO_SUCH_VARIABLE\"",
            "has no NO_SUCH_VARIABLE",
        );
        refuses(
            "pin_variable = \"PATH\"",
            "pin_file = \"/nowhere\"",
            "/nowhere",
        );
        refuses("3600", "299", "group `default`: `epoch_seconds`");
        let digest = "2".repeat(64);
        refuses(
            "groups = [\"default\"]",
            &format!("groups = [\"default\"]\ncertificate_sha256 = [\"{digest}\"]"),
            "`certificate_sha256` is for clients that show a certificate",
        );
        for (line, expected) in [
            ("admin_listen = \"127.0.0.1:8481\"", "go together"),
            (
                "admin_listen = \"0.0.0.0:8481\"\n[[admin]]\nname = \"ops\"\nsha256 = \"1111111111111111111111111111111111111111111111111111111111111111\"",
                "`admin_listen` is 0.0.0.0",
            ),
            (
                "[[admin]]\nname = \"ops\"\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"",
                "another credential's",
            ),
        ] {
            refuses("[module]\n", &format!("{line}\n[module]\n"), expected);
        }
        refuses(
            "[module]\n",
            "metrics_listen = \"10.0.0.1:9480\"\n[module]\n",
            "`metrics_listen` is 10.0.0.1",
        );
        for (line, expected) in [
            ("sessions = 0", "`sessions` is not 1 to 64"),
            ("sessions = 65", "`sessions` is not 1 to 64"),
            ("queue = 0", "`queue` is not"),
            ("deadline_ms = 49", "`deadline_ms` is not"),
            ("deadline_ms = 60001", "`deadline_ms` is not"),
            ("pin = \"1234\"", "unknown field `pin`"),
        ] {
            refuses("[module]\n", &format!("[module]\n{line}\n"), expected);
        }
    }

    #[test]
    fn a_file_without_an_end_is_not_read_to_it() {
        let failure = Config::read(Path::new("/dev/zero")).map(drop);
        let message = failure.expect_err("no end").message;
        assert!(message.contains("larger than 1048576 bytes"), "{message}");
    }

    #[test]
    fn metrics_are_not_for_the_internet() {
        let tls = "[tls]\ncertificate = \"a\"\nkey = \"b\"\n[module]";
        let production = GOOD.replace("development = true\n", "");
        for (address, is_refused) in [
            ("127.0.0.1:9480", false),
            ("10.1.2.3:9480", false),
            ("172.31.0.1:9480", false),
            ("172.32.0.1:9480", true),
            ("100.64.0.1:9480", false),
            ("100.128.0.1:9480", true),
            ("169.254.0.1:9480", false),
            ("0.0.0.0:9480", false),
            ("8.8.8.8:9480", true),
            ("[::1]:9480", false),
            ("[::]:9480", false),
            ("[fd00::1]:9480", false),
            ("[fe80::1]:9480", false),
            ("[2001:4860::1]:9480", true),
            ("[::ffff:8.8.8.8]:9480", true),
            ("[::ffff:10.0.0.1]:9480", false),
        ] {
            let listen = format!("metrics_listen = \"{address}\"\n{tls}");
            let outcome = read(&production.replace("[module]", &listen)).map(drop);
            let refused = outcome.is_err_and(|it| it.contains("is a public address"));
            assert_eq!(refused, is_refused, "{address}");
        }
    }
}
