//! The gateway's metrics listener.

use std::collections::BTreeSet;
use vouchsafe_harness::hsm::{GatewaySetup, eventually};

/// `docs/hsm/operate.md` lists all of them, and nothing else.
#[test]
fn serves_exactly_the_documented_metrics() {
    const PREFIX: &str = "hsm_gateway_";
    let page = vouchsafe_harness::broker::repository().join("docs/hsm/operate.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let (_, section) = page.split_once("\n## Metrics\n").expect("a section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    let names = cells.flat_map(|cell| cell.split(", "));
    let documented: BTreeSet<_> = names
        .map(|name| name.trim_matches('`').split('{').next().unwrap_or_default())
        .map(|name| format!("{PREFIX}{name}"))
        .collect();
    let gateway = GatewaySetup::initialized().start();
    let text = gateway.metrics();
    let there: BTreeSet<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_owned).collect();
    assert_eq!(documented, there);
}

/// Idle connections to the metrics must not use up the file descriptors.
#[test]
fn limits_connections_to_metrics() {
    const MANY: usize = 200;
    const BOUND: usize = 32;
    let gateway = GatewaySetup::initialized().start();
    let before = gateway.open_files();
    let address = format!("127.0.0.1:{}", gateway.setup.metrics_port);
    let idle: Vec<_> =
        (0..MANY).map(|_| std::net::TcpStream::connect(&address).expect("connects, or waits in the kernel")).collect();
    // It accepts connections at once, so all are accepted before the other listener answers.
    eventually("the maximum of connections", || {
        gateway.get("/healthz");
        (gateway.open_files() >= before + BOUND).then_some(())
    });
    for _ in 0..20 {
        assert_eq!(gateway.get("/healthz").status, 200);
        let more = gateway.open_files() - before;
        assert!(more < 2 * BOUND, "{more} more open files");
    }
    drop(idle);
    assert!(gateway.metric("hsm_gateway_hsm_operations_total") > 0, "not served again");
}
