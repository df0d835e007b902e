//! Both tiers with SoftHSM: the broker of `spin.hsm.toml` and a real gateway.
//!
//! The limit of the module itself is measured in the same run: a loop of `C_Sign` with as many sessions as the
//! gateway has, in a process of its own like the gateway's worker.

use crate::broker::{Broker, Site, copy_files};
use crate::issuer::Issuer;
use crate::load::{self, Arrivals};
use crate::{AUDIENCE, Error, Options, Outcome, Row, heading, warm};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use std::process::Command;
use std::time::{Duration, Instant};
use vouchsafe_harness::bundle::{EPOCH_SECONDS, HSM_ES256};
use vouchsafe_harness::hsm::{self, Gateway, GatewaySetup, PIN, Pkcs11Token, TOKEN, es256_request};

/// The key that signs, which the broker uses as `es256`.
const LABEL: &str = "vouchsafe:token:es256:v1";
/// Sessions of the gateway, as by default, and of the loop.
const SESSIONS: usize = 4;
const CONNECTIONS: usize = 16;
/// What the loop signs: a SHA-256.
const DIGEST: [u8; 32] = [7; 32];
/// The argument with which this program starts itself for the loop.
pub const CEILING: &str = "--ceiling-of-the-module";

/// Prints one row per signer, then signatures per second.
pub fn run(site: &Site, issuer: &Issuer, pool: &[Vec<u8>], options: &Options) -> Outcome<()> {
    if !hsm::is_installed() {
        println!("\nHSM not measured: SoftHSM is not installed");
        return Ok(());
    }
    let token = Pkcs11Token::new();
    let setup = gateway_setup(site, &token);
    write_bundle(site)?;
    heading();
    let exchange = |name: &str, broker: &Broker| {
        warm(broker, pool)?;
        let connections = CONNECTIONS;
        Row::of(name, broker, pool, options).measure(Arrivals::Closed { connections })
    };
    exchange("signer-local, ES256", &site.start("allow", &[])?)?;
    let gateway = setup.start();
    let delegated = start_broker(site, issuer, &setup, "allow")?;
    let (operations, started) = (operations_of(&gateway), Instant::now());
    let seen = exchange("delegated, ES256", &delegated)?;
    let operations = operations_of(&gateway) - operations;
    let elapsed = started.elapsed().as_secs_f64();
    drop(delegated);
    let tier_hsm = start_broker(site, issuer, &setup, "hsm")?;
    exchange("in the HSM, ES256", &tier_hsm)?;
    drop(tier_hsm);
    let tokens = seen.per_second * options.lasting.as_secs_f64();
    println!(
        "\nHSM operations while about {tokens:.0} delegated tokens were issued in {elapsed:.0} s: {operations} \
         ({:.0} per 100,000 tokens)",
        operations as f64 / tokens * 1e5
    );
    let ceiling = module_signatures(&token, options.lasting)?;
    let synced = gateway_signatures(&gateway, options.lasting)?;
    let syncs = gateway.metric("hsm_gateway_log_syncs_total");
    let lines = gateway.metric("hsm_gateway_log_lines_total");
    drop(gateway);
    let unsynced = setup.change("development = true\n", "development = true\nlog_sync = false\n");
    let unsynced = gateway_signatures(&unsynced.start(), options.lasting)?;
    let again = module_signatures(&token, options.lasting)?;
    println!(
        "ES256 signatures per second: module alone {ceiling:.0}, again {again:.0} ({SESSIONS} sessions); gateway \
         {synced:.0}, with `log_sync = false` {unsynced:.0} ({CONNECTIONS} connections); {:.1} log lines per sync",
        lines as f64 / syncs as f64
    );
    Ok(())
}

/// A gateway whose key `es256` signs for [`AUDIENCE`] without a limit that the load could reach.
fn gateway_setup(site: &Site, token: &Pkcs11Token) -> GatewaySetup {
    let program = site.program.with_file_name("hsm-gateway");
    let setup = GatewaySetup::of_program(token, program)
        .change("pin_file = \"pin\"\n", &format!("pin_file = \"pin\"\nsessions = {SESSIONS}\n"))
        .change(&format!("epoch_seconds = {EPOCH_SECONDS}"), "epoch_seconds = 3600")
        .change(&format!("audiences = [\"{HSM_ES256}\"]"), &format!("audiences = [\"{HSM_ES256}\", \"{AUDIENCE}\"]"));
    // `es256` is the third key in the file.
    let setup = (0..3).fold(setup, |setup, _| {
        setup.change(
            "requests_per_second = 1000\nrequests_per_day = 100000\n",
            "requests_per_second = 100000\nrequests_per_day = 100000000\n",
        )
    });
    setup.with_keys()
}

/// Writes the bundle `hsm`: that of `allow`, with [`AUDIENCE`] in tier `hsm`.
fn write_bundle(site: &Site) -> Outcome<()> {
    let (from, to) = (site.policies("allow"), site.policies("hsm"));
    copy_files(&from, &to)?;
    for part in ["issuers", "audiences", "rules"] {
        copy_files(&from.join(part), &to.join(part))?;
    }
    let api = to.join("audiences/api.toml");
    let text = std::fs::read_to_string(&api)?;
    Ok(std::fs::write(api, format!("{text}tier = \"hsm\"\n"))?)
}

fn start_broker(site: &Site, issuer: &Issuer, gateway: &GatewaySetup, bundle: &str) -> Outcome<Broker> {
    let setup = site
        .application("spin.hsm.toml", &[issuer.origin(), gateway.url()])?
        .variable("gateway_urls", &gateway.url())
        .variable("gateway_token", &gateway.credential)
        .variable("signer_hsm_algorithms", "ES256");
    site.start_application(setup, bundle)
}

fn operations_of(gateway: &Gateway) -> u64 {
    gateway.metric("hsm_gateway_hsm_operations_total")
}

/// Signatures per second of the module, in a process of its own.
fn module_signatures(token: &Pkcs11Token, lasting: Duration) -> Outcome<f64> {
    let seconds = lasting.as_secs().max(1).to_string();
    let output = Command::new(std::env::current_exe()?)
        .args([CEILING, &seconds])
        .env("SOFTHSM2_CONF", token.softhsm_file())
        .output()?;
    if !output.status.success() {
        return Err(format!("the module could not be measured: {output:?}").into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Signatures per second through the gateway's own route.
fn gateway_signatures(gateway: &Gateway, lasting: Duration) -> Outcome<f64> {
    let body = es256_request(gateway).to_string();
    let request = format!(
        "POST /v1/sign-token HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        gateway.setup.credential,
        body.len()
    );
    let requests = vec![request.into_bytes(); 200_000];
    let address = format!("127.0.0.1:{}", gateway.setup.port);
    let connections = CONNECTIONS;
    let arrivals = Arrivals::Closed { connections };
    Ok(load::run(&address, &requests, arrivals, lasting)?.per_second())
}

/// Prints how often per second the module signs; what the process of [`CEILING`] does.
pub fn print_ceiling(seconds: &str) -> Outcome<()> {
    let lasting = Duration::from_secs(seconds.parse()?);
    let pkcs11 = Pkcs11::new(hsm::module())?;
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let mut slot = None;
    for found in pkcs11.get_slots_with_token()? {
        if pkcs11.get_token_info(found)?.label() == TOKEN {
            slot = Some(found);
        }
    }
    let slot = slot.ok_or("no PKCS#11 token")?;
    let first = pkcs11.open_rw_session(slot)?;
    first.login(UserType::User, Some(&AuthPin::from(PIN)))?;
    let start = Instant::now();
    let sign = || -> Outcome<u64> {
        let session = pkcs11.open_rw_session(slot)?;
        let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(LABEL.as_bytes().to_vec())];
        let keys = session.find_objects(&template)?;
        let key = *keys.first().ok_or("no key")?;
        let mut count = 0;
        while start.elapsed() < lasting {
            session.sign(&Mechanism::Ecdsa, key, &DIGEST)?;
            count += 1;
        }
        Ok(count)
    };
    let count = std::thread::scope(|scope| {
        let sessions: Vec<_> = (0..SESSIONS).map(|_| scope.spawn(sign)).collect();
        let counts = sessions.into_iter().map(|session| {
            let count = session.join().map_err(|_| Error::from("a session panicked"));
            count.and_then(|count| count)
        });
        counts.sum::<Outcome<u64>>()
    })?;
    println!("{}", count as f64 / start.elapsed().as_secs_f64());
    Ok(())
}
