//! An HSM in software (SoftHSM), the real `hsm-gateway` in front of it, and independent looks at both.

mod held;
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

pub use running::{Gateway, eventually, signal};
pub use session::{import_root, look_at_every_key, try_to_take_keys_out};
pub use tls::{Answer, TlsClient};

pub const PIN: &str = "1234";
pub const TOKEN: &str = "vouchsafe";

/// Where distributions put SoftHSM; `VOUCHSAFE_PKCS11_MODULE` names another place.
const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];
const SPIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so",
    "/usr/lib/aarch64-linux-gnu/pkcs11-spy.so",
];

fn first_of(places: &[&str], what: &str) -> PathBuf {
    let found = places.iter().map(PathBuf::from).find(|it| it.is_file());
    found.unwrap_or_else(|| panic!("{what} is not installed: `scripts/test` installs it"))
}

/// The module that the gateways of these suites load.
pub fn module() -> PathBuf {
    match std::env::var_os("VOUCHSAFE_PKCS11_MODULE") {
        Some(module) => PathBuf::from(module),
        None => first_of(&MODULES, "softhsm2"),
    }
}

/// The module that writes down each call before it goes to another (`opensc`).
pub fn spy() -> PathBuf {
    first_of(&SPIES, "pkcs11-spy")
}

fn binary() -> PathBuf {
    let path = profile_folder().join("hsm-gateway");
    assert!(
        path.is_file(),
        "{} is missing: build it with `cargo build`",
        path.display()
    );
    path
}

/// An initialized token, in a folder of its own.
#[derive(Clone)]
pub struct Token {
    pub folder: Arc<Folder>,
}

impl Token {
    pub fn new() -> Self {
        let token = Self::bare();
        std::fs::create_dir(token.folder.join("tokens")).expect("a folder");
        token.initialize_another();
        token
    }

    /// Another one with the same objects, which nobody may use meanwhile.
    pub fn copy_of(other: &Self) -> Self {
        let token = Self::bare();
        let copied = Command::new("cp")
            .arg("-r")
            .arg(other.folder.join("tokens"))
            .arg(&**token.folder)
            .status();
        assert!(copied.expect("cp").success(), "copies the token");
        token
    }

    fn bare() -> Self {
        let token = Self {
            folder: Folder::new(),
        };
        let tokens = token.folder.join("tokens");
        let text = format!("directories.tokendir = {}\n", tokens.display());
        std::fs::write(token.softhsm_file(), text).expect("a file");
        token
    }

    /// Makes a token of the same label, as `softhsm2-util` does without a question.
    pub fn initialize_another(&self) {
        self.run(
            "softhsm2-util",
            &[
                "--init-token",
                "--free",
                "--label",
                TOKEN,
                "--so-pin",
                "0000",
                "--pin",
                PIN,
            ],
        );
    }

    /// What `SOFTHSM2_CONF` has to name for this token.
    pub fn softhsm_file(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.output(program, arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {output:?}"
        );
        text
    }

    fn output(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new(program)
            .args(arguments)
            .env("SOFTHSM2_CONF", self.softhsm_file())
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}: `scripts/test` installs it"))
    }

    /// `pkcs11-tool`, logged in.
    pub fn pkcs11_tool(&self, arguments: &[&str]) -> Output {
        self.pkcs11_tool_with(PIN, arguments)
    }

    /// `pkcs11-tool` of somebody without a PIN.
    pub fn pkcs11_tool_anonymously(&self, arguments: &[&str]) -> Output {
        let module = module().display().to_string();
        let token = ["--module", &module, "--token-label", TOKEN];
        self.output("pkcs11-tool", &[&token[..], arguments].concat())
    }

    /// The same with another PIN.
    pub fn pkcs11_tool_with(&self, pin: &str, arguments: &[&str]) -> Output {
        let module = module().display().to_string();
        let login = [
            "--module",
            &module,
            "--token-label",
            TOKEN,
            "--login",
            "--pin",
            pin,
        ];
        self.output("pkcs11-tool", &[&login[..], arguments].concat())
    }

    /// Puts a root of known bytes on the token, for signing only, as `restore` of an HSM would.
    pub fn import_root(&self, root: &[u8], generation: u64) {
        let generation = generation.to_string();
        self.in_a_process(
            "hsm_gateway::imports_a_root",
            &[("ROOT", &hex(root)), ("GENERATION", &generation)],
        );
    }

    /// Tries all that PKCS#11 has to take any of its `keys` keys out of the token; fails if it got one.
    pub fn try_to_take_keys_out(&self, keys: usize) {
        let keys = keys.to_string();
        self.in_a_process("hsm_extraction::tries_to_take_keys_out", &[("KEYS", &keys)]);
    }

    /// Looks at what the token says of each of its `keys` keys; fails if one may leave it or do more than sign.
    pub fn look_at_every_key(&self, keys: usize, from_outside: bool) {
        let (keys, from_outside) = (keys.to_string(), from_outside.to_string());
        let variables = [("KEYS", keys.as_str()), ("FROM_OUTSIDE", &from_outside)];
        self.in_a_process("hsm_extraction::looks_at_every_key", &variables);
    }

    /// Runs an ignored test of this executable in a process of its own: the module reads its file's
    /// place from the environment of the process.
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

impl Default for Token {
    fn default() -> Self {
        Self::new()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A gateway's folder and file; several can be made for one token.
#[derive(Clone)]
pub struct GatewaySetup {
    pub token: Token,
    pub folder: Arc<Folder>,
    pub port: u16,
    pub metrics_port: u16,
    /// Of the listener for admins.
    pub admin_port: u16,
    /// What the broker sends.
    pub credential: String,
    /// What a caller of the group `other` sends.
    pub other_credential: String,
    /// What an admin sends; in the folder's file `admin`, too.
    pub admin_credential: String,
    /// Replacements in the file, one after the other.
    changes: Vec<(String, String)>,
    pub arguments: Vec<String>,
    environment: Vec<(String, String)>,
    knows_softhsm_file: bool,
    /// The gateway's program.
    program: PathBuf,
}

impl GatewaySetup {
    pub fn new(token: &Token) -> Self {
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
            program: binary(),
        };
        setup.credential = setup.make_credential("broker");
        setup.other_credential = setup.make_credential("other");
        setup.admin_credential = setup.make_credential("admin");
        setup
    }

    /// The same callers' gateway on another port, with a state of its own.
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
        let output = self
            .command(&["credential", "--out", name])
            .output()
            .expect("starts");
        let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        std::fs::write(self.folder.join(format!("{name}.sha256")), line).expect("a file");
        std::fs::read_to_string(self.folder.join(name)).expect("a credential")
    }

    /// Replaces the first `from` in the file by `to`.
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

    /// The same gateway, with its folder, in front of another token.
    #[must_use]
    pub fn with_token(&self, token: &Token) -> Self {
        Self {
            token: token.clone(),
            ..self.clone()
        }
    }

    /// With a variable in the environment of its commands.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a copy of the program, which may be changed; gives where it is.
    #[must_use]
    pub fn own_program(mut self) -> (Self, PathBuf) {
        let program = self.folder.join("hsm-gateway");
        std::fs::copy(&self.program, &program).expect("copies");
        self.program.clone_from(&program);
        (self, program)
    }

    /// As whoever forgot to say where SoftHSM's tokens are.
    #[must_use]
    pub fn without_softhsm_file(mut self) -> Self {
        self.knows_softhsm_file = false;
        self
    }

    /// As in production: TLS by a private authority, which clients have a certificate of, too.
    #[must_use]
    pub fn over_mutual_tls(self) -> Self {
        for name in ["ca.pem", "server.pem", "server.key"] {
            let to = self.folder.join(name);
            std::fs::copy(certificates().join(name), &to).expect("copies");
            // Of a file in a repository anybody may read the key.
            let owner = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&to, owner).expect("a mode");
        }
        self.change(
            "development = true\n[module]\n",
            "[tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\nclient_roots = \"ca.pem\"\n[module]\n",
        )
    }

    /// Puts the module that writes calls down in front of the real one; gives where to.
    #[must_use]
    pub fn spied_on(self) -> (Self, PathBuf) {
        let calls = self.folder.join("calls");
        let setup = self.through(&spy(), &[("PKCS11SPY", module().display().to_string())]);
        (setup.spying_into(&calls), calls)
    }

    /// Has what is started from now on write its calls into another file.
    #[must_use]
    pub fn spying_into(mut self, calls: &Path) -> Self {
        let output = "PKCS11SPY_OUTPUT";
        self.environment.retain(|(name, _)| name != output);
        let calls = calls.display().to_string();
        self.environment.push((output.to_owned(), calls));
        self
    }

    /// Puts the module that misbehaves on demand in front of the real one (`tests/pkcs11-shim`).
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

    /// Loads `wrapper` in place of the real module.
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

    fn file(&self) -> String {
        let sha256 = |name: &str| {
            std::fs::read_to_string(self.folder.join(format!("{name}.sha256"))).expect("a hash")
        };
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
            format!(
                "path = \"{}\"\ntoken = \"{TOKEN}\"\npin_file = \"pin\"\n",
                module().display()
            ),
            group("default", BROKER),
            group("other", "https://other.example"),
            key("rs256", "default", "RS256", HSM),
            key("eddsa", "default", "EdDSA", HSM_EDDSA),
            key("es256", "default", "ES256", HSM_ES256),
            key("theirs", "other", "ES256", HSM_ES256),
            format!(
                "[[credential]]\nname = \"broker\"\n{}\ngroups = [\"default\"]\n",
                sha256("broker")
            ),
            format!(
                "[[credential]]\nname = \"other\"\n{}\ngroups = [\"other\"]\n",
                sha256("other")
            ),
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

    /// Runs a subcommand that ends by itself: its exit code, and all that it printed.
    pub fn run(&self, arguments: &[&str]) -> (i32, String) {
        std::fs::write(self.folder.join("gateway.toml"), self.file()).expect("a file");
        let output = self.command(arguments).output().expect("starts");
        let text = [output.stdout, output.stderr].concat();
        let code = output.status.code().expect("an exit code");
        (code, String::from_utf8_lossy(&text).into_owned())
    }

    /// The same with its standard output at `stdout`: its exit code, and what it printed as errors.
    pub fn run_into(&self, stdout: impl Into<Stdio>, arguments: &[&str]) -> (i32, String) {
        std::fs::write(self.folder.join("gateway.toml"), self.file()).expect("a file");
        let mut command = self.command(arguments);
        let output = command.stdout(stdout).output().expect("starts");
        let code = output.status.code().expect("an exit code");
        (code, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Makes the token's keys.
    #[must_use]
    pub fn with_keys(self) -> Self {
        let (code, text) = self.run(&["init"]);
        assert_eq!(code, 0, "{text}");
        self
    }

    /// Starts a gateway whose output nobody reads, and waits until it answers.
    pub fn start_unheard(&self) -> Gateway {
        std::fs::write(self.folder.join("gateway.toml"), self.file()).expect("a file");
        let child = self
            .command(&["serve"])
            .stdout(unheard())
            .stderr(unheard())
            .spawn()
            .expect("the gateway starts");
        let gateway = Gateway {
            setup: self.clone(),
            child: Mutex::new(child),
        };
        let address = format!("127.0.0.1:{}", self.port);
        eventually("an answer", || {
            http::send(&address, &Request::get("/healthz")).ok()
        });
        gateway
    }

    /// Starts a gateway and waits until it accepts connections.
    pub fn start(&self) -> Gateway {
        std::fs::write(self.folder.join("gateway.toml"), self.file()).expect("a file");
        let mut child = self
            .command(&["serve"])
            .args(&self.arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the gateway starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("a line");
        let mut stderr = child.stderr.take().expect("piped");
        if !line.starts_with("listening on http") {
            let mut text = String::new();
            drop(stderr.read_to_string(&mut text));
            panic!("not ready: {line:?}, {:?}\n{text}", child.wait());
        }
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Gateway {
            setup: self.clone(),
            child: Mutex::new(child),
        }
    }
}

/// A pipe whose reader has left, as `head` does.
pub fn unheard() -> std::io::PipeWriter {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer
}

/// PEM files of a private authority, of `localhost` and of a client.
pub fn certificates() -> PathBuf {
    repository().join("crates/host/src/tls/test-certificates")
}
