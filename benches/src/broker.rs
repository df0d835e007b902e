//! The real `vouchsafe serve` in a folder of its own, and what the kernel says of its process.

use crate::{BROKER, Outcome};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// base64url of 32 bytes that protect nothing.
const ROOT: &str = "YmVuY2gtYmVuY2gtYmVuY2gtYmVuY2gtYmVuY2gtYmU";
/// The steps of an exchange in their order, as the broker logs them.
const STEPS: [&str; 6] = ["prepare", "verify", "decide", "consume", "sign", "record"];
/// Ticks of the CPU times in /proc: USER_HZ, which is 100 on every Linux that Rust supports.
const TICKS_PER_SECOND: u64 = 100;

/// A folder with manifest, bundle and cache; removed when dropped.
pub struct Site {
    pub folder: PathBuf,
    repository: PathBuf,
    /// `vouchsafe`; `hsm-gateway` is beside it.
    pub binary: PathBuf,
}

impl Site {
    pub fn new(repository: &Path, binary: PathBuf, issuer_url: &str) -> Outcome<Self> {
        let folder = repository
            .join("target/tmp")
            .join(format!("bench-{}", std::process::id()));
        let repository_path = repository.to_path_buf();
        let site = Self {
            folder,
            repository: repository_path,
            binary,
        };
        for (name, replay) in [("allow", "allow"), ("single-use", "single-use")] {
            let policies = site.policies(name);
            for part in ["issuers", "audiences", "rules"] {
                copy_folder(
                    &repository.join("policies").join(part),
                    &policies.join(part),
                )?;
            }
            for file in ["bundle.toml", "schema.cedarschema"] {
                fs::copy(repository.join("policies").join(file), policies.join(file))?;
            }
            let issuer = format!(
                "issuer = \"{issuer_url}\"\nprovider = \"github\"\ndevelopment = true\n\
                 replay = \"{replay}\"\nmax_token_age = \"30m\"\n"
            );
            fs::write(policies.join("issuers/dev.toml"), issuer)?;
        }
        site.manifest("spin.toml", issuer_url)?;
        Ok(site)
    }

    /// The manifest of this name, allowed to reach `origins`.
    pub fn manifest(&self, name: &str, origins: &str) -> Outcome<PathBuf> {
        let manifest = fs::read_to_string(self.repository.join(name))?;
        let path = self.folder.join(name);
        fs::write(&path, rewritten(&manifest, &self.repository, origins))?;
        Ok(path)
    }

    /// The bundle in which the issuer's tokens may be used more than once, or once.
    pub fn policies(&self, replay: &str) -> PathBuf {
        self.folder.join("policies").join(replay)
    }

    /// Starts the guest of this name, alone.
    pub fn start_guest(&self, name: &str) -> Outcome<Broker> {
        let source = self
            .repository
            .join("target/wasm32-wasip2/component")
            .join(format!("vouchsafe_guest_{name}.wasm"));
        let manifest = self.folder.join(format!("{name}.toml"));
        let text = format!(
            "spin_manifest_version = 2\n[application]\nname = \"bench\"\n[[trigger.http]]\nroute = \"/...\"\n\
             component = \"guest\"\n[component.guest]\nsource = \"{}\"\n",
            source.display()
        );
        fs::write(&manifest, text)?;
        let mut command = Command::new(&self.binary);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--manifest"])
            .arg(manifest)
            .arg("--state-dir")
            .arg(self.folder.join("guest-state"))
            .arg("--cache-dir")
            .arg(self.folder.join("cache"));
        self.started(command)
    }

    /// Starts a broker with a database of its own and waits until it is ready.
    pub fn start(&self, replay: &str, arguments: &[&str]) -> Outcome<Broker> {
        let variables = [format!("signer_root={ROOT}")];
        let manifest = self.folder.join("spin.toml");
        self.start_with(&manifest, replay, &variables, arguments)
    }

    /// The same with another signer.
    pub fn start_with_gateway(
        &self,
        manifest: &Path,
        bundle: &str,
        variables: &[String],
    ) -> Outcome<Broker> {
        self.start_with(manifest, bundle, variables, &[])
    }

    fn start_with(
        &self,
        manifest: &Path,
        bundle: &str,
        variables: &[String],
        arguments: &[&str],
    ) -> Outcome<Broker> {
        let state = self.folder.join("state");
        if state.exists() {
            fs::remove_dir_all(&state)?;
        }
        let mut command = Command::new(&self.binary);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--manifest"])
            .arg(manifest)
            .arg("--policies")
            .arg(self.policies(bundle))
            .arg("--state-dir")
            .arg(state)
            .arg("--cache-dir")
            .arg(self.folder.join("cache"));
        for variable in ["development=true", "signer_lifetime_max=3540"] {
            command.args(["--variable", variable]);
        }
        command.args(["--variable", &format!("issuer={BROKER}")]);
        for variable in variables {
            command.args(["--variable", variable]);
        }
        command.args(arguments);
        self.started(command)
    }

    fn started(&self, mut command: Command) -> Outcome<Broker> {
        let log = self.folder.join("serve.log");
        let begun = Instant::now();
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SPIN_VARIABLE_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log)?)
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let started_in = begun.elapsed();
        let Some(address) = line.trim().strip_prefix("listening on http://") else {
            let _ = child.wait();
            return Err(format!("the broker did not start: {}", fs::read_to_string(&log)?).into());
        };
        Ok(Broker {
            address: address.to_owned(),
            started_in,
            child,
            log,
        })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The manifest with absolute sources, allowed to reach `origins`.
fn rewritten(manifest: &str, repository: &Path, origins: &str) -> String {
    let line = |line: &str| match line.split_once(" = ") {
        Some(("allowed_outbound_hosts", _)) => {
            format!(
                "allowed_outbound_hosts = [\"{origins}\", \"https://token.actions.githubusercontent.com\"]\n"
            )
        }
        Some(("source", file)) => format!(
            "source = \"{}\"\n",
            repository.join(file.trim_matches('"')).display()
        ),
        _ => format!("{line}\n"),
    };
    manifest.lines().map(line).collect()
}

/// Copies the files of a folder, and none of the folders in it.
pub fn copy_folder(from: &Path, to: &Path) -> Outcome<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            continue;
        }
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// A running broker; ended when dropped.
pub struct Broker {
    pub address: String,
    pub started_in: Duration,
    child: Child,
    log: PathBuf,
}

impl Broker {
    /// CPU time of all its threads so far.
    pub fn cpu(&self) -> Outcome<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name, which may hold blanks, ends with the last parenthesis; utime and stime are the
        // 14th and 15th field of the whole line.
        let (_, fields) = stat.rsplit_once(')').ok_or("no such process")?;
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().unwrap_or(0))
            .sum();
        Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    }

    /// Most memory that was ever resident, in MB.
    pub fn peak_memory_mb(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        let kib: u64 = kib.ok_or("no VmHWM")?.parse()?;
        Ok(kib * 1024 / 1_000_000)
    }

    /// Bytes that are in its log.
    pub fn log_bytes(&self) -> Outcome<usize> {
        Ok(fs::metadata(&self.log)?.len() as usize)
    }

    /// Microseconds that `step` took in each request to `route` that it logged after `from`.
    pub fn timings_us(&self, route: &str, step: &str, from: usize) -> Outcome<Vec<f64>> {
        let log = fs::read_to_string(&self.log)?;
        let lines = log.get(from..).unwrap_or_default().lines();
        let timing = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            let is_it = line["route"] == route && line["status"] == 200;
            line["us"][step].as_f64().filter(|_| is_it)
        };
        Ok(lines.filter_map(timing).collect())
    }

    /// Median microseconds of each step of the exchanges that it logged after `from`.
    pub fn steps_us(&self, from: usize) -> Outcome<Vec<(String, u64)>> {
        let log = fs::read_to_string(&self.log)?;
        let mut steps: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for line in log.get(from..).unwrap_or_default().lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            if line["route"] != "token" {
                continue;
            }
            for (name, us) in line["us"].as_object().into_iter().flatten() {
                let us = us.as_u64().unwrap_or(0);
                steps.entry(name.clone()).or_default().push(us);
            }
        }
        let median = |(name, mut all): (String, Vec<u64>)| {
            all.sort_unstable();
            (name, all.get(all.len() / 2).copied().unwrap_or(0))
        };
        let mut medians: Vec<_> = steps.into_iter().map(median).collect();
        medians.sort_by_key(|(name, _)| STEPS.iter().position(|step| step == name));
        Ok(medians)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        // Ended by signal so that it drains and keeps its compiled code; killed if it does not.
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        if !told.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
