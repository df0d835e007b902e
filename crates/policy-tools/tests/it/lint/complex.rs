//! Policies that have more combinations of conditions than are tried.

use super::dangerous::{GITHUB, of};

/// A stranger can hide in no number of conditions.
#[test]
fn warns_of_policies_too_complex_to_evaluate() {
    let claims = ["actor", "repository", "repository_owner", "run_id", "sha", "workflow", "ref", "event_name"];
    let odd = |claim: &&str| {
        let read = format!("(principal has {claim} && principal.{claim} like");
        format!("({read} \"a*b*c\") || {read} \"*d*e\") || {read} \"f*\"))")
    };
    let parts: Vec<String> = claims.iter().map(odd).collect();
    // Only Cedar can tell that no address is in this range.
    let never = "context has client_ip && context.client_ip.isMulticast() && context.client_ip.isLoopback()";
    let found = of(&GITHUB, &format!("{} && {never}", parts.join(" && ")));
    let expected =
        "has too many combinations of conditions to be evaluated for strangers: split it into several policies";
    assert!(found.contains(&("rule-too-complex", expected.to_owned())), "{found:#?}");
}

/// Each of hundreds of patterns could be combined with each other.
#[test]
fn bounds_the_work_for_many_patterns() {
    let condition = |of: usize| {
        let patterns: Vec<String> = (0..of).map(|at| format!("principal.ref like \"refs/heads/r{at}-*\"")).collect();
        format!("principal.repository_id == \"1\" && principal.event_name == \"push\" && ({})", patterns.join(" || "))
    };
    let codes =
        |of_patterns| -> Vec<&str> { of(&GITHUB, &condition(of_patterns)).into_iter().map(|(code, _)| code).collect() };
    assert!(!codes(3).contains(&"rule-too-complex"));
    assert!(codes(400).contains(&"rule-too-complex"));
}
