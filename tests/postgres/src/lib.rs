//! A private PostgreSQL server for tests: in its own folder, on loopback, as an unprivileged user.
//!
//! The server ends with the test process, however that ends: a shell waits until the process's end of a pipe is closed.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where Debian installs the server's programs, by version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Sets up a server and starts it, then waits until standard input is closed, and removes everything.
const SCRIPT: &str = "\
    if [ \"$2\" = 0 ]; then
        initdb -D \"$0/data\" -U postgres -A trust -E UTF8 --locale=C --no-sync >\"$0/initdb.log\"
    else
        pg_basebackup -D \"$0/data\" -h 127.0.0.1 -p \"$2\" -U postgres -X stream -c fast -R >\"$0/initdb.log\"
    fi
    printf '%s\\n' \"port = $1\" \"listen_addresses = '127.0.0.1'\" \"unix_socket_directories = '$0'\" \
        'max_connections = 200' >>\"$0/data/postgresql.conf\"
    pg_ctl -D \"$0/data\" -l \"$0/log\" -w start >/dev/null
    echo started
    cat >/dev/null
    pg_ctl -D \"$0/data\" -m immediate stop >/dev/null 2>&1 || true
    rm -rf \"$0/data\" \"$0/log\" \"$0/initdb.log\"";

/// A running server.
pub struct Server {
    folder: PathBuf,
    port: u16,
    shell: Child,
}

impl Server {
    /// Creates a server in a new folder and starts it.
    ///
    /// # Panics
    /// PostgreSQL is not installed, or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_from(0)
    }

    /// Creates a standby of this server and starts it. It replicates asynchronously.
    #[must_use]
    pub fn standby(&self) -> Self {
        Self::start_from(self.port)
    }

    /// Starts a server that is a copy of the one at port `primary`, or a new one if that is 0.
    fn start_from(primary: u16) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("vouchsafe-postgres-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        if is_root() {
            let owned = Command::new("chown").arg("nobody").arg(&folder).status().expect("chown runs");
            assert!(owned.success(), "chown nobody {}", folder.display());
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let mut shell = unprivileged("sh")
            .args(["-ec", SCRIPT])
            .arg(&folder)
            .args([port.to_string(), primary.to_string()])
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        let started = BufReader::new(shell.stdout.take().expect("its output")).read_line(&mut line);
        assert!(started.is_ok() && line == "started\n", "PostgreSQL did not start, see {}", folder.display());
        Self { folder, port, shell }
    }

    /// Its port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of `database`, for its owner.
    #[must_use]
    pub fn address(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Creates a new database and returns its name.
    pub fn create_database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Runs statements in `database` and returns what they print.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let output = Command::new(programs().join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statements, &self.address(database)])
            .output()
            .expect("psql runs");
        assert!(output.status.success(), "{statements}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Stops the server as a crash would.
    pub fn kill(&self) {
        self.control(&["-m", "immediate", "stop"]);
    }

    /// Makes a standby accept writes.
    pub fn promote(&self) {
        self.control(&["-w", "promote"]);
    }

    /// Starts it again after [`Self::kill`].
    pub fn resume(&self) {
        self.control(&["-w", "start"]);
    }

    /// Sends a signal, such as `STOP` and `CONT`, to every process of the server.
    pub fn signal(&self, signal: &str) {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).expect("its process id");
        let main = file.lines().next().expect("a line").to_owned();
        let children = Command::new("pgrep").args(["-P", &main]).output().expect("pgrep runs");
        let children = String::from_utf8_lossy(&children.stdout).into_owned();
        let all = children.split_whitespace().chain([main.as_str()]);
        let sent = Command::new("kill").arg(format!("-{signal}")).args(all).status().expect("kill runs");
        assert!(sent.success(), "kill -{signal}");
    }

    fn control(&self, arguments: &[&str]) {
        let mut command = unprivileged("pg_ctl");
        command.arg("-D").arg(self.folder.join("data")).arg("-l").arg(self.folder.join("log")).args(arguments);
        let status = command.current_dir(&self.folder).stdout(Stdio::null()).status().expect("pg_ctl runs");
        assert!(status.success(), "pg_ctl {arguments:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        drop(self.shell.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// A command that runs as another user if this is root, because the server refuses to run as root.
fn unprivileged(program: &str) -> Command {
    let path = format!("{}:{}", programs().display(), std::env::var("PATH").unwrap_or_default());
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", program]);
        command
    } else {
        Command::new(program)
    };
    command.env("PATH", path);
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The programs of the newest installed version.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let numbers = versions.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    let newest = numbers.max().expect("PostgreSQL is not installed: apt-get install postgresql");
    Path::new(VERSIONS).join(newest.to_string()).join("bin")
}
