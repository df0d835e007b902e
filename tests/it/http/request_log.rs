//! How much anybody can have a broker log.

use crate::cases::files;
use vouchsafe_tests::broker::Setup;
use vouchsafe_tests::issuer::{Issuer, Script};

/// `LINES_PER_MINUTE_MAX` of the exchange.
const LINES: usize = 100;
const MORE: usize = 5;
/// The first second of a minute.
const START: u64 = 1_800_000_000;

#[test]
fn a_flood_of_unknown_paths_has_bounded_lines() {
    let issuer = Issuer::start([("main", Script::honest())]);
    let setup = Setup::broker(&files(&issuer), &[issuer.origin()]);
    let setup = setup.argument("--danger-now");
    let broker = setup.argument(START.to_string()).start();
    for number in 0..LINES + MORE {
        assert_eq!(broker.get(&format!("/{number}")).status, 404);
    }
    assert_eq!(broker.get("/.well-known/jwks.json").status, 200);
    let lines = broker.lines_until("jwks");
    let unknown = lines.iter().filter(|line| line["slug"] == "not_found");
    assert_eq!(unknown.count(), LINES);
    broker.assert_unharmed();
}
