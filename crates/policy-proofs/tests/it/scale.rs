//! Proof times of large bundles. Ignored: `cargo test -p vouchsafe-policy-proofs -- --ignored --nocapture scale` prints
//! the table of docs/performance.md.

use crate::support::*;
use std::fmt::Write;
use std::time::Instant;
use vouchsafe_policy::authoring::proof;
use vouchsafe_policy::{BundleFiles, PROOF_FILE};
use vouchsafe_policy_proofs::prove::prove_changes;

const EVERYWHERE: &str = "@id(\"no-pull-requests\") @description(\"No run for a pull request gets a token.\") \
    forbid (principal is GitHub::Workflow, action, resource) when { principal.event_name == \"pull_request\" };\n";

/// `audiences` with `rules` policies each; a guardrail for each audience if `guarded`, and one for all.
fn large(audiences: usize, rules: usize, guarded: bool, groups: usize, members: usize) -> BundleFiles {
    let mut files = vec![
        ("bundle.toml".to_owned(), "name = \"large\"\nversion = \"1\"\n".to_owned()),
        ("schema.cedarschema".to_owned(), SCHEMA.to_owned()),
        ("issuers/github.toml".to_owned(), "issuer = \"https://idp.example\"\nprovider = \"github\"\n".to_owned()),
        ("guardrails/all.cedar".to_owned(), EVERYWHERE.to_owned()),
    ];
    for at in 0..audiences {
        let id = format!("https://api-{at}.example");
        files.push((format!("audiences/api-{at}.toml"), format!("id = \"{id}\"\nscopes = [\"read\", \"write\"]\n")));
        let mut text = String::new();
        for rule in 0..rules {
            let principal = match groups {
                0 => "principal is GitHub::Workflow in Issuer::\"github\"".to_owned(),
                groups => format!("principal is GitHub::Workflow in WorkloadGroup::\"team-{}\"", (at + rule) % groups),
            };
            writeln!(
                text,
                "@id(\"api-{at}-{rule}\") permit ({principal}, action, resource == Audience::\"{id}\") when {{ \
                 principal.repository_id == \"{at}{rule}\" && principal.ref == \"refs/heads/main\" && \
                 principal.event_name == \"push\" && [\"read\"].containsAll(context.scopes) }};"
            )
            .expect("a string");
            // A file has at most 256 KiB.
            if rule % 400 == 399 {
                files.push((format!("rules/api-{at}-{rule}.cedar"), std::mem::take(&mut text)));
            }
        }
        files.push((format!("rules/api-{at}.cedar"), text));
        if guarded {
            let guardrail = format!(
                "@id(\"api-{at}\") @description(\"Only main reads.\") forbid (principal, action, resource == \
                 Audience::\"{id}\") unless {{ principal is GitHub::Workflow && principal.ref == \"refs/heads/main\" \
                 && [\"read\"].containsAll(context.scopes) }};\n"
            );
            files.push((format!("guardrails/api-{at}.cedar"), guardrail));
        }
    }
    for group in 0..groups {
        let workload =
            |at: usize| format!("[[workloads]]\nissuer = \"github\"\nclaims = {{ repository_id = \"{group}{at}\" }}\n");
        files.push((format!("entities/team-{group}.toml"), (0..members).map(workload).collect()));
    }
    let mut all = BundleFiles::default();
    for (path, text) in files {
        all.add(&path, text.into_bytes()).expect("within limits");
    }
    all
}

#[test]
#[ignore = "minutes, for docs/performance.md"]
fn scale() {
    let bundles = [
        ("10 rules for each of 10 audiences", large(10, 10, true, 0, 0)),
        ("10 rules for each of 100 audiences", large(100, 10, true, 0, 0)),
        ("10 rules for each of 1000 audiences", large(1000, 10, false, 0, 0)),
        ("the same, with 1000 guardrails", large(1000, 10, true, 0, 0)),
        ("1000 rules for one audience", large(1, 1000, true, 0, 0)),
        ("10 groups of 1000 members, 10 rules for one audience", large(1, 10, true, 10, 1000)),
        ("the same, for 100 audiences", large(100, 10, true, 10, 1000)),
    ];
    for (name, files) in bundles {
        let start = Instant::now();
        let proofs = proofs(&files);
        let slowest = proofs.proofs.iter().map(|proof| proof.time).max().unwrap_or_default();
        assert!(
            proofs.hold(),
            "{name}: {:?}",
            proofs.proofs.iter().find(|proof| proof.outcome != vouchsafe_policy_proofs::prove::Outcome::Proven)
        );
        println!(
            "{name}: {} proofs, {:.1} s, slowest {} ms",
            proofs.proofs.len(),
            start.elapsed().as_secs_f64(),
            slowest.as_millis()
        );
    }
    let unproven = large(1000, 10, true, 0, 0);
    let base = with(&unproven, &[(PROOF_FILE, &proof::record(&unproven, "cvc5"))]);
    let rules = String::from_utf8(base.content("rules/api-7.cedar").expect("a file").to_vec()).expect("text");
    let changed = with(&base, &[("rules/api-7.cedar", &rules.replace("push", "schedule"))]);
    let start = Instant::now();
    let proofs = prove_changes(Some(&base), &changed, &environment(), &solver(), TWO).expect("it can be asked");
    assert!(proofs.hold() && proofs.unchanged == 999, "{}", proofs.unchanged);
    println!("10,000 rules, those of one audience changed since a base: {:.1} s", start.elapsed().as_secs_f64());
}
