//! Which conditions of which rules the cases never saw true, or never false.

use crate::suite::Suite;
use vouchsafe_policy::cases::Case;
use vouchsafe_policy::explain::{Condition, Explainer, Kind, RuleExplanation, Verdict};
use vouchsafe_policy::{Bundle, Position};

/// What the cases made of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleCoverage {
    pub id: String,
    pub file: String,
    pub position: Option<Position>,
    /// Cases whose principal, action and resource are those of the rule.
    pub asked: usize,
    /// The conjuncts of each `when` and the disjuncts of each `unless`, in order.
    pub conditions: Vec<ConditionCoverage>,
}

/// How often an expression was evaluated to what. One that errs, or is not reached because an earlier
/// one keeps it from being evaluated, counts as neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionCoverage {
    pub kind: Kind,
    pub text: String,
    pub times_true: usize,
    pub times_false: usize,
}

impl ConditionCoverage {
    pub fn is_whole(&self) -> bool {
        self.times_true > 0 && self.times_false > 0
    }

    fn count(&mut self, condition: &Condition) {
        // An `unless` holds where its expression is false.
        let is_true = match (&condition.verdict, condition.kind) {
            (Verdict::Holds, Kind::When) | (Verdict::Fails, Kind::Unless) => true,
            (Verdict::Holds, Kind::Unless) | (Verdict::Fails, Kind::When) => false,
            (Verdict::Errs(_) | Verdict::NotReached, _) => return,
        };
        let times = match is_true {
            true => &mut self.times_true,
            false => &mut self.times_false,
        };
        *times = times.saturating_add(1);
    }
}

/// The coverage of every rule in path order, those behind that only other profiles have. Cases that can't be
/// decided and those whose token is refused say nothing of any rule.
pub fn coverage(suite: &Suite) -> Vec<RuleCoverage> {
    let mut covered: Vec<RuleCoverage> = Vec::new();
    for bundle in std::iter::once(&suite.bundle).chain(suite.others.values()) {
        let cases = suite.results.iter().map(|result| &result.case);
        let cases = cases.filter(|case| std::ptr::eq(suite.bundle_of(case), bundle));
        for rule in of_profile(bundle, cases) {
            match covered.iter_mut().find(|known| known.id == rule.id) {
                Some(known) => known.add(rule),
                None => covered.push(rule),
            }
        }
    }
    covered
}

/// What `cases` make of the rules that are in force in `bundle`.
fn of_profile<'a>(bundle: &Bundle, cases: impl Iterator<Item = &'a Case>) -> Vec<RuleCoverage> {
    let explainer = Explainer::new(bundle);
    let mut rules: Vec<RuleCoverage> = explainer.rules().map(of_rule).collect();
    for case in cases.filter(|case| case.refused.is_none()) {
        let Ok(explanation) = explainer.explain(&case.principal, &case.request, case.now) else {
            continue;
        };
        let explained = rules.iter_mut().zip(&explanation.rules);
        for (rule, of_case) in explained.filter(|(_, of_case)| of_case.scope_matches()) {
            rule.asked = rule.asked.saturating_add(1);
            for (one, condition) in rule.conditions.iter_mut().zip(&of_case.conditions) {
                one.count(condition);
            }
        }
    }
    rules
}

impl RuleCoverage {
    /// Adds what the cases of another profile made of the same rule.
    fn add(&mut self, other: Self) {
        self.asked = self.asked.saturating_add(other.asked);
        for (one, more) in self.conditions.iter_mut().zip(other.conditions) {
            one.times_true = one.times_true.saturating_add(more.times_true);
            one.times_false = one.times_false.saturating_add(more.times_false);
        }
    }
}

fn of_rule(rule: RuleExplanation) -> RuleCoverage {
    let conditions = rule.conditions.into_iter();
    RuleCoverage {
        id: rule.id,
        file: rule.file,
        position: rule.position,
        asked: 0,
        conditions: conditions
            .map(|condition| ConditionCoverage {
                kind: condition.kind,
                text: condition.text,
                times_true: 0,
                times_false: 0,
            })
            .collect(),
    }
}
