//! The warnings of `policy check`: code, message, fix and position.

use cedar_policy::EntityUid;
use std::ops::Range;
use vouchsafe_policy::NamedPolicy;
use vouchsafe_policy::authoring::{WORKLOAD_GROUP, is_issuer, span};

/// A likely mistake in a bundle that loads. `Display` says what is wrong, [`Warning::fix`] what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    #[error(
        "rule `{policy}` permits any tenant of issuer `{issuer}`, which issues tokens to everyone"
    )]
    AnyTenant {
        policy: String,
        issuer: String,
        claims: String,
    },
    #[error(
        "rule `{policy}` trusts `{claim}`, who started the first attempt: others may run it again, and \
         their token says the same"
    )]
    AttemptUnchecked { policy: String, claim: &'static str },
    #[error("nobody can get a token for audience `{0}`: no rule permits it")]
    AudienceUnreachable(String),
    #[error("{message}")]
    Cedar {
        message: String,
        help: Option<String>,
    },
    #[error("rule `{policy}` trusts `{claim}`, which whoever asked for the token chose")]
    ChosenByCaller { policy: String, claim: &'static str },
    #[error(
        "rule `{0}` trusts a branch by its name alone: the merge request of a fork, started by a member, runs as \
         this project under the name of the fork's branch"
    )]
    BranchOfStrangers(String),
    #[error(
        "rule `{policy}` takes builds of forks: a fork's pull request has the ids of this {unit}"
    )]
    BuildOfFork {
        policy: String,
        /// The platform's word for what is built.
        unit: &'static str,
        fix: &'static str,
    },
    #[error("rule `{policy}` takes `{event}` runs, which can build the code of strangers")]
    EventOfStrangers {
        policy: String,
        /// The claim that identifies what triggered a run.
        claim: &'static str,
        event: String,
    },
    #[error(
        "rule `{policy}` trusts `ref` and not `event_name`: `{events}` runs have the `ref` of a branch of the \
         repository, whatever code they build"
    )]
    EventUnchecked { policy: String, events: String },
    #[error(
        "rule `{policy}` does not read `event_name`, and takes `{events}` runs, which can build the code of strangers"
    )]
    EventsUnbounded { policy: String, events: String },
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
        "rule `{policy}` takes `{claim}` like `{pattern}`, whose `*` also matches `/`, `:` and `@`"
    )]
    LikeCrossesSeparator {
        policy: String,
        claim: String,
        pattern: String,
    },
    #[error("rule `{policy}` trusts `{name}`, a name that somebody else may take over")]
    NameWithoutId {
        policy: String,
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
    #[error("rule `{policy}` can never match: {reason}")]
    PolicyNeverMatches { policy: String, reason: String },
    #[error("the case is for rule `{0}`, which is not in the bundle")]
    PolicyOfCaseUnknown(String),
    #[error("rule `{policy}` is always overruled by `{by}`, which forbids all that it permits")]
    PolicyOverruled { policy: String, by: String },
    #[error("rule `{0}` determines no test case")]
    PolicyWithoutTest(String),
    #[error("rule `{policy}` lists scope `{scope}`, which audience `{audience}` does not offer")]
    ScopeUnknown {
        policy: String,
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
    #[error(
        "rule `{policy}` takes `{claim}` at any ref: a workflow file of any branch would match"
    )]
    WorkflowAtAnyRef {
        policy: String,
        claim: String,
        pattern: String,
    },
}

impl Warning {
    /// The stable code of this kind of warning.
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
            Self::PolicyNeverMatches { .. } => "rule-never-matches",
            Self::PolicyOfCaseUnknown(_) => "rule-of-case-unknown",
            Self::PolicyOverruled { .. } => "rule-overruled",
            Self::PolicyWithoutTest(_) => "rule-without-test",
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
            Self::PolicyNeverMatches { .. } => {
                "correct the condition, or remove the rule".to_owned()
            }
            Self::PolicyOfCaseUnknown(_) => "rename the folder, or remove it".to_owned(),
            Self::PolicyOverruled { .. } => "narrow the `forbid`, or remove the rule".to_owned(),
            Self::PolicyWithoutTest(policy) => format!("add one in `tests/{policy}/`"),
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

    /// Whether something is missing that may be in an unreadable file.
    pub(super) fn is_about_missing(&self) -> bool {
        matches!(
            self,
            Self::AnyTenant { .. }
                | Self::AudienceUnreachable(_)
                | Self::BuildOfFork { .. }
                | Self::EventOfStrangers { .. }
                | Self::EventUnchecked { .. }
                | Self::EventsUnbounded { .. }
                | Self::PolicyOfCaseUnknown(_)
                | Self::PolicyWithoutTest(_)
                | Self::TemplateUnused(_)
        )
    }

    /// The part of the policy that the warning is about; none for the whole policy.
    pub(super) fn place(&self, policy: &NamedPolicy) -> Option<Range<usize>> {
        let expression = |wanted: String| span::expression(policy, |text| text == wanted);
        let begins = |wanted: String| span::expression(policy, |text| text.starts_with(&wanted));
        match self {
            Self::AnyTenant { .. } | Self::BuildOfFork { .. } | Self::EventsUnbounded { .. } => {
                span::entity(policy, names_principals)
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

/// Whether an entity in a scope says whose workloads it is for.
fn names_principals(uid: &EntityUid) -> bool {
    is_issuer(uid) || uid.type_name().to_string() == WORKLOAD_GROUP
}
