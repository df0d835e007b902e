//! Everything between broker and HSM fails while tokens are issued, and no verifier notices.
//!
//! Clients exchange continuously in both tiers and all algorithms; every token is checked as strict verifiers would
//! (`strict_verifier`). `VOUCHSAFE_CHAOS_SECONDS` is the duration of the rounds of failures; `scripts/soak` runs more
//! than one.

mod canaries;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::bundle::{API, EDDSA, EPOCH_SECONDS, HSM, HSM_EDDSA, HSM_ES256};
use vouchsafe_harness::exchange::Form;
use vouchsafe_harness::hsm::{Gateway, GatewaySetup, PIN, Pkcs11Token, eventually};
use vouchsafe_harness::http::{self, Request};
use vouchsafe_harness::issuer::{Issuer, Script};
use vouchsafe_harness::jwt::{self, Issued};
use vouchsafe_harness::strict_verifier::Verifiers;

const CLIENTS: usize = 4;
/// Workloads, of which some are in a canary's share.
const WORKLOADS: u64 = 16;
/// Pause between two exchanges of a client.
const PAUSE: Duration = Duration::from_millis(15);
/// Pause between two fetches of the published keys.
const LOOK: Duration = Duration::from_millis(400);
/// The shortest epoch allowed, so that long runs cross many.
const EPOCH: u64 = 300;
/// Time between the start of a run and the end of an epoch.
const LEAD: u64 = 25;
const LIFETIME: &str = "200";
/// By how much a gateway's clock is shifted.
const WRONG_CLOCK_SECONDS: u64 = 60;
/// Interval between emergencies: the gateway refuses another one within 425 s.
const EMERGENCIES_APART_SECONDS: u64 = 430;
/// How long a broker may sign with the old keys after an emergency: 5 s, and time for a slow machine.
const FOLLOWED_WITHIN_SECONDS: u64 = 5 + 10;
const AUDIENCES: [&str; 5] = [API, HSM_ES256, EDDSA, HSM_EDDSA, HSM];

/// A broker with two gateways, each in front of its own PKCS#11 token with the same keys: if two processes keep
/// logging in to one token, SoftHSM 2.6.1 eventually empties the token's file (docs/hsm/modules.md).
struct Site {
    setups: Mutex<[GatewaySetup; 2]>,
    gateways: [Mutex<Option<Gateway>>; 2],
    broker: Broker,
    issuer: Issuer,
    shares: [PathBuf; 2],
    clock: Clock,
    seen: Mutex<Verifiers>,
    /// Refusals by their error.
    refused: Mutex<BTreeMap<String, u64>>,
    exchanges: AtomicU64,
    generation: AtomicU64,
    rotated_at: AtomicU64,
    stop: AtomicBool,
}

/// The clock of the run, which starts shortly before an epoch ends.
#[derive(Clone, Copy)]
struct Clock {
    base: u64,
    since: Instant,
}

impl Clock {
    fn now(self) -> u64 {
        self.base + self.since.elapsed().as_secs()
    }
}

fn start_gateway(setup: &GatewaySetup, now: u64) -> Gateway {
    setup.clone().at_time(now).start()
}

/// Shortens lifetimes to fit into the shortest epoch.
fn shorten_lifetimes(audiences: &Path) {
    for file in std::fs::read_dir(audiences).expect("a folder").flatten() {
        let text = std::fs::read_to_string(file.path()).expect("a file");
        let text = if text.contains("lifetime") {
            text.replace("19m", "4m")
        } else {
            text + "default_lifetime = \"3m\"\nmax_lifetime = \"4m\"\n"
        };
        std::fs::write(file.path(), text).expect("a file");
    }
}

/// The set-ups of both gateways, and backup shares of the first one's keys.
struct Gateways {
    setups: [GatewaySetup; 2],
    shares: [PathBuf; 2],
}

impl Gateways {
    /// The first one has keys, the second one an empty PKCS#11 token.
    fn new() -> Self {
        let first = GatewaySetup::new(&Pkcs11Token::new());
        let twin = first.twin().with_token(&Pkcs11Token::new());
        let prepared = |setup: GatewaySetup| {
            let epoch = |seconds: u64| format!("epoch_seconds = {seconds}");
            setup
                .change(&epoch(EPOCH_SECONDS), &epoch(EPOCH))
                .change(&epoch(EPOCH_SECONDS), &epoch(EPOCH))
                .change("pin_file", "deadline_ms = 1000\npin_file")
                .shimmed()
        };
        let setups = [prepared(first), prepared(twin)];
        let shares = setups[0].folder.join("shares");
        std::fs::create_dir(&shares).expect("a folder");
        let folder = shares.display().to_string();
        let (code, text) = setups[0].run(&["init", "--with-backup", "2-of-3", "--shares", &folder]);
        assert_eq!(code, 0, "{text}");
        let shares = ["share-1-of-3", "share-3-of-3"].map(|name| shares.join(name));
        Self { setups, shares }
    }

    /// Both have the same keys.
    fn restored() -> Self {
        let gateways = Self::new();
        restore(&gateways.setups[1], &gateways.shares, 1);
        gateways
    }
}

impl Clock {
    /// Starts early enough before an epoch ends.
    fn start() -> Self {
        Self { base: (vouchsafe_harness::now() / EPOCH + 2) * EPOCH - LEAD, since: Instant::now() }
    }
}

impl Site {
    fn start(Gateways { setups, shares }: Gateways, clock: Clock) -> Self {
        let gateways = [0, 1].map(|place| Mutex::new(Some(start_gateway(&setups[place], clock.now()))));
        let issuer = Issuer::start([("main", Script::honest()), ("other", Script::honest())]);
        let urls = [setups[0].url(), setups[1].url()];
        let origins = [&[issuer.origin()][..], &urls].concat();
        let broker = Setup::of("spin.hsm.toml", &issuer.files(), &origins);
        shorten_lifetimes(&broker.folder.join("policies/audiences"));
        let broker = broker
            .variable("gateway_urls", &urls.join(" "))
            .variable("gateway_token", &setups[0].credential)
            .variable("signer_hsm_algorithms", "ES256 EdDSA RS256")
            .variable("signer_epoch", &EPOCH.to_string())
            .variable("signer_lifetime_max", &(EPOCH - 60).to_string())
            .at_time(clock.now())
            .start();
        Self {
            setups: Mutex::new(setups),
            gateways,
            broker,
            issuer,
            shares,
            clock,
            seen: Mutex::default(),
            refused: Mutex::default(),
            exchanges: AtomicU64::new(0),
            generation: AtomicU64::new(1),
            rotated_at: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Verifiers> {
        self.seen.lock().expect("unpoisoned")
    }

    fn setup(&self, place: usize) -> GatewaySetup {
        self.setups.lock().expect("unpoisoned")[place].clone()
    }

    fn gateway(&self, place: usize) -> MutexGuard<'_, Option<Gateway>> {
        self.gateways[place].lock().expect("unpoisoned")
    }

    fn with<T>(&self, place: usize, act: impl FnOnce(&Gateway) -> T) -> T {
        act(self.gateway(place).as_ref().expect("it runs"))
    }

    fn kill(&self, place: usize) {
        // Dropping it sends SIGKILL.
        drop(self.gateway(place).take());
    }

    fn restart(&self, place: usize, ahead_seconds: u64) {
        let gateway = start_gateway(&self.setup(place), self.clock.now() + ahead_seconds);
        *self.gateway(place) = Some(gateway);
    }

    /// Does one exchange and records its token or its refusal.
    fn exchange(&self, audience: &str) -> Result<Issued, String> {
        let at = self.clock.now();
        let mut claims = self.issuer.claims(at);
        let workload = self.exchanges.fetch_add(1, Relaxed) % WORKLOADS;
        claims["sub"] = format!("repo:octo-org/octo-repo:ref:refs/heads/{workload}").into();
        let form =
            Form::of(&jwt::mint("ES256", &claims)).set("audience", audience).set("requested_expires_in", LIFETIME);
        let answer = self.broker.send(&form.request());
        let body = answer.json();
        match (answer.status, body["access_token"].as_str()) {
            (200, Some(jwt)) => {
                let token = Issued::parse(jwt);
                self.seen().add_token(token.clone(), at);
                Ok(token)
            }
            (503, _) => Err(body["error_description"].to_string()),
            _ => panic!("{audience}: {} {body}", answer.status),
        }
    }

    /// Waits until every audience has a token; returns how long that took.
    fn wait_for_recovery(&self) -> Duration {
        let start = Instant::now();
        for audience in AUDIENCES {
            eventually(audience, || self.exchange(audience).ok());
        }
        start.elapsed()
    }

    /// Waits until both gateways reach their HSM.
    fn wait_until_up(&self) {
        for place in [0, 1] {
            eventually("both HSMs to be up", || {
                let up = self.with(place, |it| it.get("/readyz").json()["hsm"] == "up");
                up.then_some(())
            });
        }
    }

    /// Fetches copies of the JWK Set, and asks the gateways which keys those are.
    fn watch(&self) {
        while !self.stop.load(Relaxed) {
            for place in [0, 1] {
                self.ask_for_keys(place);
            }
            let at = self.clock.now();
            let answer = self.broker.get("/.well-known/jwks.json");
            if answer.status == 200 {
                self.seen().add_copy(at, &answer.json());
            }
            std::thread::sleep(LOOK);
        }
    }

    fn ask_for_keys(&self, place: usize) {
        let setup = self.setup(place);
        let bearer = format!("Bearer {}", setup.credential);
        let request = Request::get("/v1/keys").with("authorization", &bearer);
        // It may be down.
        if let Ok(answer) = http::send(&format!("127.0.0.1:{}", setup.port), &request) {
            self.seen().learn(&answer.json());
        }
    }

    /// Runs rounds of failures beside clients and verifiers, at least until an epoch ends; returns how often each
    /// failure happened.
    fn under_load(&self, round: impl Fn(&mut BTreeMap<&'static str, u64>)) -> Counts {
        let seconds = std::env::var("VOUCHSAFE_CHAOS_SECONDS").map_or(0, |text| text.parse().expect("a number"));
        let (started, mut counts) = (Instant::now(), BTreeMap::new());
        let files = self.with(1, Gateway::open_files);
        std::thread::scope(|scope| {
            let running = (0..CLIENTS).map(|client| scope.spawn(move || self.exchange_on(client)));
            let mut running: Vec<_> = running.collect();
            running.push(scope.spawn(|| self.watch()));
            // Threads must stop even if this one panics.
            let stop = Stop(self);
            self.wait_for_recovery();
            loop {
                round(&mut counts);
                assert!(running.iter().all(|it| !it.is_finished()), "a client or the watching thread has failed");
                if started.elapsed().as_secs() >= seconds {
                    break;
                }
            }
            eventually("the next epoch", || (self.clock.now() > self.clock.base + LEAD + 2).then_some(()));
            self.wait_for_recovery();
            drop(stop);
        });
        let left = self.with(1, Gateway::open_files);
        assert!(left <= files + 2 * CLIENTS, "{left} open files, {files} at the start");
        Counts { failures: counts, lasted: started.elapsed() }
    }

    fn exchange_on(&self, client: usize) {
        for turn in client.. {
            if self.stop.load(Relaxed) {
                return;
            }
            if let Err(error) = self.exchange(AUDIENCES[turn % AUDIENCES.len()]) {
                *self.refused.lock().expect("unpoisoned").entry(error).or_default() += 1;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

const EMERGENCY: &str = "an emergency rotation";

type Failure = (&'static str, fn(&Site));

/// The failures of each round, in this order.
const FAILURES: [Failure; 13] = [
    ("one gateway killed", |site| {
        site.kill(0);
        site.wait_for_recovery();
        site.restart(0, 0);
    }),
    ("both gateways killed", |site| {
        site.kill(0);
        site.kill(1);
        eventually("a token of the seed that the instance has", || site.exchange(API).ok());
        assert!(site.exchange(HSM).is_err(), "signed without any HSM");
        site.restart(0, 0);
        site.restart(1, 0);
    }),
    ("one worker hung", |site| {
        let first = site.with(0, |gateway| gateway.signal_worker("-STOP"));
        site.wait_for_recovery();
        site.with(0, |gateway| gateway.next_worker(first));
    }),
    ("both workers hung", |site| {
        let hung = [0, 1].map(|place| site.with(place, |it| it.signal_worker("-STOP")));
        for place in [0, 1] {
            site.with(place, |gateway| gateway.next_worker(hung[place]));
        }
    }),
    ("both workers killed", |site| {
        let killed = [0, 1].map(|place| site.with(place, |it| it.signal_worker("-KILL")));
        for place in [0, 1] {
            site.with(place, |gateway| gateway.next_worker(killed[place]));
        }
    }),
    ("all sessions closed", |site| inject(site, "close-all")),
    ("logged out", |site| inject(site, "log-out")),
    ("an error of the device", |site| inject(site, "device-error")),
    // The second one gets no requests while the first one works.
    ("a faulty signature", |site| site.with(0, |gateway| gateway.inject("spoil"))),
    ("the PIN changed, and back", change_pin),
    ("one clock 60 s off", |site| {
        site.kill(0);
        site.restart(0, WRONG_CLOCK_SECONDS);
        site.wait_for_recovery();
        site.kill(0);
        site.restart(0, 0);
    }),
    ("both clocks 60 s off", set_clocks_off),
    (EMERGENCY, rotate_in_emergency),
];

fn inject(site: &Site, fault: &str) {
    for place in [0, 1] {
        site.with(place, |gateway| gateway.inject(fault));
    }
}

fn change_pin(site: &Site) {
    let token = site.setup(0).token;
    let change = |from: &str, to: &str| {
        let output = token.pkcs11_tool_with(from, &["--change-pin", "--new-pin", to]);
        assert!(output.status.success(), "{output:?}");
    };
    change(PIN, "9876");
    site.with(0, |gateway| gateway.signal_worker("-KILL"));
    let note = site.setup(0).folder.join("state/pin-refused");
    eventually("the note about the rejected PIN", || note.is_file().then_some(()));
    site.wait_for_recovery();
    change("9876", PIN);
    std::fs::remove_file(note).expect("the note");
    site.kill(0);
    site.restart(0, 0);
}

/// Nothing is signed while no gateway's clock agrees with the broker's.
fn set_clocks_off(site: &Site) {
    for place in [0, 1] {
        site.kill(place);
        site.restart(place, WRONG_CLOCK_SECONDS);
    }
    eventually("a refusal of either tier", || {
        (site.exchange(API).is_err() && site.exchange(HSM_ES256).is_err()).then_some(())
    });
    assert_eq!(site.broker.get("/readyz").status, 503);
    for place in [0, 1] {
        site.kill(place);
        site.restart(place, 0);
    }
}

fn rotate_in_emergency(site: &Site) {
    let rotated_at = site.rotated_at.load(Relaxed);
    if site.clock.now() < rotated_at + EMERGENCIES_APART_SECONDS {
        return;
    }
    let generation = site.generation.fetch_add(1, Relaxed) + 1;
    let now = site.clock.now();
    for place in [0, 1] {
        let (code, text) = site.setup(place).run(&["rotate", "--emergency"]);
        assert_eq!(code, 0, "{text}");
    }
    let start = Instant::now();
    let current = |token: &Issued| site.seen().generation(token) >= Some(generation);
    eventually("a token of the new generation", || site.exchange(API).ok().filter(current));
    println!("  followed after {} ms", start.elapsed().as_millis());
    site.rotated_at.store(now, Relaxed);
    site.seen().revoke(generation, now);
    let late = site.clock.now() - now;
    assert!(late <= FOLLOWED_WITHIN_SECONDS, "followed after {late} s");
}

/// The PKCS#11 tokens are lost with everything on them; only the shares remain.
fn replace_tokens(site: &Site) {
    for place in [0, 1] {
        site.kill(place);
    }
    let generation = site.generation.load(Relaxed);
    for setup in site.setups.lock().expect("unpoisoned").iter_mut() {
        *setup = setup.with_token(&Pkcs11Token::new());
        restore(setup, &site.shares, generation);
    }
    for place in [0, 1] {
        site.restart(place, 0);
        site.ask_for_keys(place);
    }
}

fn restore(setup: &GatewaySetup, shares: &[PathBuf; 2], generation: u64) {
    let [first, second] = shares.each_ref().map(|path| path.display().to_string());
    let generation = generation.to_string();
    let (code, text) = setup.run(&["restore", "--generation", &generation, &first, &second]);
    assert_eq!(code, 0, "{text}");
}

fn round(site: &Site, counts: &mut BTreeMap<&'static str, u64>) {
    for (name, fail) in FAILURES.iter().chain(&[("restored from shares", replace_tokens as fn(&Site))]) {
        site.wait_until_up();
        let start = Instant::now();
        let generation = site.generation.load(Relaxed);
        fail(site);
        // Emergencies are refused too soon after each other to be in every round.
        if *name == EMERGENCY && site.generation.load(Relaxed) == generation {
            continue;
        }
        let back = site.wait_for_recovery();
        println!("{name}: {} ms, {} ms of them to recover", start.elapsed().as_millis(), back.as_millis());
        *counts.entry(name).or_default() += 1;
    }
}

#[test]
fn keeps_tokens_verifiable_through_all_failures() {
    let gateways = Gateways::restored();
    let site = Site::start(gateways, Clock::start());
    let counts = site.under_load(|counts| round(&site, counts));
    judge(&site, &counts);
}

struct Stop<'s>(&'s Site);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Relaxed);
    }
}

/// Counts of a run.
struct Counts {
    failures: BTreeMap<&'static str, u64>,
    lasted: Duration,
}

fn judge(site: &Site, counts: &Counts) {
    let mut slugs = BTreeMap::<String, u64>::new();
    for line in site.broker.lines_so_far("token") {
        *slugs.entry(line["slug"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    let verdict = site.seen().judge();
    println!(
        "{} s: {} exchanges, answers {slugs:?}; failures {:?}; {} tokens of {} keys, {} copies of the JWK Set, {} different ones: {} pairs verified, {} of revoked keys",
        counts.lasted.as_secs(),
        site.exchanges.load(Relaxed),
        counts.failures,
        verdict.tokens,
        verdict.kids,
        verdict.copies,
        verdict.distinct_copies,
        verdict.verified,
        verdict.revoked
    );
    assert!(
        verdict.failures.is_empty(),
        "{} of {}: {:#?}",
        verdict.failures.len(),
        verdict.tokens,
        &verdict.failures[..verdict.failures.len().min(10)]
    );
    assert!(verdict.kids >= 2 * 2 + 3, "both sides of an epoch's end, and of an emergency");
    let allowed = ["issued", "signer.superseded", "signer.unavailable", "store.unavailable"];
    assert!(slugs.keys().all(|slug| allowed.contains(&slug.as_str())), "{slugs:?}");
    site.broker.assert_healthy();
}
