//! Starts `vouchsafe serve` on a free port and sends it HTTP requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Longest time that an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(40);

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("a repository").to_path_buf()
}

/// Path of the guest `name`, built once per run.
pub fn guest(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        // One by one: together, both builds of `verify` would have the features of both.
        for package in ["trap", "verify", "verify-host-crypto"] {
            let built = Command::new(env!("CARGO"))
                .args(["build", "--quiet", "--profile", "component", "--target", "wasm32-wasip2", "-p"])
                .arg(format!("vouchsafe-guest-{package}"))
                .current_dir(repository())
                .status()
                .expect("cargo starts");
            assert!(built.success(), "the guests do not build: run scripts/toolchain");
        }
    });
    repository().join(format!("target/wasm32-wasip2/component/vouchsafe_guest_{name}.wasm"))
}

/// A new empty directory in Cargo's directory for temporary files.
pub fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("serve-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&path).expect("a directory");
    path
}

/// Writes a manifest with one component to `folder`; `more` is added to the component's table.
pub fn manifest(folder: &Path, guest: &Path, more: &str) -> PathBuf {
    let path = folder.join("spin.toml");
    let text = format!(
        "spin_manifest_version = 2\n[application]\nname = \"test\"\n[[trigger.http]]\nroute = \"/...\"\n\
         component = \"guest\"\n[component.guest]\nsource = \"{}\"\n{more}\n",
        guest.display()
    );
    std::fs::write(&path, text).expect("a manifest");
    path
}

/// A running host, which is stopped when this is dropped.
pub struct Server {
    pub address: String,
    child: Child,
}

fn command(manifest: &Path, arguments: &[&str]) -> Command {
    let folder = manifest.parent().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_vouchsafe"));
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--manifest"])
        .arg(manifest)
        .arg("--state-dir")
        .arg(folder.join("state"))
        .args(arguments)
        .env_remove("HTTPS_PROXY")
        .env_remove("https_proxy")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// Starts the host and waits until it accepts connections.
pub fn start(manifest: &Path, arguments: &[&str]) -> Server {
    start_with(manifest, arguments, &[])
}

/// Starts the host with environment variables.
pub fn start_with(manifest: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Server {
    let mut command = command(manifest, arguments);
    let mut child = command.envs(environment.iter().copied()).spawn().expect("the host starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let address = line.trim().strip_prefix("listening on http://").map(str::to_owned);
    let address = address.unwrap_or_else(|| panic!("not ready: {line:?}, {:?}", child.wait()));
    Server { address, child }
}

/// Runs a host that must exit by itself; returns exit code and standard error.
pub fn refused(manifest: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(manifest, arguments).stderr(Stdio::piped()).output().expect("the host starts");
    assert!(output.stdout.is_empty(), "it printed {:?}", String::from_utf8_lossy(&output.stdout));
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Status and body of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Server {
    pub fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address))
    }

    /// Sends `bytes` and reads the answer until the connection ends.
    pub fn send(&self, bytes: &str) -> Answer {
        read(self.open(bytes))
    }

    /// Sends `bytes` without reading the answer.
    pub fn open(&self, bytes: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("connects");
        stream.set_read_timeout(Some(ANSWER_MAX)).expect("a timeout");
        stream.write_all(bytes.as_bytes()).expect("sends");
        stream
    }

    /// Number of open file descriptors of the host.
    pub fn open_files(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(folder).expect("a process").count()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill");
        assert!(killed.success());
    }

    /// Sends SIGHUP.
    pub fn hang_up(&self) {
        let killed = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status().expect("kill");
        assert!(killed.success());
    }

    /// Waits for the host to exit; returns its exit code.
    pub fn wait(mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

/// Reads an answer until the connection ends.
pub fn read(mut stream: TcpStream) -> Answer {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    parse(&text)
}

/// Parses an answer.
pub fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, body: body.to_owned() }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have exited already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
