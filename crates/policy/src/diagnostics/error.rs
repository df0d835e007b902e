//! The errors of a bundle.

/// Every way in which a bundle can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    #[error("`allow_act` requires provider `oidc`, not `{0}`")]
    ActNotAllowed(String),
    #[error("`{algorithm}` is not one of {allowed}")]
    AlgorithmUnknown { algorithm: String, allowed: String },
    #[error("algorithm `{0}` requires tier `hsm`")]
    AlgorithmNeedsHsm(String),
    #[error("the relying parties of view `{view}` don't accept `{algorithm}`: only `{allowed}`")]
    AlgorithmNotOfView { algorithm: String, view: &'static str, allowed: String },
    #[error("the bundle is larger than {bytes_max} bytes")]
    BundleTooLarge { bytes_max: usize },
    #[error("cannot be read: {0}")]
    CannotRead(String),
    #[error("the file contains {0}, an invisible control or format character")]
    HiddenCharacter(String),
    /// Cedar's own words.
    #[error("{message}")]
    Cedar { message: String, help: Option<String> },
    #[error("`{0}` is not a claim name: 1 to 256 visible ASCII characters except `\"` and `\\`")]
    ClaimNameInvalid(String),
    #[error("claim `{0}` differs from another claim only in case")]
    ClaimNameRepeated(String),
    #[error("claim `{name}` is not an attribute of any trusted issuer's principal")]
    ClaimUndeclared { name: String, suggestion: Option<String> },
    #[error("claim `{0}` is reserved and cannot be declared here")]
    ClaimReserved(String),
    #[error("`claims` requires provider `oidc`, not `{0}`")]
    ClaimsNotAllowed(String),
    #[error("a client has either `secrets` or `jwks`; `algorithms` requires `jwks`")]
    ClientCredentialAmbiguous,
    #[error(
        "`jwks` has a private or a symmetric key: remove it from the bundle and from its history, and make another"
    )]
    ClientKeySecret,
    #[error("an entry of `secrets` is not the lowercase hexadecimal SHA-256 of a secret")]
    ClientSecretInvalid,
    #[error("audience `{id}` is already defined in `{other}`")]
    DuplicateAudience { id: String, other: String },
    #[error("`{0}` is listed twice")]
    DuplicateEntry(String),
    #[error("issuer `{issuer}` is already defined in `{other}`")]
    DuplicateIssuer { issuer: String, other: String },
    #[error("policy `{id}` is already defined in `{other}`")]
    DuplicatePolicy { id: String, other: String },
    #[error("`{key}` is not a kind of key, alone or with a name as in `hsm-key/deploy`; known kinds: `{known}`")]
    KeyKindUnknown { key: String, known: String },
    #[error("`{key}` must be a duration such as `30s`, `10m` or `1h`, not `{value}`")]
    DurationInvalid { key: &'static str, value: String },
    #[error("`{0}` is empty")]
    Empty(&'static str),
    #[error("issuers `{first}` and `{second}` would both have entity type `{entity_type}`")]
    EntityTypeCollision { first: String, second: String, entity_type: String },
    #[error("the file name cannot be converted to an entity type; rename the file")]
    EntityTypeInvalid,
    #[error("`{0}` is not an entity such as `WorkloadGroup::\"payments\"`")]
    EntityInvalid(String),
    #[error("`expires` must be a date such as `2027-01-01` or `2027-01-01T00:00:00Z`")]
    ExpiryInvalid,
    #[error("the file is missing")]
    FileMissing,
    #[error("the file is not valid UTF-8")]
    FileNotUtf8,
    #[error("the file is larger than {bytes_max} bytes")]
    FileTooLarge { bytes_max: usize },
    #[error("the bundle has more than {files_max} files")]
    FilesTooMany { files_max: usize },
    #[error("no audience file defines audience `{name}`")]
    GroupAudienceUnknown { name: String, suggestion: Option<String> },
    #[error("claim `{claim}` is neither `sub` nor a text claim of {entity_type}")]
    GroupClaimUnknown { claim: String, entity_type: String, suggestion: Option<String> },
    #[error("issuer `{name}` has no issuer file")]
    GroupIssuerUnknown { name: String, suggestion: Option<String> },
    #[error("guardrail `{0}` is a `permit`: a guardrail forbids what no policy may permit")]
    GuardrailPermits(String),
    #[error("a guardrail cannot be a template")]
    GuardrailTemplate,
    #[error("guardrail `{0}` has no `@description`")]
    GuardrailWithoutDescription(String),
    #[error("hidden files are not allowed in a bundle")]
    HiddenFile,
    #[error("`clients` is the issuer of the clients in `clients/`: rename the file")]
    IssuerIsClients,
    #[error("issuer `{issuer}` is shared by many tenants and requires provider `{provider}`")]
    IssuerHasProvider { issuer: String, provider: &'static str },
    #[error("`{0}` is the broker's own issuer URL and cannot be a trusted issuer")]
    IssuerIsBroker(String),
    #[error(
        "`bearer_file` must name a file in `/credentials`: 1 to 128 characters of `A-Z`, `a-z`, `0-9`, `.`, `_` and \
         `-`, not starting with `.`"
    )]
    CredentialNameInvalid,
    #[error("`{0}` is part of the URL that all tenants share; use the tenant's own issuer URL")]
    IssuerOfNoTenant(String),
    #[error(
        "`keys` must have exactly one of `discovery = true`, `jwks_uri`, or `pinned` with `expires`; `bearer_file` \
         requires one of the first two"
    )]
    KeysAmbiguous,
    #[error("the pinned keys are not a JSON Web Key Set")]
    KeysNotJwks,
    #[error("`default_lifetime` of {default_seconds} s exceeds `max_lifetime` of {max_seconds} s")]
    LifetimeDefaultOverMax { default_seconds: u64, max_seconds: u64 },
    #[error("`max_lifetime` of {seconds} s exceeds {seconds_max} s, the signing epoch minus 60 s")]
    LifetimeOverEpoch { seconds: u64, seconds_max: u64 },
    #[error("the file name must be 1 to 128 characters of `a-z`, `0-9` and `-`")]
    NameInvalid,
    #[error("not a regular file")]
    NotAFile,
    #[error("the name is not valid UTF-8, is longer than {bytes_max} bytes, or contains control or format characters")]
    PathInvalid { bytes_max: usize },
    #[error("policy `{0}` does not name an issuer: write `principal is TYPE in Issuer::\"NAME\"` in its scope")]
    PermitWithoutIssuer(String),
    #[error(
        "policy `{0}` does not name the issuer of the subject: write `resource is TYPE in Issuer::\"NAME\"` in its scope"
    )]
    PermitWithoutSubjectIssuer(String),
    #[error("the bundle has guardrails, and no proof of them is recorded")]
    ProofMissing,
    #[error("the recorded proof of the guardrails is that of another bundle")]
    ProofStale,
    #[error("`{key}` must be {min} to {max}, not {value}")]
    OutOfBounds { key: &'static str, value: u64, min: u64, max: u64 },
    #[error("`{key}` has more than {max} entries")]
    TooMany { key: &'static str, max: usize },
    #[error("`replay` must be `allow`, `single-use` or `bounded(n)` with 2 to 1000 uses, not `{0}`")]
    ReplayInvalid(String),
    #[error("`{claim}` in `require` is not a text claim; {entity_type} has {known}")]
    RequiredClaimUnknown { claim: String, entity_type: String, known: String },
    #[error("policy `{policy}` names audience `{audience}`, which no audience file defines")]
    PolicyAudienceUnknown { policy: String, audience: String, suggestion: Option<String> },
    #[error("policy `{policy}` names group `{group}`, which has no such members in `entities/`")]
    PolicyGroupUnknown { policy: String, group: String, suggestion: Option<String> },
    #[error("policy `{policy}` names issuer `{issuer}`, which no issuer file defines")]
    PolicyIssuerUnknown { policy: String, issuer: String, suggestion: Option<String> },
    #[error("policy `{policy}` names profile `{profile}`, which `bundle.toml` does not define")]
    PolicyProfileUnknown { policy: String, profile: String, suggestion: Option<String> },
    #[error("the policy has no `@id(\"…\")`")]
    PolicyWithoutId,
    #[error("the `@id` of a policy must be 1 to 128 characters of `a-z`, `0-9` and `-`, not `{0}`")]
    PolicyIdInvalid(String),
    #[error("scope `{0}` is not an RFC 6749 §3.3 scope token of at most 256 bytes")]
    ScopeInvalid(String),
    #[error("`scopes_required` requires at least one entry in `scopes`")]
    ScopesRequiredButNone,
    #[error("the relying parties of view `{0}` check no status list")]
    StatusListOfView(&'static str),
    #[error("`{{{claim}}}` in `subject` is not a text claim; {entity_type} has {known}")]
    SubjectClaimUnknown { claim: String, entity_type: String, known: String },
    #[error("`subject` must be a template of text and `{{claim}}` placeholders")]
    SubjectTemplateInvalid,
    #[error("symbolic links are not allowed in a bundle")]
    SymbolicLink,
    #[error(
        "issuers of provider `{provider}` sign for all tenants: restrict tokens to yours with `require = {{ … }}` \
         and one of `{names}`"
    )]
    TenantNotPinned { provider: &'static str, names: String },
    #[error("the template's slot `?{0}` has no value: set `{0}`")]
    TemplateSlotEmpty(&'static str),
    #[error("the template has no slot `?{0}`")]
    TemplateSlotUnknown(&'static str),
    #[error("no policy file defines template `{name}`")]
    TemplateUnknown { name: String, suggestion: Option<String> },
    #[error("folders are nested more than {depth_max} deep")]
    TooDeep { depth_max: usize },
    #[error("{0}")]
    Toml(String),
    #[error(
        "a trust domain has no discovery document: set `keys = {{ jwks_uri = \"…\" }}` to its bundle endpoint, or \
         pin its bundle with `pinned`"
    )]
    TrustDomainWithoutKeys,
    #[error("does not belong in a bundle")]
    UnknownFile,
    #[error("unknown provider `{name}`; known providers: `{known}`")]
    UnknownProvider { name: String, known: String, suggestion: Option<String> },
    #[error("`{key}` {reason}")]
    UrlRefused { key: &'static str, reason: &'static str },
    #[error("`{key}` is longer than {bytes_max} bytes or contains control or format characters")]
    ValueInvalid { key: &'static str, bytes_max: usize },
    #[error("the name of a zone must be `a-z`, `0-9` and `_`, starting with a letter, not `{0}`")]
    ZoneNameInvalid(String),
    #[error("unknown time zone `{0}`: use an IANA name such as `Europe/Berlin`")]
    ZoneUnknown(String),
}
