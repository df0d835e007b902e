//! Which conditions of which rules the cases never saw true, or never false.

use crate::suite::Suite;
use vouchsafe_policy::Position;
use vouchsafe_policy::explain::{Condition, Explainer, Kind, RuleExplanation, Verdict};

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

/// The coverage of every rule in path order. Cases that can't be decided, those whose token is refused, and
/// those of another profile say nothing of any rule.
pub fn coverage(suite: &Suite) -> Vec<RuleCoverage> {
    let explainer = Explainer::new(&suite.bundle);
    let mut rules: Vec<RuleCoverage> = explainer.rules().map(of_rule).collect();
    let asked = suite.results.iter().map(|result| &result.case);
    let asked = asked.filter(|case| case.refused.is_none() && case.profile.is_none());
    for case in asked {
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
