//! The cost of a trust bundle: loading it, the first decision for an audience, and later ones.
//!
//! Measured natively with the crate that the policy component uses, and in that component in a running broker. Each
//! bundle has ten policies per audience, so the number of policies that can match stays the same while their total
//! grows.

use crate::broker::Site;
use crate::issuer::Issuer;
use crate::load::{self, Arrivals};
use crate::{AUDIENCE, BROKER, Outcome};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use vouchsafe_policy::{Attribute, AttributeValue, BundleFiles, Decider, Effect, Environment, Principal, TokenRequest};

const POLICIES_PER_AUDIENCE: usize = 10;
/// Workloads per group file.
const WORKLOADS_PER_GROUP: usize = 1000;
const DECISIONS: u32 = 2000;
/// Native loads with a seal, of which the median is reported.
const LOADS: usize = 9;
/// Requests to a new instance each, and to one instance.
const NEW_INSTANCES: usize = 21;
const OLD_INSTANCE_REQUESTS: usize = 400;
/// The `repository_id` of the issuer's tokens.
const REPOSITORY: usize = 123_456;
const SIZES: [(usize, usize); 5] = [(10, 0), (100, 0), (1000, 0), (10_000, 0), (1000, 10_000)];

/// Microseconds.
struct Cost {
    /// Loading without a seal and with one.
    check: f64,
    load: f64,
    first: f64,
    later: f64,
}

/// Prints one row per size.
pub fn run(repository: &Path, site: &Site, issuer: &Issuer) -> Outcome<()> {
    println!(
        "\n{:>8} {:>9} | {:>10} {:>10} {:>8} {:>8} | {:>10} {:>10} {:>8} {:>8} | {:>6}",
        "", "", "native", "", "first", "later", "Wasm", "", "first", "later", ""
    );
    println!(
        "{:>8} {:>9} | {:>10} {:>10} {:>8} {:>8} | {:>10} {:>10} {:>8} {:>8} | {:>6}",
        "policies", "entities", "check ms", "load ms", "us", "us", "check ms", "load ms", "us", "us", "ratio"
    );
    for (rules, entities) in SIZES {
        let files = files(repository, &issuer.url(), rules, entities)?;
        let native = native(&files)?;
        let wasm = wasm(site, issuer, &files)?;
        println!(
            "{rules:>8} {entities:>9} | {} | {} | {:>6.1}",
            format_cost(&native),
            format_cost(&wasm),
            wasm.load / native.load
        );
    }
    println!(
        "check: first load of a bundle; load: with a seal; ratio: Wasm load / native load.\n\
         native excludes reading files; Wasm includes reading files and the seals from the store"
    );
    Ok(())
}

fn format_cost(cost: &Cost) -> String {
    let Cost { check, load, first, later } = cost;
    let (check, load) = (check / 1e3, load / 1e3);
    format!("{check:>10.1} {load:>10.2} {first:>8.0} {later:>8.0}")
}

fn native(files: &BundleFiles) -> Outcome<Cost> {
    let environment = Environment { issuer: BROKER.to_owned(), development: true, epoch_seconds: 3600 };
    let timed = |seals: Option<&str>| -> Outcome<(f64, Decider)> {
        let started = Instant::now();
        let decider = Decider::load(files, &environment, seals)?;
        Ok((microseconds(started.elapsed()), decider))
    };
    let (check, checked) = timed(None)?;
    let mut loads = Vec::new();
    for _ in 0..LOADS {
        loads.push(timed(checked.seals())?.0);
    }
    let (_, decider) = timed(checked.seals())?;
    let (first, later) = decisions(&decider)?;
    Ok(Cost { check, load: median(loads), first, later })
}

/// Time of the first decision for an audience, and the mean of [`DECISIONS`] later ones.
fn decisions(decider: &Decider) -> Outcome<(f64, f64)> {
    let principal = principal();
    let request = TokenRequest {
        audience: AUDIENCE.to_owned(),
        scopes: vec!["read".to_owned()],
        requested_lifetime_seconds: 300,
        client_ip: None,
        proof_of_possession: false,
    };
    let decide = || decider.decide(&principal, &request, 1_798_761_600);
    let started = Instant::now();
    let decision = decide()?;
    let first = microseconds(started.elapsed());
    if decision.effect != Effect::Permit {
        return Err(format!("{decision:?}").into());
    }
    let started = Instant::now();
    for _ in 0..DECISIONS {
        decide()?;
    }
    Ok((first, microseconds(started.elapsed()) / f64::from(DECISIONS)))
}

/// The same in the component, from the broker's log.
fn wasm(site: &Site, issuer: &Issuer, files: &BundleFiles) -> Outcome<Cost> {
    let name = "bundle";
    let folder = site.policies(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    for (path, content) in files.iter() {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().ok_or("no folder")?)?;
        fs::write(path, content)?;
    }
    let alone = Arrivals::Closed { connections: 1 };
    let long = Duration::from_secs(60);
    let exchanges = |count: usize| issuer.requests(count);
    let new = site.start(name, &["--max-instance-reuse-count", "1"])?;
    // The broker asks itself whether it is ready before it listens.
    let all = new.timings_us("readyz", "load", 0)?;
    let check = *all.first().ok_or("no bundle was loaded")?;
    let from = new.log_bytes()?;
    let readyz = b"GET /readyz HTTP/1.1\r\nhost: broker\r\n\r\n".to_vec();
    load::run(&new.address, &vec![readyz; NEW_INSTANCES], alone, long)?;
    let loads = new.timings_us("readyz", "load", from)?;
    load::run(&new.address, &exchanges(NEW_INSTANCES)?, alone, long)?;
    let first = new.timings_us("token", "decide", from)?;
    drop(new);
    let old = site.start(name, &[])?;
    load::run(&old.address, &exchanges(OLD_INSTANCE_REQUESTS)?, alone, long)?;
    let later = old.timings_us("token", "decide", 0)?;
    Ok(Cost { check, load: median(loads), first: median(first), later: median(later) })
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

fn principal() -> Principal {
    let text = |name: &str, value: String| Attribute { name: name.to_owned(), value: AttributeValue::Text(value) };
    let mut attributes: Vec<Attribute> = ["actor", "repository", "repository_owner", "run_id", "workflow"]
        .map(|name| text(name, "example".to_owned()))
        .into();
    attributes.extend([
        text("event_name", "push".to_owned()),
        text("ref", "refs/heads/main".to_owned()),
        text("repository_id", REPOSITORY.to_string()),
        text("repository_owner_id", "65".to_owned()),
    ]);
    Principal {
        entity_type: "GitHub::Workflow".to_owned(),
        id: "repo:octo-org/octo-repo:ref:refs/heads/main".to_owned(),
        issuer_name: "github".to_owned(),
        attributes,
    }
}

fn files(repository: &Path, issuer_url: &str, rules: usize, entities: usize) -> Outcome<BundleFiles> {
    let mut files = BundleFiles::default();
    let mut add =
        |path: String, text: String| files.add(&path, text.into_bytes()).map_err(|finding| finding.to_string());
    let schema = fs::read_to_string(repository.join("policies/schema.cedarschema"))?;
    add("schema.cedarschema".to_owned(), schema)?;
    add("bundle.toml".to_owned(), "name = \"bench\"\nversion = \"1\"\n".to_owned())?;
    let issuer = format!(
        "issuer = \"{issuer_url}\"\nprovider = \"github\"\ndevelopment = true\nreplay = \"allow\"\n\
         max_token_age = \"30m\"\n"
    );
    add("issuers/github.toml".to_owned(), issuer)?;
    let audiences = rules.div_ceil(POLICIES_PER_AUDIENCE);
    for number in 0..audiences {
        // The requested audience comes last.
        let is_last = number == audiences - 1;
        let id = if is_last { AUDIENCE.to_owned() } else { format!("https://api-{number}.example") };
        let text = format!("id = \"{id}\"\nscopes = [\"read\", \"write\"]\n");
        add(format!("audiences/a{number}.toml"), text)?;
        let rules: String = (0..POLICIES_PER_AUDIENCE)
            .map(|at| {
                let number = number * POLICIES_PER_AUDIENCE + at;
                let is_of_token = is_last && at == POLICIES_PER_AUDIENCE - 1;
                rule(number, if is_of_token { REPOSITORY } else { number }, &id)
            })
            .collect();
        add(format!("rules/r{number}.cedar"), rules)?;
    }
    for group in 0..entities.div_ceil(WORKLOADS_PER_GROUP) {
        let workload = |at: usize| {
            let repository = group * WORKLOADS_PER_GROUP + at;
            format!("[[workloads]]\nissuer = \"github\"\nclaims = {{ repository_id = \"{repository}\" }}\n")
        };
        let text: String = (0..WORKLOADS_PER_GROUP).map(workload).collect();
        add(format!("entities/g{group}.toml"), text)?;
    }
    Ok(files)
}

fn rule(number: usize, repository: usize, audience: &str) -> String {
    format!(
        "@id(\"r{number}\")\npermit (\n  principal is GitHub::Workflow in Issuer::\"github\",\n  \
         action == Action::\"issue\",\n  resource == Audience::\"{audience}\"\n)\nwhen\n{{\n  \
         principal.repository_id == \"{repository}\" &&\n  principal.ref == \"refs/heads/main\" &&\n  \
         principal.event_name == \"push\" &&\n  [\"read\"].containsAll(context.scopes)\n}};\n"
    )
}
