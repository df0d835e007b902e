//! The warnings of `policy check`: code, message and fix.

/// A likely mistake in a bundle that loads. `Display` says what is wrong, [`Warning::fix`] what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    #[error("policy `{policy}` keeps no client address out: it permits a request {from}")]
    AddressUnbounded { policy: String, from: String },
    #[error("policy `{0}` permits administration of the broker beyond the members of one workload group")]
    AdministrationWide(String),
    #[error("policy `{policy}` lets any workload of issuer `{issuer}` act: {stranger} is permitted to")]
    AnyActor { policy: String, issuer: String, stranger: String },
    #[error(
        "policy `{0}` requires an `environment`, but any will do: whoever can change a workflow can name one without \
         protection"
    )]
    AnyEnvironment(String),
    #[error("policy `{policy}` permits a service account of any namespace: {stranger} is permitted")]
    AnyNamespace { policy: String, stranger: String },
    #[error(
        "policy `{policy}` permits any tenant of issuer `{issuer}`, which issues tokens to everyone: {stranger} is \
         permitted"
    )]
    AnyTenant { policy: String, issuer: String, claims: String, stranger: String },
    #[error(
        "policy `{policy}` trusts `{claim}`, who started the first attempt: others can run it again and get the same \
         claim"
    )]
    AttemptUnchecked { policy: String, claim: &'static str },
    #[error("the audience is the broker's own URL: a token for it could be exchanged again")]
    AudienceIsBroker,
    #[error("the audience is `{0}`, which is compared literally: `*` stands for nothing")]
    AudienceIsPattern(String),
    #[error("tokens for audience `{0}` are made for somebody else, who can exchange them here")]
    AudienceOfOthers(String),
    #[error("nobody can get a token for audience `{0}`: no policy permits it")]
    AudienceUnreachable(String),
    #[error("the file contains {0}, which is displayed as nothing or as a space")]
    CharacterInvisible(String),
    #[error("{message}")]
    Cedar { message: String, help: Option<String> },
    #[error("the secret of client `{0}` is one that anyone tries first")]
    ClientSecretGuessable(String),
    #[error("client `{0}` may introspect nothing: no policy permits it")]
    ClientUnused(String),
    #[error("policy `{policy}` trusts `{claim}`, which the requester of the token chose")]
    ChosenByCaller { policy: String, claim: &'static str },
    #[error(
        "policy `{0}` trusts a branch by its name alone: a merge request of a fork that a member starts runs as this \
         project, with the name of the fork's branch"
    )]
    BranchOfStrangers(String),
    #[error(
        "policy `{policy}` accepts builds of forks: a fork's pull request has the ids of this {unit}: {stranger} is \
         permitted"
    )]
    BuildOfFork {
        policy: String,
        stranger: String,
        /// The platform's word for what is built.
        unit: &'static str,
        fix: &'static str,
    },
    #[error("policy `{policy}` accepts `{event}` runs, which can build untrusted code")]
    EventOfStrangers {
        policy: String,
        /// The claim that identifies what triggered a run.
        claim: &'static str,
        event: String,
    },
    #[error(
        "policy `{policy}` trusts `ref` without `event_name`: `{events}` runs have the `ref` of a branch of the \
         repository, whatever code they build"
    )]
    EventUnchecked { policy: String, events: String },
    #[error("policy `{policy}` does not read `{claim}` and accepts `{events}` runs, which can build untrusted code")]
    EventsUnbounded {
        policy: String,
        /// The claim that identifies what triggered a run.
        claim: &'static str,
        events: String,
    },
    #[error("group `{group}` admits any tenant of issuer `{issuer}`, which issues tokens to everyone")]
    GroupAnyTenant { group: String, issuer: String, claims: String },
    #[error("group `{group}` trusts `{name}`, a name that someone else can take over")]
    GroupNameWithoutId { group: String, name: &'static str, id: &'static str },
    #[error("the keys of this issuer come from `{0}`, which is not a host of its platform")]
    KeysElsewhere(String),
    #[error("`max_lifetime` of {0} s is longer than an hour")]
    LifetimeLong(u64),
    #[error(
        "policy `{policy}` accepts `{claim}` like `{pattern}`, whose `*` also matches `/`, `:` and `@`: `{value}` is \
         permitted"
    )]
    LikeCrossesSeparator { policy: String, claim: String, pattern: String, value: String },
    #[error("policy `{policy}` trusts `{name}`, a name that someone else can take over: {stranger} is permitted")]
    NameWithoutId { policy: String, name: &'static str, id: &'static str, stranger: String },
    #[error("policy `{policy}` names no workload of issuer `{issuer}`: {stranger} is permitted")]
    NoWorkload { policy: String, issuer: String, stranger: String },
    #[error("tokens for this audience can outlive the subject token that they are issued for")]
    OutlivesSubject,
    #[error("the pinned keys expired on {0}: every token of this issuer is refused")]
    PinnedKeysExpired(String),
    #[error("the pinned keys expire on {date}, in {days} days")]
    PinnedKeysExpireSoon { date: String, days: u64 },
    #[error("`replay` is `allow`, although every token of provider `{0}` has a unique `jti`")]
    ReplayAllowed(&'static str),
    #[error("policy `{policy}` can never match: {reason}")]
    PolicyNeverMatches { policy: String, reason: String },
    #[error("the case is for policy `{0}`, which is not in the bundle")]
    PolicyOfCaseUnknown(String),
    #[error("policy `{policy}` never takes effect: `{by}` forbids everything that it permits")]
    PolicyOverruled { policy: String, by: String },
    #[error("policy `{policy}` permits a run that can build unreviewed code: {request}")]
    PolicyPermitsUnreviewedCode { policy: String, request: String },
    #[error("policy `{0}` determines no test case")]
    PolicyWithoutTest(String),
    #[error("policy `{0}` permits any audience, also one that is added later")]
    ResourceUnbounded(String),
    #[error("policy `{policy}` is for `{scopes}`, but also permits a token without any scope")]
    ScopesOptional { policy: String, scopes: String },
    #[error("policy `{policy}` lists scope `{scope}`, which audience `{audience}` does not offer")]
    ScopeUnknown { policy: String, scope: String, audience: String },
    #[error("policy `{0}` does not limit the scopes")]
    ScopesUnbounded(String),
    #[error("`stale_keys_max` of {0} s is longer than an hour: a key that the issuer removed is trusted as long")]
    StaleKeysLong(u64),
    #[error("`subject` is ambiguous: the value of `{0}` can contain its neighbour's, so two workloads could share one")]
    SubjectAmbiguous(String),
    #[error("`subject` does not identify the workload: several workloads share one `sub`")]
    SubjectShared(String),
    #[error("template `{0}` is never linked")]
    TemplateUnused(String),
    #[error("policy `{0}` can fail to evaluate: for some requests a number is out of range")]
    PolicyCanFail(String),
    #[error("policies `{policy}` and `{other}` match the same requests")]
    PolicyEquivalent { policy: String, other: String },
    #[error("`forbid` policy `{0}` changes nothing: without it, the same requests are permitted")]
    PolicyForbidsNothing(String),
    #[error("policy `{policy}` changes nothing: {others} everything that it permits")]
    PolicyImplied { policy: String, others: String },
    #[error("nothing is proven about policy `{policy}`: {why}")]
    PolicyUndecided { policy: String, why: String },
    #[error("policy `{0}` tests the time, but permits at any time")]
    TimeUnbounded(String),
    #[error("`max_token_age` of {0} s is longer than an hour: a stolen token can be exchanged as long")]
    TokenAgeLong(u64),
    #[error("policy `{0}` has too many combinations of conditions to be evaluated for strangers")]
    TooComplex(String),
    #[error("policy `{policy}` compares `{claim}` with `{value}`, which is none of its values")]
    ValueUnknown { policy: String, claim: String, value: String, known: String, suggestion: Option<String> },
    #[error(
        "relying parties of view `{view}` use a key set for {cache_seconds} s, but keys are published only \
         {published_seconds} s ahead: they would refuse good tokens in every epoch"
    )]
    ViewCachesTooLong { view: &'static str, cache_seconds: u64, published_seconds: u64 },
    #[error("relying parties of view `{0}` don't check proofs: they take the token from whoever has it")]
    ViewIgnoresProof(&'static str),
    #[error("policy `{policy}` accepts `{claim}` at any ref: a workflow file of any branch would match")]
    WorkflowAtAnyRef { policy: String, claim: String, pattern: String },
}

impl Warning {
    /// The stable code of this kind of warning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AddressUnbounded { .. } => "address-unbounded",
            Self::AdministrationWide(_) => "administration-wide",
            Self::AnyActor { .. } => "any-actor",
            Self::AnyEnvironment(_) => "any-environment",
            Self::AnyNamespace { .. } => "any-namespace",
            Self::AnyTenant { .. } => "any-tenant",
            Self::AttemptUnchecked { .. } => "attempt-unchecked",
            Self::AudienceIsBroker => "audience-is-broker",
            Self::AudienceIsPattern(_) => "audience-is-pattern",
            Self::AudienceOfOthers(_) => "audience-of-others",
            Self::AudienceUnreachable(_) => "audience-unreachable",
            Self::BranchOfStrangers(_) => "branch-of-strangers",
            Self::BuildOfFork { .. } => "build-of-fork",
            Self::CharacterInvisible(_) => "character-invisible",
            Self::Cedar { .. } => "cedar-warning",
            Self::ChosenByCaller { .. } => "chosen-by-caller",
            Self::ClientSecretGuessable(_) => "client-secret-guessable",
            Self::ClientUnused(_) => "client-unused",
            Self::EventOfStrangers { .. } => "event-of-strangers",
            Self::EventUnchecked { .. } => "event-unchecked",
            Self::EventsUnbounded { .. } => "events-unbounded",
            Self::GroupAnyTenant { .. } => "group-any-tenant",
            Self::GroupNameWithoutId { .. } => "group-name-without-id",
            Self::KeysElsewhere(_) => "keys-elsewhere",
            Self::LifetimeLong(_) => "lifetime-long",
            Self::LikeCrossesSeparator { .. } => "like-crosses-separator",
            Self::NameWithoutId { .. } => "name-without-id",
            Self::NoWorkload { .. } => "no-workload-named",
            Self::OutlivesSubject => "outlives-subject",
            Self::PinnedKeysExpired(_) => "pinned-keys-expired",
            Self::PinnedKeysExpireSoon { .. } => "pinned-keys-expire-soon",
            Self::ReplayAllowed(_) => "replay-allowed",
            Self::ResourceUnbounded(_) => "resource-unbounded",
            Self::PolicyCanFail(_) => "rule-can-fail",
            Self::PolicyEquivalent { .. } => "rule-equivalent",
            Self::PolicyForbidsNothing(_) => "rule-forbids-nothing",
            Self::PolicyImplied { .. } => "rule-implied",
            Self::PolicyNeverMatches { .. } => "rule-never-matches",
            Self::PolicyOfCaseUnknown(_) => "rule-of-case-unknown",
            Self::PolicyOverruled { .. } => "rule-overruled",
            Self::PolicyPermitsUnreviewedCode { .. } => "rule-permits-unreviewed-code",
            Self::PolicyUndecided { .. } => "rule-undecided",
            Self::PolicyWithoutTest(_) => "rule-without-test",
            Self::ScopesOptional { .. } => "scopes-optional",
            Self::ScopeUnknown { .. } => "scope-unknown",
            Self::ScopesUnbounded(_) => "scopes-unbounded",
            Self::StaleKeysLong(_) => "stale-keys-long",
            Self::SubjectAmbiguous(_) => "subject-ambiguous",
            Self::SubjectShared(_) => "subject-shared",
            Self::TemplateUnused(_) => "template-unused",
            Self::TimeUnbounded(_) => "time-unbounded",
            Self::TokenAgeLong(_) => "token-age-long",
            Self::TooComplex(_) => "rule-too-complex",
            Self::ValueUnknown { .. } => "value-unknown",
            Self::ViewCachesTooLong { .. } => "view-caches-too-long",
            Self::ViewIgnoresProof(_) => "view-ignores-proof",
            Self::WorkflowAtAnyRef { .. } => "workflow-at-any-ref",
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> Option<String> {
        match self {
            Self::AnyTenant { claims, .. } | Self::GroupAnyTenant { claims, .. } => {
                Some(format!("require one of `{claims}` to equal yours with `==` in every branch of the condition"))
            }
            Self::BuildOfFork { fix, .. } => Some((*fix).to_owned()),
            Self::Cedar { help, .. } => help.clone(),
            Self::ClientUnused(id) => {
                Some(format!("add a `permit` for `principal == Vouchsafe::Client::\"{id}\"`, or remove the file"))
            }
            Self::EventOfStrangers { claim, .. } => {
                let push = reviewed(claim);
                Some(format!("accept only runs of reviewed code, such as `{push}`, or forbid the others"))
            }
            Self::EventsUnbounded { claim, .. } => {
                Some(format!("compare `{}`, or forbid these events", reviewed(claim)))
            }
            Self::GroupNameWithoutId { id, .. } | Self::NameWithoutId { id, .. } => {
                Some(format!("also compare `{id}`"))
            }
            Self::PolicyWithoutTest(policy) => Some(format!("add one in `tests/{policy}/`")),
            Self::SubjectShared(placeholders) => {
                Some(format!("put `{placeholders}` into the template, or remove `subject`"))
            }
            Self::TemplateUnused(template) => {
                Some(format!("add a `[[link]]` with `template = \"{template}\"`, or remove it"))
            }
            Self::ValueUnknown { suggestion: Some(name), .. } => Some(format!("did you mean `{name}`?")),
            Self::ValueUnknown { known, .. } => Some(format!("compare it with one of `{known}`")),
            _ => self.plain_fix().map(str::to_owned),
        }
    }

    /// The fix, if it is the same for all warnings of this kind.
    fn plain_fix(&self) -> Option<&'static str> {
        let fix = match self {
            Self::AddressUnbounded { .. } => {
                "require `context has client_ip && context.client_ip.isInRange(ip(\"…\"))` with your network"
            }
            Self::AdministrationWide(_) => {
                "require `principal in WorkloadGroup::\"…\"`, with the same group in every policy for this audience"
            }
            Self::AnyActor { .. } => "compare a claim of `principal` that identifies your actor with `==`",
            Self::AnyEnvironment(_) => "compare `environment` with `==`",
            Self::AnyNamespace { .. } => "also compare `namespace` with `==`",
            Self::AttemptUnchecked { .. } => "also compare `run_attempt == \"1\"`",
            Self::AudienceIsBroker => "name the service that verifies the tokens",
            Self::AudienceIsPattern(_) => "write the whole id of one service",
            Self::AudienceOfOthers(_) => "request tokens for the broker's URL, and remove the key",
            Self::AudienceUnreachable(_) => "add a `permit` for it, or remove the file",
            Self::ClientSecretGuessable(_) => "run `vouchsafe client secret`, which prints a random one",
            Self::ChosenByCaller { .. } => "compare a claim that the platform sets",
            Self::CharacterInvisible(_) => "remove it, or write it as an escape such as `\\u{3164}`",
            Self::BranchOfStrangers(_) => "also compare `ref_protected == \"true\"`, `ref_path` or `pipeline_source`",
            Self::EventUnchecked { .. } => "compare `event_name == \"push\"`, or forbid these events",
            Self::KeysElsewhere(_) => "remove `keys`: the platform publishes where its keys are",
            Self::LifetimeLong(_) => "shorten it: a job can request another token, and a stolen token is valid as long",
            Self::LikeCrossesSeparator { .. } => {
                "compare with `==`, or put `*` at the end of the pattern, after a separator"
            }
            Self::NoWorkload { .. } => "compare a claim that identifies your workload with `==`",
            Self::OutlivesSubject => {
                "remove `outlive_subject`, unless the service needs tokens for longer than jobs run"
            }
            Self::PinnedKeysExpired(_) | Self::PinnedKeysExpireSoon { .. } => "fetch and pin new keys",
            Self::ReplayAllowed(_) => "remove it: `single-use` is the default",
            Self::ResourceUnbounded(_) => "write `resource == Audience::\"…\"`, or `resource in AudienceGroup::\"…\"`",
            Self::PolicyCanFail(_) => {
                "bound the numbers first: a `forbid` that fails denies, a `permit` that fails permits nothing"
            }
            Self::PolicyEquivalent { .. } | Self::PolicyForbidsNothing(_) | Self::PolicyImplied { .. } => {
                "remove one, or correct its condition"
            }
            Self::PolicyUndecided { .. } => "simplify it, or raise `--time-limit` or `--memory-limit`",
            Self::PolicyNeverMatches { .. } => "correct the condition, or remove the policy",
            Self::PolicyOfCaseUnknown(_) => "rename the folder, or remove it",
            Self::PolicyOverruled { .. } => "narrow the `forbid`, or remove the policy",
            Self::PolicyPermitsUnreviewedCode { .. } => {
                "compare the claim that says what triggered the run, such as `event_name == \"push\"`, or forbid such runs"
            }
            Self::ScopesOptional { .. } => {
                "set `scopes_required = true` in the audience's file, or add `!context.scopes.isEmpty()`"
            }
            Self::ScopeUnknown { .. } => "correct the scope, or add it to the audience's file",
            Self::ScopesUnbounded(_) => "add `[…].containsAll(context.scopes)` to its `when`",
            Self::StaleKeysLong(_) | Self::TokenAgeLong(_) => "shorten it",
            Self::SubjectAmbiguous(_) => {
                "put ids first, separate placeholders with text, and put at most one free-text claim, last"
            }
            Self::TimeUnbounded(_) => "correct the limits, or remove the condition",
            Self::TooComplex(_) => "split it into several policies",
            Self::ViewCachesTooLong { .. } => "increase the signing epoch (`signer_epoch`)",
            Self::ViewIgnoresProof(_) => "remove `proof_of_possession`, or put a verifier that checks it in front",
            Self::WorkflowAtAnyRef { .. } => "write the whole pattern, such as `…/deploy.yml@refs/heads/main`",
            _ => return None,
        };
        Some(fix)
    }

    /// What the warning is about; a second one about the same is left out, although it shows another stranger.
    pub(super) fn topic(&self) -> (&'static str, String) {
        let about = match self {
            Self::AnyTenant { issuer, .. } | Self::NoWorkload { issuer, .. } => issuer.clone(),
            Self::AddressUnbounded { .. } | Self::AnyNamespace { .. } | Self::BuildOfFork { .. } => String::new(),
            Self::LikeCrossesSeparator { claim, pattern, .. } => format!("{claim} {pattern}"),
            Self::NameWithoutId { name, .. } => (*name).to_owned(),
            _ => self.to_string(),
        };
        (self.code(), about)
    }

    /// Whether something is missing that may be in an unreadable file.
    pub(super) fn is_about_missing(&self) -> bool {
        matches!(
            self,
            Self::AnyNamespace { .. }
                | Self::AnyTenant { .. }
                | Self::AudienceUnreachable(_)
                | Self::BuildOfFork { .. }
                | Self::ClientUnused(_)
                | Self::EventOfStrangers { .. }
                | Self::EventUnchecked { .. }
                | Self::EventsUnbounded { .. }
                | Self::NoWorkload { .. }
                | Self::PolicyOfCaseUnknown(_)
                | Self::PolicyWithoutTest(_)
                | Self::TemplateUnused(_)
        )
    }
}

/// A condition that keeps out runs of proposed code, for the claim that identifies what triggered a run.
fn reviewed(claim: &str) -> String {
    match claim {
        "terraform_run_phase" => format!("{claim} == \"apply\""),
        _ => format!("{claim} == \"push\""),
    }
}
