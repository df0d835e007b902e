//! Which conditions were never true or never false in any case.

use crate::cases::Case;
use crate::explain::{Condition, Explainer, Kind, PolicyExplanation, Verdict};
use crate::recorded::RecordedRequest;
use crate::suite::Suite;
use vouchsafe_policy::{Bundle, Position};

/// How the cases cover one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyCoverage {
    pub id: String,
    pub file: String,
    pub position: Option<Position>,
    /// Cases whose principal, action and resource match the scope of the policy.
    pub asked: usize,
    /// The conjuncts of each `when` and the disjuncts of each `unless`, in order.
    pub conditions: Vec<ConditionCoverage>,
}

/// How often an expression was true or false. If it fails to evaluate, or an earlier condition prevents its evaluation,
/// it counts as neither.
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

/// The coverage of every policy in path order, followed by those that are in force only in other profiles. Cases that
/// cannot be decided or whose token is refused do not count.
pub fn coverage(suite: &Suite) -> Vec<PolicyCoverage> {
    let mut covered: Vec<PolicyCoverage> = Vec::new();
    for bundle in std::iter::once(&suite.bundle).chain(suite.others.values()) {
        let cases = suite.results.iter().map(|result| &result.case);
        let cases = cases.filter(|case| std::ptr::eq(suite.bundle_of(case), bundle));
        for policy in of_profile(bundle, cases) {
            match covered.iter_mut().find(|known| known.id == policy.id) {
                Some(known) => known.add(policy),
                None => covered.push(policy),
            }
        }
    }
    covered
}

/// How `cases` cover the policies that are in force in `bundle`.
fn of_profile<'a>(bundle: &Bundle, cases: impl Iterator<Item = &'a Case>) -> Vec<PolicyCoverage> {
    let explainer = Explainer::new(bundle);
    let mut policies: Vec<PolicyCoverage> = explainer.policies().map(of_policy).collect();
    for case in cases.filter(|case| case.refused.is_none()) {
        let asked = RecordedRequest {
            principal: case.principal.clone(),
            actor: case.actor.clone(),
            request: case.request.clone(),
            now: case.now,
        };
        let Ok(explanation) = explainer.explain(&asked) else {
            continue;
        };
        let explained = policies.iter_mut().zip(&explanation.policies);
        for (policy, of_case) in explained.filter(|(_, of_case)| of_case.scope_matches()) {
            policy.asked = policy.asked.saturating_add(1);
            for (one, condition) in policy.conditions.iter_mut().zip(&of_case.conditions) {
                one.count(condition);
            }
        }
    }
    policies
}

impl PolicyCoverage {
    /// Adds the coverage of the same policy by cases of another profile.
    fn add(&mut self, other: Self) {
        self.asked = self.asked.saturating_add(other.asked);
        for (one, more) in self.conditions.iter_mut().zip(other.conditions) {
            one.times_true = one.times_true.saturating_add(more.times_true);
            one.times_false = one.times_false.saturating_add(more.times_false);
        }
    }
}

fn of_policy(policy: PolicyExplanation) -> PolicyCoverage {
    let conditions = policy.conditions.into_iter();
    PolicyCoverage {
        id: policy.id,
        file: policy.file,
        position: policy.position,
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
