//! SIGKILL under load: every token that a client has is on record, and used tokens stay used.
//!
//! `VOUCHSAFE_KILLS` is the number of kills; `scripts/soak` runs more than a test run does.

use rusqlite::Connection;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::bundle::{BROKER, DEPLOY};
use vouchsafe_harness::exchange::Form;
use vouchsafe_harness::http;
use vouchsafe_harness::issuer::Issuer;
use vouchsafe_harness::jwt::{self, Issued};
use vouchsafe_harness::now;

const KILLS_DEFAULT: usize = 3;
const CLIENTS: usize = 8;
/// Tokens that clients have before the broker of a round is killed; grows each round, so that the kills don't all hit
/// the same phase.
const TOKENS_PER_ROUND: usize = 40;
/// How often the killer counts them.
const POLL: Duration = Duration::from_millis(1);

/// A subject token that was presented, and all tokens that were issued for it.
struct Presented {
    token: String,
    bought: Vec<Issued>,
}

#[derive(Default)]
struct Ledger {
    presented: Mutex<BTreeMap<String, Presented>>,
    bought: AtomicUsize,
}

impl Ledger {
    /// Presents `token` once; false if the broker is gone.
    fn present(&self, address: &str, jti: &str, token: &str) -> bool {
        let request = Form::of(token).set("audience", DEPLOY).request();
        let answer = http::send(address, &request);
        let mut presented = self.presented.lock().expect("unpoisoned");
        let entry = presented
            .entry(jti.to_owned())
            .or_insert_with(|| Presented { token: token.to_owned(), bought: Vec::new() });
        match answer {
            Ok(answer) if answer.status == 200 => {
                let body = answer.json();
                entry.bought.push(Issued::parse(body["access_token"].as_str().expect("a token")));
                self.bought.fetch_add(1, Relaxed);
                true
            }
            Ok(answer) => {
                assert!(matches!(answer.status, 400 | 503), "{} {}", answer.status, answer.text());
                true
            }
            Err(_) => false,
        }
    }

    /// Presents every token again.
    fn present_again(&self, broker: &Broker) {
        let tokens: Vec<_> = {
            let presented = self.presented.lock().expect("unpoisoned");
            presented.iter().map(|(jti, entry)| (jti.clone(), entry.token.clone())).collect()
        };
        for (jti, token) in tokens {
            assert!(self.present(&broker.address, &jti, &token), "the broker ended by itself");
        }
    }

    /// Presents a new token `times` times; false if the broker is gone.
    fn present_fresh(&self, iss: &str, broker: &Broker, times: usize) -> bool {
        let mut claims = jwt::claims(iss, BROKER, now());
        let jti = claims["jti"].as_str().expect("a jti").to_owned();
        // With one subject only, the limit on denials would apply.
        claims["sub"] = format!("repo:octo-org/octo-repo:{jti}").into();
        let token = jwt::mint("ES256", &claims);
        (0..times).all(|_| self.present(&broker.address, &jti, &token))
    }

    fn assert_each_used_once(&self) {
        for (jti, entry) in self.presented.lock().expect("unpoisoned").iter() {
            assert!(entry.bought.len() <= 1, "{} tokens were issued for {jti}", entry.bought.len());
        }
    }

    /// Clients present new tokens, and every other one twice, until the broker is gone.
    fn load(&self, iss: &str, broker: &Broker, tokens: usize) {
        let enough = self.bought.load(Relaxed) + tokens;
        std::thread::scope(|scope| {
            let spawn = |client| scope.spawn(move || while self.present_fresh(iss, broker, 1 + client % 2) {});
            let clients: Vec<_> = (0..CLIENTS).map(spawn).collect();
            while self.bought.load(Relaxed) < enough {
                assert!(clients.iter().any(|client| !client.is_finished()), "the clients stopped early");
                std::thread::sleep(POLL);
            }
            broker.kill();
        });
    }
}

/// Every issued token has a record, and no subject token has two.
fn assert_recorded(database: &Connection, ledger: &Ledger) {
    let whole: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("opens");
    assert_eq!(whole, "ok");
    for (jti, entry) in ledger.presented.lock().expect("unpoisoned").iter() {
        for issued in &entry.bought {
            let id = issued.claims["jti"].as_str().expect("a jti");
            let sql = "SELECT outcome, slug, kid, expires_at, audience, subject_jti FROM audit WHERE decision_id = ?1";
            let record: (String, String, String, i64, String, String) = database
                .query_row(sql, [id], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
                })
                .unwrap_or_else(|error| panic!("no record of decision {id} of {jti}: {error}"));
            let text = |text: &str| text.to_owned();
            let exp = i64::try_from(issued.number("exp")).expect("a time");
            let expected = (text("issued"), text("issued"), issued.kid(), exp, text(DEPLOY), jti.clone());
            assert_eq!(record, expected);
        }
    }
    let twice: i64 = database
        .query_row(
            "SELECT count(*) FROM (SELECT 1 FROM audit WHERE outcome = 'issued' GROUP BY subject_jti HAVING count(*) > 1)",
            [],
            |row| row.get(0),
        )
        .expect("counts");
    assert_eq!(twice, 0, "subject tokens with two records");
}

#[test]
fn keeps_every_use_and_record_when_killed() {
    let kills = std::env::var("VOUCHSAFE_KILLS").map_or(KILLS_DEFAULT, |text| text.parse().expect("a number"));
    let issuer = Issuer::honest();
    let mut setup = Setup::trusting(&issuer);
    let ledger = Ledger::default();
    for round in 0..kills {
        // The later rounds run the store's component, on the database that the host's own store left behind.
        if round == kills.div_ceil(2) {
            setup = setup.argument("--wasm-store");
        }
        ledger.load(&issuer.url("main"), &setup.start(), TOKENS_PER_ROUND + 7 * round);
        ledger.assert_each_used_once();
        assert_recorded(&Connection::open(setup.database()).expect("opens"), &ledger);
        let broker = setup.start();
        ledger.present_again(&broker);
        ledger.assert_each_used_once();
        broker.assert_healthy();
    }
    let database = Connection::open(setup.database()).expect("opens");
    assert_recorded(&database, &ledger);
    let presented = ledger.presented.lock().expect("unpoisoned").len();
    let bought = ledger.bought.load(Relaxed);
    assert!(bought >= kills * TOKENS_PER_ROUND, "{bought} of {presented}");
    println!("{kills} kills: {presented} subject tokens presented, {bought} tokens issued, each on record");
}
