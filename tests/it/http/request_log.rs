//! How much an anonymous client can make a broker log.

use vouchsafe_harness::scene::Scene;

/// `LINES_PER_MINUTE_MAX` of the exchange.
const LINES: usize = 100;
const MORE: usize = 5;

#[test]
fn limits_log_lines_for_unknown_paths() {
    let broker = Scene::new().start_at(0);
    for number in 0..LINES + MORE {
        assert_eq!(broker.get(&format!("/{number}")).status, 404);
    }
    assert_eq!(broker.get("/.well-known/jwks.json").status, 200);
    let lines = broker.lines_until("jwks");
    let unknown = lines.iter().filter(|line| line["slug"] == "not_found");
    assert_eq!(unknown.count(), LINES);
    broker.assert_healthy();
}
