//! A `forbid` must not depend on a client address that the broker may not know.

use super::support::*;
use vouchsafe_policy_tools::{CheckError, lint};

/// The text that the error about a `forbid` points at, if there is one.
fn needs_address(condition: &str) -> Vec<String> {
    let forbid = format!("@id(\"never\")\nforbid (principal, action, resource)\n{condition};\n");
    let report = lint::check(&files(&[("rules/never.cedar", Some(&forbid))]), &environment());
    assert!(report.bundle.is_some(), "{report}");
    report.errors.iter().map(ToString::to_string).collect()
}

#[test]
fn refuses_forbid_that_needs_client_address() {
    let known = "context has client_ip";
    let bad = "context has client_ip && context.client_ip.isInRange(ip(\"203.0.113.0/24\"))";
    let at = |column: usize| {
        [format!("rules/never.cedar:3:{column}: policy `never` forbids less if the client address is unknown")]
    };
    for (condition, column) in [
        (format!("when {{ {bad} }}"), 8),
        (format!("when {{ context.proof_of_possession && ({bad}) }}"), 40),
        (format!("when {{ context.proof_of_possession || ({bad}) }}"), 40),
        (format!("when {{ !(!({known})) }}"), 12),
        (format!("when {{ {known} }} unless {{ context.proof_of_possession }}"), 8),
        (format!("unless {{ !({known}) || context.proof_of_possession }}"), 12),
        (format!("unless {{ !({bad}) }}"), 12),
        (format!("when {{ if {known} then {} else false }}", &bad[25..]), 11),
        (format!("when {{ if {known} then true else context.proof_of_possession }}"), 11),
        (format!("when {{ if {known} then {} else context.proof_of_possession }}", &bad[25..]), 11),
        (format!("when {{ ({known}) == true }}"), 9),
        // The first test may be false, the second must be true.
        (format!("when {{ !({known}) || ({bad}) }}"), 37),
    ] {
        assert_eq!(needs_address(&condition), at(column), "{condition}");
    }
    for fine in [
        format!("unless {{ {bad} }}"),
        format!("unless {{ context.proof_of_possession || ({bad}) }}"),
        format!("when {{ !({bad}) }}"),
        format!("when {{ !({known}) }}"),
        format!("when {{ if {known} then {} else true }}", &bad[25..]),
        format!("when {{ if {known} then false else context.proof_of_possession }}"),
        format!("unless {{ if {known} then {} else false }}", &bad[25..]),
        "when { context.proof_of_possession }".to_owned(),
    ] {
        assert_eq!(needs_address(&fine), [""; 0], "{fine}");
    }
}

/// A `permit` with such a test grants nothing without an address.
#[test]
fn allows_permit_that_needs_client_address() {
    let condition = "context has client_ip && context.client_ip.isInRange(ip(\"192.0.2.0/24\"))";
    let rule = PERMIT.replace("when { ", &format!("when {{ {condition} && "));
    let report = lint::check(&files(&[("rules/api.cedar", Some(&rule))]), &environment());
    assert!(report.errors.is_empty(), "{report}");
}

#[test]
fn suggests_forbid_for_unknown_addresses() {
    let problem = CheckError::ForbidNeedsAddress("never".to_owned());
    assert_eq!(problem.code(), "forbid-needs-address");
    assert_eq!(
        problem.fix().as_deref(),
        Some("forbid all but known addresses: `unless { context has client_ip && … }`")
    );
}
