//! The metrics of `vouchsafe serve`.

use std::collections::BTreeSet;
use vouchsafe_harness::broker::{Setup, repository};
use vouchsafe_harness::exchange::{Form, Want, bad, check};
use vouchsafe_harness::http::{self, Request};
use vouchsafe_harness::issuer::Issuer;
use vouchsafe_harness::{jwt, now};

fn metrics(address: &str) -> String {
    let response = http::send(address, &Request::get("/metrics")).expect("metrics");
    assert_eq!(response.status, 200, "{}", response.text());
    response.text()
}

/// Sum of the samples of `vouchsafe_exchanges_total` with this slug.
fn exchanges(text: &str, slug: &str) -> u64 {
    let start = format!("vouchsafe_exchanges_total{{slug=\"{slug}\",");
    let samples = text.lines().filter(|line| line.starts_with(&start));
    samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

/// `docs/operations/reference.md` lists all of them, and nothing else but those of a store on PostgreSQL, which this broker
/// does not have.
#[test]
fn serves_exactly_the_documented_metrics() {
    let page = std::fs::read_to_string(repository().join("docs/operations/reference.md")).expect("the page");
    let (_, section) = page.split_once("\n## Metrics\n").expect("a section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let names = rows.filter_map(|row| row.split('`').next()).filter(|name| !name.starts_with("vouchsafe_postgres_"));
    let documented: BTreeSet<_> = names.map(str::to_owned).collect();
    let issuer = Issuer::honest();
    let (setup, address) = Setup::trusting(&issuer).with_metrics();
    // Nothing is exported without an exchange.
    let broker = setup.argument("--otlp-endpoint=http://127.0.0.1:1").start();
    let text = metrics(&address);
    let there = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_owned);
    assert_eq!(documented, there.collect::<BTreeSet<_>>());
    let helped = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()).map(str::to_owned);
    assert_eq!(documented, helped.collect::<BTreeSet<_>>());
    broker.assert_healthy();
}

#[test]
fn counts_exchanges_by_outcome() {
    let issuer = Issuer::honest();
    let (setup, address) = Setup::trusting(&issuer).with_metrics();
    let broker = setup.start();
    let token = jwt::mint("RS256", &issuer.claims(now()));
    for (token, want) in [(token.as_str(), Want::Issued), (&token, Want::Issued), ("a.b.c", bad("token.malformed"))] {
        check(&broker, &Form::of(token).request(), token, want).expect("as expected");
    }
    let text = metrics(&address);
    assert_eq!((exchanges(&text, "issued"), exchanges(&text, "token.malformed")), (2, 1), "{text}");
    assert!(text.contains("vouchsafe_build_info{version=\""), "{text}");
    broker.assert_healthy();
}
