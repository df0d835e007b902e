//! What policies can read of a request, so that a decision converts nothing else for Cedar.

use cedar_policy::PolicySet;
use cedar_policy_core::ast::{ExprKind, Var};
use std::collections::BTreeSet;

/// The attributes of a principal and the fields of the context that policies can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reads {
    Everything,
    /// What has one of these names, at any depth.
    Names(BTreeSet<String>),
}

impl Reads {
    /// What `policies` can read. In Cedar, an attribute of an entity is reachable only by its name, after `.` or `has`.
    /// The context is a record, which policies can also compare as a whole.
    pub fn of(policies: &PolicySet) -> Self {
        let mut names = BTreeSet::new();
        for policy in policies.policies() {
            let condition = policy.as_ref().condition();
            let (mut whole, mut parts) = (0_usize, 0_usize);
            for part in condition.subexpressions() {
                let of = match part.expr_kind() {
                    ExprKind::Var(Var::Context) => {
                        whole = whole.saturating_add(1);
                        continue;
                    }
                    ExprKind::GetAttr { expr, attr } | ExprKind::HasAttr { expr, attr } => {
                        names.insert(attr.to_string());
                        expr
                    }
                    ExprKind::ExtHasAttr { expr, attrs } => {
                        names.extend(attrs.iter().map(ToString::to_string));
                        expr
                    }
                    _ => continue,
                };
                if matches!(of.expr_kind(), ExprKind::Var(Var::Context)) {
                    parts = parts.saturating_add(1);
                }
            }
            if whole > parts {
                return Self::Everything;
            }
        }
        Self::Names(names)
    }

    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Names(names) => names.contains(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(condition: &str) -> Reads {
        let policy = format!("permit (principal, action, resource) when {{ {condition} }};");
        Reads::of(&policy.parse().expect("a policy"))
    }

    #[test]
    fn finds_every_name() {
        for (condition, expected) in [
            ("true", &[][..]),
            ("principal.a == \"x\" || !(principal has b)", &["a", "b"]),
            ("context.local.berlin.hour > 9", &["berlin", "hour", "local"]),
            ("context has local.berlin", &["berlin", "local"]),
            (
                "if principal.a like \"x*\" then [principal.b].contains(context.c) else {d: resource.e}.d",
                &["a", "b", "c", "d", "e"],
            ),
            ("context.client_ip.isInRange(ip(principal.range))", &["client_ip", "range"]),
        ] {
            let names = expected.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(reads(condition), Reads::Names(names), "{condition}");
        }
    }

    #[test]
    fn whole_context_is_everything() {
        for condition in ["context == {a: 1}", "[context].contains({})", "context.a == 1 && {b: context} == {b: {}}"] {
            assert_eq!(reads(condition), Reads::Everything, "{condition}");
        }
    }
}
