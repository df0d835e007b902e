//! Starts the real `vouchsafe serve`, reads its log and stops it.

use crate::bundle::{self, BROKER, EPOCH_SECONDS, IssuerFile, SIGNER_AUDIENCES};
use crate::hsm::signal;
use crate::http::{self, Request, Response};
use crate::issuer::Issuer;
use crate::log::Log;
use crate::ports::port;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// base64url of 32 bytes that protect nothing.
const ROOT: &str = "dGVzdHMtdGVzdHMtdGVzdHMtdGVzdHMtdGVzdHMtdGU";

/// The repository's root.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("a repository").to_path_buf()
}

/// `target/debug`, or the folder of the profile of this executable.
pub fn profile_folder() -> PathBuf {
    let executable = std::env::current_exe().expect("this executable");
    let folder = executable.parent().expect("a folder");
    // Test executables are in its subfolder `deps`, programs are not.
    match folder.file_name() {
        Some(name) if name == "deps" => folder.parent().expect("a profile folder").to_path_buf(),
        _ => folder.to_path_buf(),
    }
}

/// Cargo's target folder.
pub fn target_folder() -> PathBuf {
    let profile = profile_folder();
    profile.parent().expect("a target folder").to_path_buf()
}

fn binary() -> PathBuf {
    let path = std::env::var_os("VOUCHSAFE_BIN").map_or_else(|| profile_folder().join("vouchsafe"), PathBuf::from);
    assert!(path.is_file(), "{} is missing: build it with `scripts/build-components && cargo build`", path.display());
    path
}

/// A folder below the target folder, removed with its last user; a test that fails leaves it for inspection.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Arc<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = target_folder().join("tmp").join(format!("it-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Arc::new(Self(path))
    }
}

impl std::ops::Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }
}

/// How a broker is started; several can be started from one.
#[derive(Clone)]
pub struct Setup {
    pub folder: Arc<Folder>,
    manifest: PathBuf,
    listen: String,
    pub variables: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    pub arguments: Vec<String>,
    /// The command that starts the broker, whose command line follows as arguments.
    wrapper: Vec<String>,
    /// Overrides the built `vouchsafe`.
    program: Option<PathBuf>,
}

impl Setup {
    /// The repository's application with `issuers` in its bundle and `origins` as allowed outbound hosts.
    pub fn broker(issuers: &[IssuerFile], origins: &[String]) -> Self {
        Self::of("spin.toml", issuers, origins).with_root()
    }

    /// The repository's application, trusting the realms `main` and `other` of `issuer`.
    pub fn trusting(issuer: &Issuer) -> Self {
        Self::broker(&issuer.files(), &[issuer.origin()])
    }

    /// The repository's application in another manifest, such as `spin.hsm.toml`.
    pub fn of(manifest: &str, issuers: &[IssuerFile], origins: &[String]) -> Self {
        let setup = Self::without_bundle(&repository(), manifest, origins);
        bundle::write(&setup.folder.join("policies"), &repository(), issuers);
        setup.variable("signer_audiences", SIGNER_AUDIENCES).variable("signer_lifetime_max", "1140")
    }

    /// The application of `manifest` in a checkout, with `origins` as allowed outbound hosts and without a bundle.
    pub fn without_bundle(checkout: &Path, manifest: &str, origins: &[String]) -> Self {
        let hosts: Vec<_> = origins.iter().map(|origin| format!("\"{origin}\"")).collect();
        let hosts = hosts.join(", ");
        let text = std::fs::read_to_string(checkout.join(manifest)).expect("the manifest");
        let lines = text.lines().map(|line| match line.split_once(" = ") {
            Some(("allowed_outbound_hosts", _)) => format!("allowed_outbound_hosts = [{hosts}]"),
            Some(("source", file)) => {
                let file = checkout.join(file.trim_matches('"'));
                format!("source = \"{}\"", file.display())
            }
            _ => line.to_owned(),
        });
        let manifest: String = lines.map(|line| line + "\n").collect();
        Self::application(Folder::new(), &manifest)
    }

    /// Mounts the folder `source` at `destination`, in addition to the bundle.
    #[must_use]
    pub fn mount(self, source: &Path, destination: &str) -> Self {
        let text = std::fs::read_to_string(&self.manifest).expect("the manifest");
        let mount = format!("files = [{{ source = \"{}\", destination = \"{destination}\" }}, ", source.display());
        assert!(text.contains("files = ["), "{text}");
        std::fs::write(&self.manifest, text.replace("files = [", &mount)).expect("a manifest");
        self
    }

    /// Any application, with the variables that every signer needs.
    pub fn application(folder: Arc<Folder>, manifest: &str) -> Self {
        Self::guest(folder, manifest)
            .variable("issuer", BROKER)
            .variable("development", "true")
            .variable("signer_epoch", &EPOCH_SECONDS.to_string())
    }

    /// Any application, without variables.
    pub fn guest(folder: Arc<Folder>, manifest: &str) -> Self {
        let path = folder.join("spin.toml");
        std::fs::write(&path, manifest).expect("a manifest");
        Self {
            folder,
            manifest: path,
            listen: "127.0.0.1:0".to_owned(),
            variables: Vec::new(),
            environment: Vec::new(),
            arguments: Vec::new(),
            wrapper: Vec::new(),
            program: None,
        }
    }

    /// Runs this `vouchsafe` instead of the built one.
    #[must_use]
    pub fn program(mut self, program: &Path) -> Self {
        self.program = Some(program.to_path_buf());
        self
    }

    /// Sets the root of a software signer.
    #[must_use]
    pub fn with_root(self) -> Self {
        self.variable("signer_root", ROOT)
    }

    /// Listens at its issuer URL, so that clients can fetch its metadata.
    #[must_use]
    pub fn at_its_issuer_url(self) -> Self {
        let (setup, address) = self.at_known_address();
        setup.variable("issuer", &format!("http://{address}"))
    }

    /// Listens at an address that is known before it starts; returns that too.
    pub fn at_known_address(mut self) -> (Self, String) {
        self.listen = format!("127.0.0.1:{}", port());
        let address = self.listen.clone();
        (self, address)
    }

    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Serves metrics; returns their address too.
    pub fn with_metrics(self) -> (Self, String) {
        let address = format!("127.0.0.1:{}", port());
        (self.argument("--metrics-listen").argument(&address), address)
    }

    /// Writes Spin's runtime config and passes it.
    #[must_use]
    pub fn runtime_config(self, text: &str) -> Self {
        let file = self.folder.join("runtime.toml");
        std::fs::write(&file, text).expect("a file");
        self.argument("--runtime-config-file").argument(file.display().to_string())
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

    /// Starts the broker from a shell script that ends with `exec "$@"`.
    #[must_use]
    pub fn from_script(mut self, command: &[&str], script: &str) -> Self {
        let script = ["sh", "-ec", script, "sh"];
        self.wrapper = command.iter().chain(&script).map(|word| (*word).to_owned()).collect();
        self
    }

    /// The database of its brokers.
    pub fn database(&self) -> PathBuf {
        let state = self.folder.join("state");
        let files = std::fs::read_dir(&state).expect("a state folder").flatten().map(|entry| entry.path());
        let mut files = files.filter(|path| path.extension().is_some_and(|extension| extension == "db"));
        let (database, more) = (files.next(), files.next());
        assert!(more.is_none(), "two databases in {}", state.display());
        database.expect("a database")
    }

    fn command(&self) -> Command {
        let program = self.program.clone().unwrap_or_else(binary);
        let mut words = self.wrapper.iter().map(PathBuf::from).chain([program]);
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy().to_ascii_uppercase();
            if text.starts_with("SPIN_VARIABLE_") || text.ends_with("_PROXY") {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(["serve", "--listen", &self.listen, "--manifest"]).arg(&self.manifest);
        command.arg("--state-dir").arg(self.folder.join("state"));
        for (name, value) in &self.variables {
            command.arg("--variable").arg(format!("{name}={value}"));
        }
        command.args(&self.arguments).current_dir(&**self.folder);
        command
    }

    /// Starts a broker with its log at `log`. Returns the process, and its address or the line that it printed instead.
    pub fn spawn(&self, log: impl Into<Stdio>) -> (Child, Result<String, String>) {
        let mut child =
            self.command().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().expect("the broker starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening on http://");
        let address = address.map(str::to_owned).ok_or(line);
        (child, address)
    }

    /// Starts a broker and waits until it accepts connections.
    pub fn start(&self) -> Broker {
        self.try_start().unwrap_or_else(|reason| panic!("{reason}"))
    }

    /// Starts a broker, or returns what it printed before it exited.
    pub fn try_start(&self) -> Result<Broker, String> {
        // One at a time: the first one compiles the components, the others find them in the cache.
        static STARTING: Mutex<()> = Mutex::new(());
        let _turn = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut child, address) = self.spawn(Stdio::piped());
        let log = Log::of(child.stderr.take().expect("piped"));
        let address = address.map_err(|line| {
            let status = child.wait();
            let log = log.rest().join("\n");
            format!("not ready: {line:?}, {status:?}\n{log}")
        })?;
        Ok(Broker { address, child: Mutex::new(child), log, _folder: Arc::clone(&self.folder) })
    }
}

/// A running broker; killed when dropped.
pub struct Broker {
    pub address: String,
    child: Mutex<Child>,
    log: Log,
    _folder: Arc<Folder>,
}

impl Broker {
    pub fn send(&self, request: &Request) -> Response {
        http::send(&self.address, request).unwrap_or_else(|error| panic!("no answer: {error:#}"))
    }

    pub fn get(&self, path: &str) -> Response {
        self.send(&Request::get(path))
    }

    pub fn jwks(&self) -> Value {
        let response = self.get("/.well-known/jwks.json");
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }

    /// The next log line of `route`.
    pub fn line(&self, route: &str) -> Value {
        self.log.line(route)
    }

    /// All log lines up to the next one of `route`, which is the last.
    pub fn lines_until(&self, route: &str) -> Vec<Value> {
        self.log.until(route)
    }

    /// The log lines of `route` that arrived and were not taken yet.
    pub fn lines_so_far(&self, route: &str) -> Vec<Value> {
        let lines = self.log.so_far().into_iter();
        let lines = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        lines.filter(|line| line["route"] == route).collect()
    }

    /// Its process id.
    pub fn process(&self) -> u32 {
        self.child.lock().expect("unpoisoned").id()
    }

    /// The lines before the next log line of `route` that are not log lines.
    pub fn printed_before(&self, route: &str) -> Vec<String> {
        self.log.printed_and_line(route).0
    }

    /// The lines before the next log line of `route` that are not log lines, and that line.
    pub fn printed_and_line(&self, route: &str) -> (Vec<String>, Value) {
        self.log.printed_and_line(route)
    }

    /// The next line that contains `text`.
    pub fn line_with(&self, text: &str) -> String {
        self.log.containing(text)
    }

    /// Has it read its bundle again, and returns the line that says what became of it.
    pub fn reload(&self) -> String {
        signal(self.process(), "-HUP");
        self.line_with("serve: reload: ")
    }

    /// Sends SIGKILL and waits until it has ended.
    pub fn kill(&self) {
        let mut child = self.child.lock().expect("unpoisoned");
        child.kill().expect("kills");
        child.wait().expect("ends");
    }

    /// Asserts that nothing trapped and that the host had no complaint: every line that is not a log line of the
    /// application is one.
    pub fn assert_healthy(&self) {
        let strange = self.log.strange();
        assert!(strange.is_empty(), "unexpected host output: {strange:#?}");
        assert_eq!(self.get("/healthz").status, 200);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Ok(child) = self.child.get_mut() {
            // It may have ended already.
            drop(child.kill());
            drop(child.wait());
        }
    }
}
