//! Both tiers with an HSM in software behind them: the broker of `spin.hsm.toml`, a real gateway, SoftHSM.
//!
//! What the module itself can do is measured in the same run, by a loop of `C_Sign` with the gateway's
//! number of sessions, in a process of its own as the gateway's worker is.

use crate::broker::{Broker, Site};
use crate::issuer::{Issuer, unix_seconds};
use crate::load::{self, Arrivals};
use crate::{BROKER, Error, Options, Outcome, Row, heading, warm};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const TOKEN: &str = "bench";
const PIN: &str = "1234";
const AUDIENCE: &str = "https://api.example";
const LABEL: &str = "vouchsafe:token:api:v1";
/// Of the gateway, as by default, and of the loop beside it.
const SESSIONS: usize = 4;
const CONNECTIONS: usize = 16;
/// What the loop signs: a SHA-256.
const DIGEST: [u8; 32] = [7; 32];
/// The argument with which this program starts itself for the loop.
pub const CEILING: &str = "--ceiling-of-the-module";

/// Whether there is an HSM to measure with.
pub fn is_installed() -> bool {
    Path::new(MODULE).is_file()
}

/// The four rows and the figures below them.
pub fn run(site: &Site, issuer: &Issuer, pool: &[Vec<u8>], options: &Options) -> Outcome<()> {
    if !is_installed() {
        println!("\nno HSM was measured: there is no {MODULE}");
        return Ok(());
    }
    let hsm = Hsm::new(site)?;
    heading();
    let closed = Arrivals::Closed {
        connections: CONNECTIONS,
    };
    let exchange = |name: &str, broker: &Broker| {
        warm(broker, pool)?;
        Row::of(name, broker, pool, options).measure(closed)
    };
    exchange("signer-local, ES256", &site.start("allow", &[])?)?;
    let gateway = hsm.start(true)?;
    let delegated =
        site.start_with_gateway(&hsm.manifest(site, issuer)?, "allow", &hsm.variables())?;
    let before = (gateway.metric("hsm_operations")?, Instant::now());
    let seen = exchange("delegated, ES256", &delegated)?;
    let (operations, took) = (
        gateway.metric("hsm_operations")? - before.0,
        before.1.elapsed(),
    );
    drop(delegated);
    let tier_hsm =
        site.start_with_gateway(&hsm.manifest(site, issuer)?, "hsm", &hsm.variables())?;
    exchange("in the HSM, ES256", &tier_hsm)?;
    drop(tier_hsm);
    let tokens = seen.per_second * options.lasting.as_secs_f64();
    println!(
        "\nHSM operations while about {tokens:.0} delegated tokens were issued in {:.0} s: {operations}, which is {:.0} per 100,000",
        took.as_secs_f64(),
        operations as f64 / tokens * 1e5
    );
    let ceiling = hsm.ceiling(options.lasting)?;
    let synced = gateway.signatures(&hsm, options.lasting)?;
    let syncs = (gateway.metric("log_syncs")?, gateway.metric("log_lines")?);
    drop(gateway);
    let unsynced = hsm.start(false)?.signatures(&hsm, options.lasting)?;
    let again = hsm.ceiling(options.lasting)?;
    println!(
        "ES256 signatures per second: the module alone {ceiling:.0}, then {again:.0} ({SESSIONS} sessions); through the gateway {synced:.0}, \
         with `log_sync = false` {unsynced:.0} ({CONNECTIONS} connections); {:.1} lines of the log per sync",
        syncs.1 as f64 / syncs.0 as f64
    );
    Ok(())
}

/// A token in a folder, and the gateway's files.
struct Hsm {
    folder: PathBuf,
    gateway: PathBuf,
    credential: String,
    ports: [u16; 2],
}

impl Hsm {
    fn new(site: &Site) -> Outcome<Self> {
        let folder = site.folder.join("hsm");
        std::fs::create_dir_all(folder.join("tokens"))?;
        let conf = format!(
            "directories.tokendir = {}\n",
            folder.join("tokens").display()
        );
        std::fs::write(folder.join("softhsm2.conf"), conf)?;
        std::fs::write(folder.join("pin"), PIN)?;
        let mut hsm = Self {
            folder,
            gateway: site.binary.with_file_name("hsm-gateway"),
            credential: String::new(),
            ports: [free_port()?, free_port()?],
        };
        let init = [
            "--init-token",
            "--free",
            "--label",
            TOKEN,
            "--so-pin",
            "0000",
            "--pin",
            PIN,
        ];
        hsm.call(Path::new("softhsm2-util"), &init)?;
        let sha256 = hsm.call(&hsm.gateway, &["credential", "--out", "credential"])?;
        hsm.credential = std::fs::read_to_string(hsm.folder.join("credential"))?;
        for (name, sync) in [("synced", true), ("unsynced", false)] {
            let file = hsm.folder.join(format!("{name}.toml"));
            std::fs::write(file, hsm.file(sha256.trim(), sync))?;
        }
        hsm.call(&hsm.gateway, &["init", "--config", "synced.toml"])?;
        let hsm_policies = site.policies("hsm");
        crate::broker::copy_folder(&site.policies("allow"), &hsm_policies)?;
        for part in ["issuers", "audiences", "rules"] {
            crate::broker::copy_folder(
                &site.policies("allow").join(part),
                &hsm_policies.join(part),
            )?;
        }
        let api = hsm_policies.join("audiences/api.toml");
        let text = std::fs::read_to_string(&api)?;
        std::fs::write(api, format!("{text}tier = \"hsm\"\n"))?;
        Ok(hsm)
    }

    fn file(&self, sha256: &str, sync: bool) -> String {
        let [port, metrics] = self.ports;
        format!(
            "listen = \"127.0.0.1:{port}\"\nmetrics_listen = \"127.0.0.1:{metrics}\"\nstate_dir = \"state\"\n\
             development = true\nlog_sync = {sync}\n[module]\npath = \"{MODULE}\"\ntoken = \"{TOKEN}\"\n\
             pin_file = \"pin\"\nsessions = {SESSIONS}\n[[group]]\nname = \"default\"\nissuer = \"{BROKER}\"\n\
             algorithms = [\"ES256\", \"EdDSA\"]\nepoch_seconds = 3600\n[[key]]\nname = \"api\"\ngroup = \"default\"\n\
             algorithm = \"ES256\"\naudiences = [\"{AUDIENCE}\"]\nlifetime_max = 900\nrequests_per_second = 100000\n\
             requests_per_day = 100000000\n[[credential]]\nname = \"broker\"\n{sha256}\ngroups = [\"default\"]\n"
        )
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.folder)
            .env("SOFTHSM2_CONF", self.folder.join("softhsm2.conf"))
            .stdin(Stdio::null());
        command
    }

    fn call(&self, program: &Path, arguments: &[&str]) -> Outcome<String> {
        let output = self.command(program).args(arguments).output()?;
        if !output.status.success() {
            return Err(format!("{} {arguments:?}: {output:?}", program.display()).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    fn manifest(&self, site: &Site, issuer: &Issuer) -> Outcome<PathBuf> {
        let origins = format!("{}\", \"{}", issuer.url, self.url());
        site.manifest("spin.hsm.toml", &origins)
    }

    fn variables(&self) -> Vec<String> {
        vec![
            format!("gateway_urls={}", self.url()),
            format!("gateway_token={}", self.credential),
            "signer_hsm_algorithms=ES256".to_owned(),
        ]
    }

    fn start(&self, sync: bool) -> Outcome<Gateway> {
        let file = if sync { "synced.toml" } else { "unsynced.toml" };
        let mut child = self
            .command(&self.gateway)
            .args(["serve", "--config", file])
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(self.folder.join("gateway.err"))?)
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let gateway = Gateway {
            child,
            ports: self.ports,
        };
        if line.starts_with("listening on ") {
            return Ok(gateway);
        }
        let why = std::fs::read_to_string(self.folder.join("gateway.err"))?;
        Err(format!("the gateway did not start: {why}").into())
    }

    /// Signatures per second of the module, in a process of its own.
    fn ceiling(&self, lasting: Duration) -> Outcome<f64> {
        let seconds = lasting.as_secs().max(1).to_string();
        let text = self.call(&std::env::current_exe()?, &[CEILING, &seconds])?;
        Ok(text.trim().parse()?)
    }
}

struct Gateway {
    child: Child,
    ports: [u16; 2],
}

impl Gateway {
    fn metric(&self, name: &str) -> Outcome<u64> {
        let (_, text) = get(self.ports[1], "/metrics", "")?;
        let name = format!("hsm_gateway_{name}_total ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        Ok(line.ok_or("no such metric")?.trim().parse()?)
    }

    /// Signatures per second by the gateway's own route.
    fn signatures(&self, hsm: &Hsm, lasting: Duration) -> Outcome<f64> {
        let (_, keys) = get(self.ports[0], "/v1/keys", &hsm.credential)?;
        let keys: Value = serde_json::from_str(&keys)?;
        let kid = &keys["groups"][0]["token_keys"][0]["jwk"]["kid"];
        let now = unix_seconds();
        let claims = json!({
            "iss": BROKER, "sub": "a", "aud": AUDIENCE, "exp": now + 300, "iat": now, "nbf": now - 5,
            "jti": "AAECAwQFBgcICQoLDA0ODw", "client_id": "a",
        });
        let header = json!({ "alg": "ES256", "kid": kid, "typ": "at+jwt" });
        let input = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let body = json!({ "key": "api", "signing_input": input.join(".") }).to_string();
        let request = format!(
            "POST /v1/sign-token HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            hsm.credential,
            body.len()
        );
        let requests = vec![request.into_bytes(); 200_000];
        let arrivals = Arrivals::Closed {
            connections: CONNECTIONS,
        };
        let address = format!("127.0.0.1:{}", self.ports[0]);
        Ok(load::run(&address, &requests, arrivals, lasting)?.per_second())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(port: u16, path: &str, credential: &str) -> Outcome<(String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {credential}\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    Ok((head.to_owned(), body.to_owned()))
}

fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// What the process of [`CEILING`] does: prints how often a second the module signs.
pub fn print_ceiling(seconds: &str) -> Outcome<()> {
    let lasting = Duration::from_secs(seconds.parse()?);
    let pkcs11 = Pkcs11::new(MODULE)?;
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let mut slot = None;
    for found in pkcs11.get_slots_with_token()? {
        if pkcs11.get_token_info(found)?.label() == TOKEN {
            slot = Some(found);
        }
    }
    let slot = slot.ok_or("no token")?;
    let first = pkcs11.open_rw_session(slot)?;
    first.login(UserType::User, Some(&AuthPin::from(PIN)))?;
    let start = Instant::now();
    let count = std::thread::scope(|scope| {
        let sessions = (0..SESSIONS).map(|_| {
            scope.spawn(|| -> Outcome<u64> {
                let session = pkcs11.open_rw_session(slot)?;
                let template = [
                    Attribute::Class(ObjectClass::PRIVATE_KEY),
                    Attribute::Label(LABEL.as_bytes().to_vec()),
                ];
                let keys = session.find_objects(&template)?;
                let key = *keys.first().ok_or("no key")?;
                let mut count = 0;
                while start.elapsed() < lasting {
                    session.sign(&Mechanism::Ecdsa, key, &DIGEST)?;
                    count += 1;
                }
                Ok(count)
            })
        });
        let sessions: Vec<_> = sessions.collect();
        let counts = sessions.into_iter().map(|session| {
            let count = session
                .join()
                .map_err(|_| Error::from("a session panicked"));
            count.and_then(|count| count)
        });
        counts.sum::<Outcome<u64>>()
    })?;
    println!("{}", count as f64 / start.elapsed().as_secs_f64());
    Ok(())
}
