//! SoftHSM, the real `hsm-gateway` in front of it, and independent ways to inspect both.

mod commands;
mod fixture;
mod held;
mod requests;
mod running;
mod session;
pub mod spy;
mod tls;

use crate::broker::{Folder, profile_folder, repository};
use crate::bundle::{BROKER, EPOCH_SECONDS, HSM, HSM_EDDSA, HSM_ES256};
use crate::http::{self, Request};
use crate::ports::port;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

pub use commands::{Ended, KEY, PUBLISHED_SECONDS, WITHDRAWN_SECONDS, check_states, keys, states};
pub use fixture::{At, HsmFixture, issue, issue_for, staged, staged_with};
pub use requests::{
    ask_at, epoch_at, es256_request, kid_that_signs, seed_request, sign, sign_text, sign_with, token_claims,
};
pub use running::{Gateway, eventually, signal};
pub use session::{check_key_attributes, import_root, try_to_extract_keys};
pub use tls::{Answer, TlsClient};

pub const PIN: &str = "1234";
pub const TOKEN: &str = "vouchsafe";

/// Where distributions install SoftHSM; `VOUCHSAFE_PKCS11_MODULE` overrides it.
const MODULES: [&str; 3] =
    ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"];
const SPIES: [&str; 2] = ["/usr/lib/x86_64-linux-gnu/pkcs11-spy.so", "/usr/lib/aarch64-linux-gnu/pkcs11-spy.so"];

fn first_of(places: &[&str], what: &str) -> PathBuf {
    let found = places.iter().map(PathBuf::from).find(|it| it.is_file());
    found.unwrap_or_else(|| panic!("{what} is not installed: `scripts/test` installs it"))
}

/// The PKCS#11 module that the tests' gateways load.
pub fn module() -> PathBuf {
    match std::env::var_os("VOUCHSAFE_PKCS11_MODULE") {
        Some(module) => PathBuf::from(module),
        None => first_of(&MODULES, "softhsm2"),
    }
}

/// Whether a PKCS#11 module is installed.
pub fn is_installed() -> bool {
    std::env::var_os("VOUCHSAFE_PKCS11_MODULE").is_some() || MODULES.iter().any(|module| Path::new(module).is_file())
}

/// The module that logs each call and passes it on (package `opensc`).
pub fn spy() -> PathBuf {
    first_of(&SPIES, "pkcs11-spy")
}

fn binary() -> PathBuf {
    let path = profile_folder().join("hsm-gateway");
    assert!(path.is_file(), "{} is missing: build it with `cargo build`", path.display());
    path
}

/// An initialized PKCS#11 token in its own folder.
#[derive(Clone)]
pub struct Pkcs11Token {
    pub folder: Arc<Folder>,
}

impl Pkcs11Token {
    pub fn new() -> Self {
        let token = Self::bare();
        std::fs::create_dir(token.folder.join("tokens")).expect("a folder");
        token.initialize_another();
        token
    }

    /// A copy with the same objects; nothing may use the original meanwhile.
    pub fn copy_of(other: &Self) -> Self {
        let token = Self::bare();
        let copied = Command::new("cp").arg("-r").arg(other.folder.join("tokens")).arg(&**token.folder).status();
        assert!(copied.expect("cp").success(), "cp failed");
        token
    }

    fn bare() -> Self {
        let token = Self { folder: Folder::new() };
        let tokens = token.folder.join("tokens");
        let text = format!("directories.tokendir = {}\n", tokens.display());
        std::fs::write(token.softhsm_file(), text).expect("a file");
        token
    }

    /// Initializes another token with the same label, which `softhsm2-util` allows.
    pub fn initialize_another(&self) {
        self.run("softhsm2-util", &["--init-token", "--free", "--label", TOKEN, "--so-pin", "0000", "--pin", PIN]);
    }

    /// The value of `SOFTHSM2_CONF` for this token.
    pub fn softhsm_file(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.output(program, arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
        text
    }

    fn output(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new(program)
            .args(arguments)
            .env("SOFTHSM2_CONF", self.softhsm_file())
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}: `scripts/test` installs it"))
    }

    /// Runs `pkcs11-tool`, logged in.
    pub fn pkcs11_tool(&self, arguments: &[&str]) -> Output {
        self.pkcs11_tool_with(PIN, arguments)
    }

    /// Runs `pkcs11-tool` without a PIN.
    pub fn pkcs11_tool_anonymously(&self, arguments: &[&str]) -> Output {
        let module = module().display().to_string();
        let token = ["--module", &module, "--token-label", TOKEN];
        self.output("pkcs11-tool", &[&token[..], arguments].concat())
    }

    /// Runs `pkcs11-tool` with another PIN.
    pub fn pkcs11_tool_with(&self, pin: &str, arguments: &[&str]) -> Output {
        let module = module().display().to_string();
        let login = ["--module", &module, "--token-label", TOKEN, "--login", "--pin", pin];
        self.output("pkcs11-tool", &[&login[..], arguments].concat())
    }

    /// Imports a known root that may only sign, as `restore` would.
    pub fn import_root(&self, root: &[u8], generation: u64) {
        let generation = generation.to_string();
        self.in_a_process(
            "hsm::ops::gateway::import_root_in_own_process",
            &[("ROOT", &hex(root)), ("GENERATION", &generation)],
        );
    }

    /// Tries every PKCS#11 way to extract one of its `keys` keys; fails if one succeeds.
    pub fn try_to_extract_keys(&self, keys: usize) {
        let keys = keys.to_string();
        self.in_a_process("hsm::security::key_extraction::extract_keys_in_own_process", &[("KEYS", &keys)]);
    }

    /// Checks the attributes of each of its `keys` keys; fails if one is extractable or may do more than sign.
    pub fn check_key_attributes(&self, keys: usize, from_outside: bool) {
        let (keys, from_outside) = (keys.to_string(), from_outside.to_string());
        let variables = [("KEYS", keys.as_str()), ("FROM_OUTSIDE", &from_outside)];
        self.in_a_process("hsm::security::key_extraction::inspect_keys_in_own_process", &variables);
    }

    /// Runs an ignored test of this executable in a separate process, because the module reads the path of its
    /// configuration from the environment of the process.
    pub fn in_a_process(&self, test: &str, variables: &[(&str, &str)]) {
        let executable = std::env::current_exe().expect("this executable");
        let named = |(name, value): &(&str, &str)| (format!("VOUCHSAFE_{name}"), value.to_string());
        let output = Command::new(executable)
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env("SOFTHSM2_CONF", self.softhsm_file())
            .envs(variables.iter().map(named))
            .output()
            .expect("starts");
        let text = String::from_utf8_lossy(&output.stdout);
        let ran = output.status.success() && text.contains("1 passed");
        assert!(ran, "{test}: {output:?}");
    }
}

impl Default for Pkcs11Token {
    fn default() -> Self {
        Self::new()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Folder and configuration of a gateway; several gateways can share a PKCS#11 token.
#[derive(Clone)]
pub struct GatewaySetup {
    pub token: Pkcs11Token,
    pub folder: Arc<Folder>,
    pub port: u16,
    pub metrics_port: u16,
    /// Port of the admin listener.
    pub admin_port: u16,
    /// The broker's credential.
    pub credential: String,
    /// The credential of a caller in the key group `other`.
    pub other_credential: String,
    /// The admin's credential, which is also in the file `admin`.
    pub admin_credential: String,
    /// Replacements in the configuration, applied in order.
    changes: Vec<(String, String)>,
    pub arguments: Vec<String>,
    environment: Vec<(String, String)>,
    knows_softhsm_file: bool,
    /// Path of `hsm-gateway`.
    program: PathBuf,
}

impl GatewaySetup {
    pub fn new(token: &Pkcs11Token) -> Self {
        Self::of_program(token, binary())
    }

    /// A gateway that runs another `hsm-gateway`.
    pub fn of_program(token: &Pkcs11Token, program: PathBuf) -> Self {
        let folder = Folder::new();
        std::fs::write(folder.join("pin"), format!("{PIN}\n")).expect("a file");
        let owner = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(folder.join("pin"), owner).expect("a mode");
        let mut setup = Self {
            token: token.clone(),
            folder,
            port: port(),
            metrics_port: port(),
            admin_port: port(),
            credential: String::new(),
            other_credential: String::new(),
            admin_credential: String::new(),
            changes: Vec::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            knows_softhsm_file: true,
            program,
        };
        setup.credential = setup.make_credential("broker");
        setup.other_credential = setup.make_credential("other");
        setup.admin_credential = setup.make_credential("admin");
        setup
    }

    /// A gateway in front of a new PKCS#11 token with keys from `init`.
    pub fn initialized() -> Self {
        Self::new(&Pkcs11Token::new()).with_keys()
    }

    /// Another gateway for the same callers, with its own ports and state.
    pub fn twin(&self) -> Self {
        let twin = Self::new(&self.token);
        for name in ["broker", "other", "admin"] {
            for file in [name.to_owned(), format!("{name}.sha256")] {
                std::fs::copy(self.folder.join(&file), twin.folder.join(&file)).expect("copies");
            }
        }
        Self {
            credential: self.credential.clone(),
            other_credential: self.other_credential.clone(),
            admin_credential: self.admin_credential.clone(),
            changes: self.changes.clone(),
            arguments: self.arguments.clone(),
            ..twin
        }
    }

    fn make_credential(&self, name: &str) -> String {
        let output = self.command(&["credential", "--out", name]).output().expect("starts");
        let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        std::fs::write(self.folder.join(format!("{name}.sha256")), line).expect("a file");
        std::fs::read_to_string(self.folder.join(name)).expect("a credential")
    }

    /// Replaces the first `from` in the configuration.
    #[must_use]
    pub fn change(mut self, from: &str, to: &str) -> Self {
        self.changes.push((from.to_owned(), to.to_owned()));
        self
    }

    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Starts its clock at `now`.
    #[must_use]
    pub fn at_time(self, now: u64) -> Self {
        self.argument("--danger-now").argument(now.to_string())
    }

    /// The same gateway and folder in front of another PKCS#11 token.
    #[must_use]
    pub fn with_token(&self, token: &Pkcs11Token) -> Self {
        Self { token: token.clone(), ..self.clone() }
    }

    /// Sets an environment variable for its commands.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs a copy of the program, which the test may change; returns its path.
    #[must_use]
    pub fn own_program(mut self) -> (Self, PathBuf) {
        let program = self.folder.join("hsm-gateway");
        std::fs::copy(&self.program, &program).expect("copies");
        self.program.clone_from(&program);
        (self, program)
    }

    /// Leaves `SOFTHSM2_CONF` unset.
    #[must_use]
    pub fn without_softhsm_file(mut self) -> Self {
        self.knows_softhsm_file = false;
        self
    }

    /// Uses TLS as in production: a private authority, and client certificates from it.
    #[must_use]
    pub fn over_mutual_tls(self) -> Self {
        for name in ["ca.pem", "server.pem", "server.key"] {
            let to = self.folder.join(name);
            std::fs::copy(certificates().join(name), &to).expect("copies");
            // Files in a repository are readable for everybody.
            let owner = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&to, owner).expect("a mode");
        }
        self.change(
            "development = true\n[module]\n",
            "[tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\nclient_roots = \"ca.pem\"\n[module]\n",
        )
    }

    /// Puts the logging module in front of the real one; returns the path of its log.
    #[must_use]
    pub fn with_spy(self) -> (Self, PathBuf) {
        let calls = self.folder.join("calls");
        let setup = self.through(&spy(), &[("PKCS11SPY", module().display().to_string())]);
        (setup.with_spy_output(&calls), calls)
    }

    /// Logs the calls of processes that start from now on to another file.
    #[must_use]
    pub fn with_spy_output(mut self, calls: &Path) -> Self {
        let output = "PKCS11SPY_OUTPUT";
        self.environment.retain(|(name, _)| name != output);
        let calls = calls.display().to_string();
        self.environment.push((output.to_owned(), calls));
        self
    }

    /// Puts the module that fails on demand in front of the real one (`tests/pkcs11-shim`).
    #[must_use]
    pub fn shimmed(self) -> Self {
        let variables = [
            ("PKCS11_SHIM_MODULE", module().display().to_string()),
            ("PKCS11_SHIM_FOLDER", self.folder.display().to_string()),
        ];
        let shim = profile_folder().join("libvouchsafe_pkcs11_shim.so");
        assert!(shim.is_file(), "{} is not built", shim.display());
        self.through(&shim, &variables)
    }

    /// Loads `wrapper` instead of the real module.
    fn through(mut self, wrapper: &Path, variables: &[(&str, String)]) -> Self {
        let owned = |(name, value): &(&str, String)| ((*name).to_owned(), value.clone());
        self.environment = variables.iter().map(owned).collect();
        let from = format!("path = \"{}\"", module().display());
        let to = format!("path = \"{}\"", wrapper.display());
        self.change(&from, &to)
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin_port)
    }

    fn config(&self) -> String {
        let sha256 = |name: &str| std::fs::read_to_string(self.folder.join(format!("{name}.sha256"))).expect("a hash");
        let key = |name: &str, group: &str, algorithm: &str, audience: &str| {
            format!(
                "[[key]]\nname = \"{name}\"\ngroup = \"{group}\"\nalgorithm = \"{algorithm}\"\n\
                 audiences = [\"{audience}\"]\nlifetime_max = 900\nclaims = [\"ref\", \"repository\"]\n\
                 requests_per_second = 1000\nrequests_per_day = 100000\n"
            )
        };
        let group = |name: &str, issuer: &str| {
            format!(
                "[[group]]\nname = \"{name}\"\nissuer = \"{issuer}\"\n\
                 algorithms = [\"ES256\", \"EdDSA\"]\nepoch_seconds = {EPOCH_SECONDS}\n"
            )
        };
        let mut file = [
            format!("listen = \"127.0.0.1:{}\"\n", self.port),
            format!("metrics_listen = \"127.0.0.1:{}\"\n", self.metrics_port),
            format!("admin_listen = \"127.0.0.1:{}\"\n", self.admin_port),
            "state_dir = \"state\"\ndevelopment = true\n[module]\n".to_owned(),
            format!("path = \"{}\"\ntoken = \"{TOKEN}\"\npin_file = \"pin\"\n", module().display()),
            group("default", BROKER),
            group("other", "https://other.example"),
            key("rs256", "default", "RS256", HSM),
            key("eddsa", "default", "EdDSA", HSM_EDDSA),
            key("es256", "default", "ES256", HSM_ES256),
            key("theirs", "other", "ES256", HSM_ES256),
            format!("[[credential]]\nname = \"broker\"\n{}\ngroups = [\"default\"]\n", sha256("broker")),
            format!("[[credential]]\nname = \"other\"\n{}\ngroups = [\"other\"]\n", sha256("other")),
            format!("[[admin]]\nname = \"ops\"\n{}\n", sha256("admin")),
        ]
        .concat();
        for (from, to) in &self.changes {
            assert!(file.contains(from), "no `{from}` in {file}");
            file = file.replacen(from, to, 1);
        }
        file
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(&**self.folder)
            .env("SOFTHSM2_CONF", self.token.softhsm_file())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        if !self.knows_softhsm_file {
            command.env_remove("SOFTHSM2_CONF");
        }
        command
    }

    /// Runs a subcommand to its end; returns exit code and output.
    pub fn run(&self, arguments: &[&str]) -> (i32, String) {
        std::fs::write(self.folder.join("gateway.toml"), self.config()).expect("a file");
        let output = self.command(arguments).output().expect("starts");
        let text = [output.stdout, output.stderr].concat();
        let code = output.status.code().expect("an exit code");
        (code, String::from_utf8_lossy(&text).into_owned())
    }

    /// Runs a subcommand with standard output at `stdout`; returns exit code and standard error.
    pub fn run_into(&self, stdout: impl Into<Stdio>, arguments: &[&str]) -> (i32, String) {
        std::fs::write(self.folder.join("gateway.toml"), self.config()).expect("a file");
        let mut command = self.command(arguments);
        let output = command.stdout(stdout).output().expect("starts");
        let code = output.status.code().expect("an exit code");
        (code, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Makes the keys.
    #[must_use]
    pub fn with_keys(self) -> Self {
        let (code, text) = self.run(&["init"]);
        assert_eq!(code, 0, "{text}");
        self
    }

    /// Starts a gateway whose output pipes are closed, and waits until it answers.
    pub fn start_with_closed_output(&self) -> Gateway {
        std::fs::write(self.folder.join("gateway.toml"), self.config()).expect("a file");
        let child =
            self.command(&["serve"]).stdout(closed_pipe()).stderr(closed_pipe()).spawn().expect("the gateway starts");
        let gateway = Gateway { setup: self.clone(), child: Mutex::new(child) };
        let address = format!("127.0.0.1:{}", self.port);
        eventually("an answer", || http::send(&address, &Request::get("/healthz")).ok());
        gateway
    }

    /// Starts a gateway and waits until it accepts connections.
    pub fn start(&self) -> Gateway {
        std::fs::write(self.folder.join("gateway.toml"), self.config()).expect("a file");
        let mut child = self
            .command(&["serve"])
            .args(&self.arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the gateway starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let mut stderr = child.stderr.take().expect("piped");
        if !line.starts_with("listening on http") {
            let mut text = String::new();
            drop(stderr.read_to_string(&mut text));
            panic!("not ready: {line:?}, {:?}\n{text}", child.wait());
        }
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Gateway { setup: self.clone(), child: Mutex::new(child) }
    }
}

/// A pipe whose reader has gone, as with `head`.
pub fn closed_pipe() -> std::io::PipeWriter {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer
}

/// PEM files of a private authority, of `localhost` and of a client.
pub fn certificates() -> PathBuf {
    repository().join("crates/host/src/tls/test-certificates")
}
