//! The errors of a bundle.

/// Every way in which a bundle can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    #[error("provider `{0}` has its own claims; `allow_act` is for provider `oidc`")]
    ActNotAllowed(String),
    #[error("`{algorithm}` is not one of {allowed}")]
    AlgorithmUnknown { algorithm: String, allowed: String },
    #[error("algorithm `{0}` is for tier `hsm` only")]
    AlgorithmNeedsHsm(String),
    #[error("the bundle has over {bytes_max} bytes")]
    BundleTooLarge { bytes_max: usize },
    #[error("cannot be read: {0}")]
    CannotRead(String),
    #[error("the file holds {0}, a control or format character that is not displayed")]
    CharacterHidden(String),
    /// Cedar's own words.
    #[error("{message}")]
    Cedar {
        message: String,
        help: Option<String>,
    },
    #[error("`{0}` is not a claim name of 1 to 256 visible ASCII characters without `\"` and `\\`")]
    ClaimNameInvalid(String),
    #[error("claim `{0}` differs from another one in case only")]
    ClaimNameRepeated(String),
    #[error("claim `{name}` is not an attribute of any trusted issuer's principal")]
    ClaimUndeclared {
        name: String,
        suggestion: Option<String>,
    },
    #[error("claim `{0}` cannot be declared here: it has a meaning of its own")]
    ClaimReserved(String),
    #[error("provider `{0}` has its own claims; `claims` is for provider `oidc`")]
    ClaimsNotAllowed(String),
    #[error("audience `{id}` is already defined in `{other}`")]
    DuplicateAudience { id: String, other: String },
    #[error("`{0}` is listed twice")]
    DuplicateEntry(String),
    #[error("issuer `{issuer}` is already defined in `{other}`")]
    DuplicateIssuer { issuer: String, other: String },
    #[error("rule `{id}` is already defined in `{other}`")]
    DuplicatePolicy { id: String, other: String },
    #[error("`{key}` is not a duration such as `30s`, `10m` or `1h`: `{value}`")]
    DurationInvalid { key: &'static str, value: String },
    #[error("`{0}` is empty")]
    Empty(&'static str),
    #[error("issuers `{first}` and `{second}` would both be the entity type `{entity_type}`")]
    EntityTypeCollision {
        first: String,
        second: String,
        entity_type: String,
    },
    #[error("the file's name does not make an entity type; give the issuer another name")]
    EntityTypeInvalid,
    #[error("`{0}` is not an entity such as `WorkloadGroup::\"payments\"`")]
    EntityInvalid(String),
    #[error("`expires` is not a date such as `2027-01-01` or `2027-01-01T00:00:00Z`")]
    ExpiryInvalid,
    #[error("the file is missing")]
    FileMissing,
    #[error("the file is not UTF-8")]
    FileNotUtf8,
    #[error("the file has over {bytes_max} bytes")]
    FileTooLarge { bytes_max: usize },
    #[error("there are over {files_max} files")]
    FilesTooMany { files_max: usize },
    #[error("audience `{name}` is in no audience file")]
    GroupAudienceUnknown {
        name: String,
        suggestion: Option<String>,
    },
    #[error("claim `{claim}` is not `sub` or a text claim of {entity_type}")]
    GroupClaimUnknown {
        claim: String,
        entity_type: String,
        suggestion: Option<String>,
    },
    #[error("issuer `{name}` has no issuer file")]
    GroupIssuerUnknown {
        name: String,
        suggestion: Option<String>,
    },
    #[error("hidden files are not allowed in a bundle")]
    HiddenFile,
    #[error("issuer `{issuer}` serves many tenants, which only provider `{provider}` tells apart")]
    IssuerHasProvider {
        issuer: String,
        provider: &'static str,
    },
    #[error("`{0}` is the broker's own issuer URL, which is never trusted as an issuer")]
    IssuerIsOurs(String),
    #[error(
        "`bearer_file` is the name of a file in `/credentials`: 1 to 128 characters of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`, the first no `.`"
    )]
    CredentialNameInvalid,
    #[error("`{0}` is in the URL that all tenants share; name the tenant's own issuer")]
    IssuerOfNoTenant(String),
    #[error(
        "`keys` takes one of `discovery = true`, `jwks_uri`, or `pinned` with `expires`; `bearer_file` goes with the first two"
    )]
    KeysAmbiguous,
    #[error("the pinned keys are not a JSON Web Key Set")]
    KeysNotJwks,
    #[error("`default_lifetime` of {default_seconds} s is over `max_lifetime` of {max_seconds} s")]
    LifetimeDefaultOverMax {
        default_seconds: u64,
        max_seconds: u64,
    },
    #[error("`max_lifetime` of {seconds} s is over {seconds_max} s, the signing epoch less 60 s")]
    LifetimeOverEpoch { seconds: u64, seconds_max: u64 },
    #[error("names here are 1 to 128 characters of `a-z`, `0-9` and `-`")]
    NameInvalid,
    #[error("not a regular file")]
    NotAFile,
    #[error(
        "the name is not UTF-8, or is over {bytes_max} bytes, or holds control or format characters"
    )]
    PathInvalid { bytes_max: usize },
    #[error(
        "rule `{0}` does not name an issuer: write `principal is TYPE in Issuer::\"NAME\"` in its scope"
    )]
    PermitWithoutIssuer(String),
    #[error("`{key}` must be {min} to {max}, not {value}")]
    OutOfBounds {
        key: &'static str,
        value: u64,
        min: u64,
        max: u64,
    },
    #[error("`{key}` has over {max} entries")]
    TooMany { key: &'static str, max: usize },
    #[error("`replay` is `allow`, `single-use` or `bounded(n)` with 2 to 1000 uses, not `{0}`")]
    ReplayInvalid(String),
    #[error("`{claim}` in `require` is not a text claim; {entity_type} has {known}")]
    RequiredClaimUnknown {
        claim: String,
        entity_type: String,
        known: String,
    },
    #[error("rule `{policy}` names audience `{audience}`, which no audience file has")]
    PolicyAudienceUnknown {
        policy: String,
        audience: String,
        suggestion: Option<String>,
    },
    #[error("rule `{policy}` names group `{group}`, which has no such entries in `entities/`")]
    PolicyGroupUnknown {
        policy: String,
        group: String,
        suggestion: Option<String>,
    },
    #[error("rule `{policy}` names issuer `{issuer}`, which no issuer file has")]
    PolicyIssuerUnknown {
        policy: String,
        issuer: String,
        suggestion: Option<String>,
    },
    #[error("rule `{policy}` is for profile `{profile}`, which `bundle.toml` does not have")]
    PolicyProfileUnknown {
        policy: String,
        profile: String,
        suggestion: Option<String>,
    },
    #[error("the rule has no `@id(\"…\")`")]
    PolicyWithoutId,
    #[error("the `@id` of a rule is 1 to 128 characters of `a-z`, `0-9` and `-`, not `{0}`")]
    PolicyIdInvalid(String),
    #[error("scope `{0}` is not an RFC 6749 §3.3 scope token of at most 256 bytes")]
    ScopeInvalid(String),
    #[error("`{{{claim}}}` in `subject` is not a text claim; {entity_type} has {known}")]
    SubjectClaimUnknown {
        claim: String,
        entity_type: String,
        known: String,
    },
    #[error("`subject` is not a template of text and `{{claim}}` placeholders")]
    SubjectTemplateInvalid,
    #[error("symbolic links are not allowed in a bundle")]
    SymbolicLink,
    #[error(
        "issuers of provider `{provider}` sign for all tenants: say whose tokens are taken by \
         `require = {{ … }}` with one of `{names}`"
    )]
    TenantNotPinned {
        provider: &'static str,
        names: String,
    },
    #[error("the template's `?{0}` is not filled: give `{0}`")]
    TemplateSlotEmpty(&'static str),
    #[error("the template has no `?{0}` to fill")]
    TemplateSlotUnknown(&'static str),
    #[error("template `{name}` is in no rule file")]
    TemplateUnknown {
        name: String,
        suggestion: Option<String>,
    },
    #[error("folders are at most {depth_max} deep")]
    TooDeep { depth_max: usize },
    #[error("{0}")]
    Toml(String),
    #[error(
        "a trust domain has no discovery document: give the URL of its bundle endpoint as \
         `keys = {{ jwks_uri = \"…\" }}`, or its bundle as `pinned`"
    )]
    TrustDomainWithoutKeys,
    #[error("not a file that a bundle has")]
    UnknownFile,
    #[error("`{name}` is not a provider; known are `{known}`")]
    UnknownProvider {
        name: String,
        known: String,
        suggestion: Option<String>,
    },
    #[error("`{key}` {reason}")]
    UrlRefused {
        key: &'static str,
        reason: &'static str,
    },
    #[error("`{key}` is over {bytes_max} bytes or holds control or format characters")]
    ValueInvalid { key: &'static str, bytes_max: usize },
    #[error("the name of a zone is `a-z`, `0-9` and `_`, and begins with a letter, not `{0}`")]
    ZoneNameInvalid(String),
    #[error("`{0}` is not a time zone such as `Europe/Berlin`")]
    ZoneUnknown(String),
}
