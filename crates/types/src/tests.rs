//! The Rust types against the WIT. Names of fields and cases are checked by the compiler where components use them.

use crate::{ClaimType, Consumption, Effect, ProofError, RefusedKind, Space, Tier, TokenType, View};
use std::fmt::Debug;

const WIT: &str = include_str!("../../../wit/types/types.wit");

/// Case names of the enum `name` in the WIT, in order.
fn wit_cases(name: &str) -> Vec<String> {
    let start = WIT.find(&format!("enum {name} {{")).unwrap();
    let body = WIT[start..].split(['{', '}']).nth(1).unwrap();
    let lines = body.lines().map(|line| line.split("///").next().unwrap());
    let code: String = lines.collect::<Vec<_>>().join(" ");
    code.split(',').map(str::trim).filter(|case| !case.is_empty()).map(str::to_owned).collect()
}

fn kebab_case(name: &str) -> String {
    let mut text = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.extend(character.to_lowercase());
    }
    text
}

fn check<T: Debug + Copy + PartialEq>(name: &str, all: &[T], lift: fn(u8) -> T) {
    let cases: Vec<String> = all.iter().map(|case| kebab_case(&format!("{case:?}"))).collect();
    assert_eq!(cases, wit_cases(name), "{name}");
    for (number, case) in (0_u8..).zip(all) {
        assert_eq!(lift(number), *case, "{name}");
    }
}

#[test]
fn enum_cases_follow_wit_order() {
    check("claim-type", ClaimType::ALL, ClaimType::_lift);
    check("consumption", Consumption::ALL, Consumption::_lift);
    check("effect", Effect::ALL, Effect::_lift);
    check("proof-error", ProofError::ALL, ProofError::_lift);
    check("refused-kind", RefusedKind::ALL, RefusedKind::_lift);
    check("space", Space::ALL, Space::_lift);
    check("tier", Tier::ALL, Tier::_lift);
    check("token-type", TokenType::ALL, TokenType::_lift);
    check("view", View::ALL, View::_lift);
}

#[test]
fn checks_every_wit_enum() {
    assert_eq!(WIT.matches("\n  enum ").count(), 9);
}
