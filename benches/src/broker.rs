//! The broker under measurement: how it is started, and what its log and the kernel say about it.

use crate::Outcome;
use crate::issuer::{ALGORITHMS, Issuer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};
use vouchsafe_harness::broker::{Folder, Setup, target_folder};
use vouchsafe_harness::bundle::API;

/// The bundle with 100 policies more for the measured audience.
pub const MANY_RULES: &str = "many-rules";

/// The steps of an exchange, in order, as the broker logs them.
const STEPS: [&str; 6] = ["prepare", "verify", "decide", "consume", "sign", "record"];
/// Unit of the CPU times in /proc: USER_HZ, which is 100 on every Linux that Rust supports.
const TICKS_PER_SECOND: u64 = 100;
/// Issuer of the default bundle's own issuer file.
const GITHUB: &str = "https://token.actions.githubusercontent.com";

/// A `vouchsafe` with the manifest and the default bundle of its checkout, and a cache of its own.
pub struct Site {
    checkout: PathBuf,
    /// `hsm-gateway` is in the same folder.
    pub program: PathBuf,
    setup: Setup,
}

impl Site {
    pub fn new(checkout: &Path, program: PathBuf, issuer: &Issuer) -> Outcome<Self> {
        let origins = [issuer.origin(), GITHUB.to_owned()];
        let setup = Setup::without_bundle(checkout, "spin.toml", &origins).with_root();
        let site = Self { checkout: checkout.to_path_buf(), program, setup };
        for (name, replay) in [("allow", "allow"), ("single-use", "single-use"), (MANY_RULES, "allow")] {
            site.write_bundle(name, replay, &issuer.url())?;
        }
        fs::write(site.policies(MANY_RULES).join("rules/many.cedar"), many_rules())?;
        Ok(site)
    }

    /// Writes the default bundle as `name`; the measured issuer has this replay mode.
    fn write_bundle(&self, name: &str, replay: &str, issuer_url: &str) -> Outcome<()> {
        let (from, to) = (self.checkout.join("policies"), self.policies(name));
        for part in ["issuers", "audiences", "rules"] {
            copy_files(&from.join(part), &to.join(part))?;
        }
        for file in ["bundle.toml", "schema.cedarschema"] {
            fs::copy(from.join(file), to.join(file))?;
        }
        let issuer = format!(
            "issuer = \"{issuer_url}\"\nprovider = \"github\"\ndevelopment = true\n\
             replay = \"{replay}\"\nmax_token_age = \"30m\"\nalgorithms = {ALGORITHMS:?}\n"
        );
        Ok(fs::write(to.join("issuers/dev.toml"), issuer)?)
    }

    /// The bundle of this name.
    pub fn policies(&self, name: &str) -> PathBuf {
        self.setup.folder.join("policies").join(name)
    }

    /// The application with another of the checkout's manifests.
    pub fn application(&self, manifest: &str, origins: &[String]) -> Outcome<Setup> {
        let origins = [origins, &[GITHUB.to_owned()]].concat();
        let setup = Setup::without_bundle(&self.checkout, manifest, &origins);
        fs::create_dir_all(setup.folder.join("policies"))?;
        Ok(setup)
    }

    /// Starts the test guest of this name, alone.
    pub fn start_guest(&self, name: &str) -> Outcome<Broker> {
        let source = target_folder().join("wasm32-wasip2/component").join(format!("vouchsafe_guest_{name}.wasm"));
        let manifest = format!(
            "spin_manifest_version = 2\n[application]\nname = \"bench\"\n[[trigger.http]]\nroute = \"/...\"\n\
             component = \"guest\"\n[component.guest]\nsource = \"{}\"\n",
            source.display()
        );
        Broker::start(self.cached(Setup::guest(Folder::new(), &manifest)))
    }

    /// Starts a broker with a new database and waits until it is ready.
    pub fn start(&self, bundle: &str, arguments: &[&str]) -> Outcome<Broker> {
        let setup = self.setup.clone();
        let setup = arguments.iter().fold(setup, |setup, argument| setup.argument(*argument));
        self.start_application(setup, bundle)
    }

    /// Starts a broker of another manifest.
    pub fn start_application(&self, setup: Setup, bundle: &str) -> Outcome<Broker> {
        let state = setup.folder.join("state");
        if state.exists() {
            fs::remove_dir_all(&state)?;
        }
        let setup = setup
            .variable("signer_audiences", "*")
            .variable("signer_epoch", "3600")
            .variable("signer_lifetime_max", "3540")
            .argument("--policies")
            .argument(self.policies(bundle).display().to_string());
        Broker::start(self.cached(setup))
    }

    fn cached(&self, setup: Setup) -> Setup {
        let cache = self.setup.folder.join("cache");
        setup.program(&self.program).argument("--cache-dir").argument(cache.display().to_string())
    }
}

/// 100 policies more for the measured audience, none of which matches.
fn many_rules() -> String {
    let rule = |number: usize| {
        format!(
            "@id(\"many-{number}\")\npermit (\n  principal is GitHub::Workflow in Issuer::\"dev\",\n  \
             action == Action::\"issue\",\n  resource == Audience::\"{API}\"\n)\nwhen\n{{\n  \
             principal.repository_id == \"9{number}\" &&\n  principal.ref == \"refs/heads/main\" &&\n  \
             [\"read\"].containsAll(context.scopes)\n}};\n\n"
        )
    };
    (0..100).map(rule).collect()
}

/// Copies the files of a folder, but not its subfolders.
pub fn copy_files(from: &Path, to: &Path) -> Outcome<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// A running broker; stopped when dropped.
pub struct Broker {
    pub address: String,
    pub started_in: Duration,
    child: Child,
    log: PathBuf,
    _folder: Arc<Folder>,
}

impl Broker {
    fn start(setup: Setup) -> Outcome<Self> {
        let log = setup.folder.join("serve.log");
        let begun = Instant::now();
        let (mut child, address) = setup.spawn(fs::File::create(&log)?);
        let started_in = begun.elapsed();
        match address {
            Ok(address) => Ok(Self { address, started_in, child, log, _folder: setup.folder }),
            Err(_) => {
                let _ = child.wait();
                Err(format!("the broker did not start: {}", fs::read_to_string(&log)?).into())
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time of all its threads so far.
    pub fn cpu(&self) -> Outcome<Duration> {
        cpu_of(self.pid())
    }

    /// Peak resident memory, in MB.
    pub fn peak_memory_mb(&self) -> Outcome<u64> {
        memory(self.pid(), "VmHWM:")
    }

    /// Size of its log.
    pub fn log_bytes(&self) -> Outcome<usize> {
        Ok(fs::metadata(&self.log)?.len() as usize)
    }

    /// Microseconds that `step` took in each request to `route` that it logged after `from`.
    pub fn timings_us(&self, route: &str, step: &str, from: usize) -> Outcome<Vec<f64>> {
        let log = fs::read_to_string(&self.log)?;
        let lines = log.get(from..).unwrap_or_default().lines();
        let timing = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            let matches = line["route"] == route && line["status"] == 200;
            line["us"][step].as_f64().filter(|_| matches)
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

/// CPU time of all threads of a process so far.
pub fn cpu_of(pid: u32) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, which may contain blanks, ends with the last parenthesis; utime and stime are the 14th and 15th field
    // of the whole line.
    let (_, fields) = stat.rsplit_once(')').ok_or("no such process")?;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap_or(0)).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Resident memory of a process, in MB.
pub fn memory_of(pid: u32) -> Outcome<u64> {
    memory(pid, "VmRSS:")
}

fn memory(pid: u32, field: &str) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with(field));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    let kib: u64 = kib.ok_or("no such field")?.parse()?;
    Ok(kib * 1024 / 1_000_000)
}

impl Drop for Broker {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        // Stopped by a signal, so that it drains and keeps its compiled code; otherwise killed.
        let stopped = Command::new("kill").args(["-TERM", &pid]).status();
        if !stopped.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
