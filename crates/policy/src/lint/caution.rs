//! What `policy check` warns of: what is wrong, what to do about it, and what of a rule it is about.

use crate::groups::WORKLOADS;
use crate::places;
use crate::rules::{Rule, is_issuer};
use cedar_policy::EntityUid;
use std::ops::Range;

/// Something that loads, but is hardly meant. `Display` says what is wrong; [`Caution::fix`] what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Caution {
    #[error(
        "rule `{rule}` permits any tenant of issuer `{issuer}`, which issues tokens to everyone"
    )]
    AnyTenant {
        rule: String,
        issuer: String,
        claims: String,
    },
    #[error(
        "rule `{rule}` trusts `{claim}`, who started the first attempt: others may run it again, and \
         their token says the same"
    )]
    AttemptUnchecked { rule: String, claim: &'static str },
    #[error("nobody can get a token for audience `{0}`: no rule permits it")]
    AudienceUnreachable(String),
    #[error("{message}")]
    Cedar {
        message: String,
        help: Option<String>,
    },
    #[error("rule `{rule}` trusts `{claim}`, which whoever asked for the token chose")]
    ChosenByCaller { rule: String, claim: &'static str },
    #[error(
        "rule `{0}` trusts a branch by its name alone: the merge request of a fork, started by a member, runs as \
         this project under the name of the fork's branch"
    )]
    BranchOfStrangers(String),
    #[error(
        "rule `{rule}` takes builds of forks: a fork's pull request has the ids of this {unit}"
    )]
    BuildOfFork {
        rule: String,
        /// What the platform calls what is built.
        unit: &'static str,
        fix: &'static str,
    },
    #[error("rule `{rule}` takes `{event}` runs, which can build the code of strangers")]
    EventOfStrangers {
        rule: String,
        /// The claim that tells what started a run.
        claim: &'static str,
        event: String,
    },
    #[error(
        "rule `{rule}` trusts `ref` and not `event_name`: `{events}` runs have the `ref` of a branch of the \
         repository, whatever code they build"
    )]
    EventUnchecked { rule: String, events: String },
    #[error(
        "rule `{rule}` does not read `event_name`, and takes `{events}` runs, which can build the code of strangers"
    )]
    EventsUnbounded { rule: String, events: String },
    #[error(
        "group `{group}` admits any tenant of issuer `{issuer}`, which issues tokens to everyone"
    )]
    GroupAnyTenant {
        group: String,
        issuer: String,
        claims: String,
    },
    #[error("group `{group}` trusts `{name}`, a name that somebody else may take over")]
    GroupNameWithoutId {
        group: String,
        name: &'static str,
        id: &'static str,
    },
    #[error("`max_lifetime` of {0} s is over an hour")]
    LifetimeLong(u64),
    #[error(
        "rule `{rule}` takes `{claim}` like `{pattern}`, whose `*` also matches `/`, `:` and `@`"
    )]
    LikeCrossesSeparator {
        rule: String,
        claim: String,
        pattern: String,
    },
    #[error("rule `{rule}` trusts `{name}`, a name that somebody else may take over")]
    NameWithoutId {
        rule: String,
        name: &'static str,
        id: &'static str,
    },
    #[error("rule `{0}` permits without any condition")]
    PermitUnconditional(String),
    #[error("the pinned keys expired on {0}: every token of this issuer is refused")]
    PinnedKeysExpired(String),
    #[error("the pinned keys expire on {date}, in {days} days")]
    PinnedKeysExpireSoon { date: String, days: u64 },
    #[error("`replay` is `allow`, although every token of provider `{0}` has a `jti` of its own")]
    ReplayAllowed(&'static str),
    #[error("rule `{rule}` can never match: {reason}")]
    RuleNeverMatches { rule: String, reason: String },
    #[error("the case is for rule `{0}`, which is not in the bundle")]
    RuleOfCaseUnknown(String),
    #[error("rule `{rule}` is always overruled by `{by}`, which forbids all that it permits")]
    RuleOverruled { rule: String, by: String },
    #[error("rule `{0}` determines no test case")]
    RuleWithoutTest(String),
    #[error("rule `{rule}` lists scope `{scope}`, which audience `{audience}` does not offer")]
    ScopeUnknown {
        rule: String,
        scope: String,
        audience: String,
    },
    #[error("rule `{0}` has `context.scopes.containsAll(…)`, which grants any further scope too")]
    ScopesReversed(String),
    #[error("rule `{0}` does not bound the scopes")]
    ScopesUnbounded(String),
    #[error(
        "the value of `{0}` can reach into its neighbour's place in `subject`: two workloads could share one"
    )]
    SubjectAmbiguous(String),
    #[error("`subject` holds no id of the workload: several workloads share one `sub`")]
    SubjectShared(String),
    #[error("template `{0}` is filled nowhere")]
    TemplateUnused(String),
    #[error("rule `{rule}` takes `{claim}` at any ref: a workflow file of any branch would match")]
    WorkflowAtAnyRef {
        rule: String,
        claim: String,
        pattern: String,
    },
}

impl Caution {
    /// A stable name of the kind of caution.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AnyTenant { .. } => "any-tenant",
            Self::AttemptUnchecked { .. } => "attempt-unchecked",
            Self::AudienceUnreachable(_) => "audience-unreachable",
            Self::BranchOfStrangers(_) => "branch-of-strangers",
            Self::BuildOfFork { .. } => "build-of-fork",
            Self::Cedar { .. } => "cedar-warning",
            Self::ChosenByCaller { .. } => "chosen-by-caller",
            Self::EventOfStrangers { .. } => "event-of-strangers",
            Self::EventUnchecked { .. } => "event-unchecked",
            Self::EventsUnbounded { .. } => "events-unbounded",
            Self::GroupAnyTenant { .. } => "group-any-tenant",
            Self::GroupNameWithoutId { .. } => "group-name-without-id",
            Self::LifetimeLong(_) => "lifetime-long",
            Self::LikeCrossesSeparator { .. } => "like-crosses-separator",
            Self::NameWithoutId { .. } => "name-without-id",
            Self::PermitUnconditional(_) => "permit-unconditional",
            Self::PinnedKeysExpired(_) => "pinned-keys-expired",
            Self::PinnedKeysExpireSoon { .. } => "pinned-keys-expire-soon",
            Self::ReplayAllowed(_) => "replay-allowed",
            Self::RuleNeverMatches { .. } => "rule-never-matches",
            Self::RuleOfCaseUnknown(_) => "rule-of-case-unknown",
            Self::RuleOverruled { .. } => "rule-overruled",
            Self::RuleWithoutTest(_) => "rule-without-test",
            Self::ScopeUnknown { .. } => "scope-unknown",
            Self::ScopesReversed(_) => "scopes-reversed",
            Self::ScopesUnbounded(_) => "scopes-unbounded",
            Self::SubjectAmbiguous(_) => "subject-ambiguous",
            Self::SubjectShared(_) => "subject-shared",
            Self::TemplateUnused(_) => "template-unused",
            Self::WorkflowAtAnyRef { .. } => "workflow-at-any-ref",
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> Option<String> {
        let fix = match self {
            Self::AnyTenant { claims, .. } | Self::GroupAnyTenant { claims, .. } => {
                format!(
                    "require one of `{claims}` to equal yours, with `==`, on every way to a permit"
                )
            }
            Self::AttemptUnchecked { .. } => "compare `run_attempt == \"1\"` too".to_owned(),
            Self::AudienceUnreachable(_) => "add a `permit` for it, or remove the file".to_owned(),
            Self::BuildOfFork { fix, .. } => (*fix).to_owned(),
            Self::Cedar { help, .. } => return help.clone(),
            Self::ChosenByCaller { .. } => "compare what the platform says".to_owned(),
            Self::BranchOfStrangers(_) => {
                "compare `ref_protected == \"true\"`, `ref_path` or `pipeline_source` too"
                    .to_owned()
            }
            Self::EventOfStrangers { claim, .. } => format!(
                "take runs of reviewed code only, such as `{claim} == \"push\"`, or forbid the others"
            ),
            Self::EventUnchecked { .. } | Self::EventsUnbounded { .. } => {
                "compare `event_name == \"push\"`, or forbid these events".to_owned()
            }
            Self::LifetimeLong(_) => {
                "shorten it: a job can ask again, and what is stolen lives as long".to_owned()
            }
            Self::LikeCrossesSeparator { .. } => {
                "compare with `==`, or let `*` be the end of the pattern, after a separator"
                    .to_owned()
            }
            Self::GroupNameWithoutId { id, .. } | Self::NameWithoutId { id, .. } => {
                format!("compare `{id}` too")
            }
            Self::PermitUnconditional(_) => {
                "add a `when` that says which workloads it means".to_owned()
            }
            Self::PinnedKeysExpired(_) | Self::PinnedKeysExpireSoon { .. } => {
                "fetch and pin new ones".to_owned()
            }
            Self::ReplayAllowed(_) => "leave it out: `single-use` is the default".to_owned(),
            Self::RuleNeverMatches { .. } => "correct the condition, or remove the rule".to_owned(),
            Self::RuleOfCaseUnknown(_) => "rename the folder, or remove it".to_owned(),
            Self::RuleOverruled { .. } => "narrow the `forbid`, or remove the rule".to_owned(),
            Self::RuleWithoutTest(rule) => format!("add one in `tests/{rule}/`"),
            Self::ScopeUnknown { .. } => {
                "correct the scope, or add it to the audience's file".to_owned()
            }
            Self::ScopesReversed(_) => "write `[…].containsAll(context.scopes)`".to_owned(),
            Self::ScopesUnbounded(_) => {
                "add `[…].containsAll(context.scopes)` to its `when`".to_owned()
            }
            Self::SubjectAmbiguous(_) => {
                "put ids first, text between them, and at most one free text, at the end".to_owned()
            }
            Self::SubjectShared(placeholders) => {
                format!("put `{placeholders}` into the template, or leave `subject` out")
            }
            Self::TemplateUnused(template) => {
                format!("fill it by a `[[link]]` with `template = \"{template}\"`, or remove it")
            }
            Self::WorkflowAtAnyRef { .. } => {
                "write the pattern to its end, such as `…/deploy.yml@refs/heads/main`".to_owned()
            }
        };
        Some(fix)
    }

    /// Whether it says that something is not there, which may be in a file that could not be read.
    pub(super) fn is_of_something_absent(&self) -> bool {
        matches!(
            self,
            Self::AnyTenant { .. }
                | Self::AudienceUnreachable(_)
                | Self::BuildOfFork { .. }
                | Self::EventOfStrangers { .. }
                | Self::EventUnchecked { .. }
                | Self::EventsUnbounded { .. }
                | Self::RuleOfCaseUnknown(_)
                | Self::RuleWithoutTest(_)
                | Self::TemplateUnused(_)
        )
    }

    /// What of its rule it is about; the rule as a whole, where there is nothing.
    pub(super) fn place(&self, rule: &Rule) -> Option<Range<usize>> {
        let expression = |wanted: String| places::expression(rule, |text| text == wanted);
        let begins = |wanted: String| places::expression(rule, |text| text.starts_with(&wanted));
        match self {
            Self::AnyTenant { .. } | Self::BuildOfFork { .. } | Self::EventsUnbounded { .. } => {
                places::entity(rule, names_principals)
            }
            Self::AttemptUnchecked { claim, .. } | Self::ChosenByCaller { claim, .. } => {
                expression(format!("principal.{claim}"))
            }
            Self::EventOfStrangers { claim, event, .. } => {
                let first = event.split('`').next().unwrap_or_default();
                expression(format!("{first:?}"))
                    .or_else(|| expression(format!("principal.{claim}")))
                    .or_else(|| expression("principal.ref".to_owned()))
            }
            Self::BranchOfStrangers(_) | Self::EventUnchecked { .. } => {
                expression("principal.ref".to_owned())
            }
            Self::LikeCrossesSeparator { claim, pattern, .. } => {
                let written = format!("principal.{claim} like {pattern:?}");
                expression(written).or_else(|| begins(format!("principal.{claim} like ")))
            }
            Self::NameWithoutId { name, .. } => expression(format!("principal.{name}")),
            Self::ScopeUnknown { scope, .. } => expression(format!("{scope:?}")),
            Self::ScopesReversed(_) => begins("context.scopes.containsAll(".to_owned()),
            Self::WorkflowAtAnyRef { claim, pattern, .. } => {
                let written = format!("principal.{claim} like {pattern:?}");
                expression(written).or_else(|| begins(format!("principal.{claim} like ")))
            }
            _ => None,
        }
    }
}

/// Whether an entity in a rule's scope says whose workloads it is for.
fn names_principals(uid: &EntityUid) -> bool {
    is_issuer(uid) || uid.type_name().to_string() == WORKLOADS
}
