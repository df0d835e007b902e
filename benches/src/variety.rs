//! Exchanges of other kinds than those of the table, so that nothing is tuned for one.

use crate::broker::{MANY_RULES, Site};
use crate::issuer::{ALGORITHMS, Issuer, Shape};
use crate::load::{self, Arrivals};
use crate::{Options, Outcome};
use std::time::Instant;

const CONNECTIONS: usize = 16;
const WARMING_UP: usize = 1000;
const TOKENS_PER_SECOND: usize = 3000;
/// Tokens that are presented again and again.
const REPEATED: usize = 16;

/// Measures each kind with a broker of its own and prints a line for it.
pub fn run(site: &Site, issuer: &Issuer, options: &Options) -> Outcome<()> {
    let count = WARMING_UP + TOKENS_PER_SECOND * options.lasting.as_secs() as usize;
    let whole = issuer.tokens(count)?;
    println!("\n{:<34} {:>11} {:>7} {:>9} {:>9}", "", "exchanges/s", "CPU us", "p50 ms", "p99 ms");
    let measure = |name: &str, bundle: &str, tokens: &[String], connections: usize| {
        line(site, issuer, options, (name, bundle, connections), tokens)
    };
    measure("RS256, 30 claims, 16 connections", "allow", &whole, CONNECTIONS)?;
    measure("1 connection", "allow", &whole, 1)?;
    measure("64 connections", "allow", &whole, 64)?;
    measure("100 policies more", MANY_RULES, &whole, CONNECTIONS)?;
    let repeated: Vec<String> = whole.iter().take(REPEATED).cycle().take(count).cloned().collect();
    measure("the same 16 tokens", "allow", &repeated, CONNECTIONS)?;
    drop(repeated);
    for (name, shape) in [
        ("ES256", Shape::Whole("ES256")),
        ("EdDSA", Shape::Whole("EdDSA")),
        ("only required claims", Shape::Required),
        ("10 unknown claims more", Shape::More(10)),
    ] {
        measure(name, "allow", &issuer.tokens_of(shape, count)?, CONNECTIONS)?;
    }
    let mixed = ALGORITHMS.map(|algorithm| issuer.tokens_of(Shape::Whole(algorithm), count.div_ceil(3)));
    let mixed: Vec<Vec<String>> = mixed.into_iter().collect::<Outcome<_>>()?;
    let mixed: Vec<String> = (0..count).filter_map(|at| mixed[at % 3].get(at / 3).cloned()).collect();
    measure("all three algorithms", "allow", &mixed, CONNECTIONS)?;
    cold(site, issuer)
}

fn line(
    site: &Site,
    issuer: &Issuer,
    options: &Options,
    (name, bundle, connections): (&str, &str, usize),
    tokens: &[String],
) -> Outcome<()> {
    let broker = site.start(bundle, &[])?;
    let requests = issuer.requests_of(tokens, "/token", "");
    let (first, distinct) = requests.split_at(WARMING_UP);
    load::run(&broker.address, first, Arrivals::Closed { connections: CONNECTIONS }, options.lasting)?;
    let before = broker.cpu()?;
    let seen = load::run(&broker.address, distinct, Arrivals::Closed { connections }, options.lasting)?;
    let cpu = broker.cpu()?.saturating_sub(before);
    println!(
        "{name:<34} {:>11.0} {:>7.0} {:>9.1} {:>9.1}",
        seen.per_second(),
        cpu.as_secs_f64() * 1e6 / seen.count() as f64,
        seen.percentile_ms(0.5),
        seen.percentile_ms(0.99)
    );
    Ok(())
}

/// The first exchange of a broker that knows no key of the issuer yet, and the second.
fn cold(site: &Site, issuer: &Issuer) -> Outcome<()> {
    let broker = site.start("allow", &[])?;
    let requests = issuer.requests(2)?;
    let mut connection = load::Connection::open(&broker.address)?;
    let mut took = Vec::new();
    for request in &requests {
        let start = Instant::now();
        if !connection.send(request)? {
            return Err("the broker is overloaded".into());
        }
        took.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    println!("first exchange, which fetches the issuer's keys: {:.1} ms; the second: {:.1} ms", took[0], took[1]);
    Ok(())
}
