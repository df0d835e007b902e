//! What a trust bundle costs: loading it, the first decision for an audience, and those after it.
//!
//! Native, with the crate that the policy component is made of. Each bundle has ten rules per audience, so
//! what can match stays the same while what exists grows.

use crate::Outcome;
use std::path::Path;
use std::time::{Duration, Instant};
use vouchsafe_policy::{
    Attribute, AttributeValue, Bundle, BundleFiles, Effect, Environment, Principal, TokenRequest,
};

const RULES_PER_AUDIENCE: usize = 10;
/// Workloads of one group file.
const WORKLOADS_PER_GROUP: usize = 1000;
const DECISIONS: u32 = 2000;

/// Prints a row for each number of rules, and one with entities.
pub fn run(repository: &Path) -> Outcome<()> {
    println!(
        "\n{:>8} {:>9} {:>10} {:>18} {:>20}",
        "rules", "entities", "load", "first decision", "decision after that"
    );
    for (rules, entities) in [(10, 0), (100, 0), (1000, 0), (10_000, 0), (1000, 10_000)] {
        let files = files(repository, rules, entities)?;
        let environment = Environment {
            issuer: "https://broker.example".to_owned(),
            development: false,
            epoch_seconds: 3600,
        };
        let started = Instant::now();
        let bundle = Bundle::load(&files, &environment)?;
        let load = started.elapsed();
        let (first, later) = decisions(&bundle, rules)?;
        println!(
            "{rules:>8} {entities:>9} {:>7.1} ms {:>15.1} us {:>17.1} us",
            load.as_secs_f64() * 1e3,
            first.as_secs_f64() * 1e6,
            later.as_secs_f64() * 1e6,
        );
    }
    Ok(())
}

/// The first decision for an audience, and the mean of [`DECISIONS`] after it.
fn decisions(bundle: &Bundle, rules: usize) -> Outcome<(Duration, Duration)> {
    let last = rules - 1;
    let principal = principal(last);
    let request = TokenRequest {
        audience: audience(last / RULES_PER_AUDIENCE),
        scopes: vec!["read".to_owned()],
        requested_lifetime_seconds: 300,
        client_ip: None,
        proof_of_possession: false,
    };
    let decide = || bundle.decide(&principal, &request, 1_798_761_600);
    let started = Instant::now();
    let decision = decide()?;
    let first = started.elapsed();
    if decision.effect != Effect::Permit {
        return Err(format!("{rules} rules: {decision:?}").into());
    }
    let started = Instant::now();
    for _ in 0..DECISIONS {
        decide()?;
    }
    Ok((first, started.elapsed() / DECISIONS))
}

fn audience(number: usize) -> String {
    format!("https://api-{number}.example")
}

fn principal(repository: usize) -> Principal {
    let text = |name: &str, value: String| Attribute {
        name: name.to_owned(),
        value: AttributeValue::Text(value),
    };
    let mut attributes: Vec<Attribute> = [
        "actor",
        "repository",
        "repository_owner",
        "run_id",
        "workflow",
    ]
    .map(|name| text(name, "example".to_owned()))
    .into();
    attributes.extend([
        text("event_name", "push".to_owned()),
        text("ref", "refs/heads/main".to_owned()),
        text("repository_id", repository.to_string()),
        text("repository_owner_id", "65".to_owned()),
    ]);
    Principal {
        entity_type: "GitHub::Workflow".to_owned(),
        id: format!("repo:o/r{repository}:ref:refs/heads/main"),
        issuer_name: "github".to_owned(),
        attributes,
    }
}

fn files(repository: &Path, rules: usize, entities: usize) -> Outcome<BundleFiles> {
    let mut files = BundleFiles::default();
    let mut add = |path: String, text: String| {
        files
            .add(&path, text.into_bytes())
            .map_err(|finding| finding.to_string())
    };
    let schema = std::fs::read_to_string(repository.join("policies/schema.cedarschema"))?;
    add("schema.cedarschema".to_owned(), schema)?;
    add(
        "bundle.toml".to_owned(),
        "name = \"bench\"\nversion = \"1\"\n".to_owned(),
    )?;
    let issuer =
        "issuer = \"https://token.actions.githubusercontent.com\"\nprovider = \"github\"\n";
    add("issuers/github.toml".to_owned(), issuer.to_owned())?;
    for number in 0..rules.div_ceil(RULES_PER_AUDIENCE) {
        let id = audience(number);
        let text = format!("id = \"{id}\"\nscopes = [\"read\", \"write\"]\n");
        add(format!("audiences/a{number}.toml"), text)?;
        let rules: String = (0..RULES_PER_AUDIENCE)
            .map(|at| rule(number * RULES_PER_AUDIENCE + at, &id))
            .collect();
        add(format!("rules/r{number}.cedar"), rules)?;
    }
    for group in 0..entities.div_ceil(WORKLOADS_PER_GROUP) {
        let workload = |at: usize| {
            let repository = group * WORKLOADS_PER_GROUP + at;
            format!(
                "[[workloads]]\nissuer = \"github\"\nclaims = {{ repository_id = \"{repository}\" }}\n"
            )
        };
        let text: String = (0..WORKLOADS_PER_GROUP).map(workload).collect();
        add(format!("entities/g{group}.toml"), text)?;
    }
    Ok(files)
}

fn rule(number: usize, audience: &str) -> String {
    format!(
        "@id(\"r{number}\")\npermit (\n  principal is GitHub::Workflow in Issuer::\"github\",\n  \
         action == Action::\"issue\",\n  resource == Audience::\"{audience}\"\n)\nwhen\n{{\n  \
         principal.repository_id == \"{number}\" &&\n  principal.ref == \"refs/heads/main\" &&\n  \
         principal.event_name == \"push\" &&\n  [\"read\"].containsAll(context.scopes)\n}};\n"
    )
}
