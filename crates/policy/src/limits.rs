//! Every limit of a bundle, with its unit.

/// Files in a bundle.
pub const FILES_MAX: usize = 4096;
/// Bytes of one file.
pub const FILE_BYTES_MAX: usize = 256 * 1024;
/// Bytes of all files together.
pub const BUNDLE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of a path within the bundle.
pub const PATH_BYTES_MAX: usize = 512;
/// Folders below the bundle's root: `tests/<policy>/allow` is three.
pub const FOLDER_DEPTH_MAX: usize = 3;

pub const ISSUERS_MAX: usize = 256;
pub const AUDIENCES_MAX: usize = 1024;
/// Client files.
pub const CLIENTS_MAX: usize = 256;
/// Secrets of one client: the current one, and the next or the previous one.
pub const CLIENT_SECRETS_MAX: usize = 2;
pub const RULES_MAX: usize = 10_000;
/// Guardrails, and bytes of the description of each.
pub const GUARDRAILS_MAX: usize = 1024;
pub const DESCRIPTION_BYTES_MAX: usize = 512;
/// Time zones that a bundle names.
pub const ZONES_MAX: usize = 16;
/// Entries of `[keys]`.
pub const KEY_OWNERS_MAX: usize = 256;
/// Group files.
pub const GROUPS_MAX: usize = 256;
/// Workloads of one group, and claims of each.
pub const GROUP_WORKLOADS_MAX: usize = 1024;
pub const GROUP_CLAIMS_MAX: usize = 16;
/// Bytes of the name of an issuer or audience file, or of a policy's `@id`.
pub const NAME_BYTES_MAX: usize = 128;
/// Bytes of an issuer's credential: a bearer token.
pub const CREDENTIAL_BYTES_MAX: usize = 16 * 1024;
/// Bytes of an issuer URL, an audience id or an inbound `aud` value.
pub const ID_BYTES_MAX: usize = 1024;

pub const LEEWAY_SECONDS_MAX: u64 = 60;
pub const LEEWAY_SECONDS_DEFAULT: u64 = 30;
pub const KEYS_MAX_AGE_SECONDS_MIN: u64 = 30;
pub const KEYS_MAX_AGE_SECONDS_MAX: u64 = 3600;
pub const KEYS_MAX_AGE_SECONDS_DEFAULT: u64 = 300;
/// Longest use of expired cached keys while their issuer is unreachable.
pub const STALE_KEYS_SECONDS_MAX: u64 = 24 * 3600;
pub const TOKEN_AGE_SECONDS_MIN: u64 = 1;
pub const TOKEN_AGE_SECONDS_MAX: u64 = 24 * 3600;

pub const LIFETIME_SECONDS_MIN: u64 = 1;
pub const LIFETIME_SECONDS_DEFAULT: u64 = 300;
pub const LIFETIME_SECONDS_MAX_DEFAULT: u64 = 900;
/// Longest life of a grant for another authorization server, in seconds, inclusive.
pub const GRANT_SECONDS_MAX: u64 = 60;
/// How long an epoch's key must outlast the longest-lived token that it signs (invariant I3).
pub const EPOCH_MARGIN_SECONDS: u64 = 60;

/// Fewest and most uses of `bounded(n)`. One use is `single-use`.
pub const REPLAY_USES_MIN: u32 = 2;
pub const REPLAY_USES_MAX: u32 = 1000;

/// Claims that an issuer file requires, and values of each claim.
pub const REQUIRED_CLAIMS_MAX: usize = 16;
pub const REQUIRED_VALUES_MAX: usize = 64;

pub const SCOPES_PER_AUDIENCE_MAX: usize = 256;
pub const SCOPE_BYTES_MAX: usize = 256;
/// Claims that an `oidc` issuer declares.
pub const CLAIMS_MAX: usize = 100;
/// Claims that an audience copies, which the signer limits too.
pub const CLAIMS_PER_AUDIENCE_MAX: usize = 32;
/// Bytes of a subject template, which the identity component limits too.
pub const SUBJECT_TEMPLATE_BYTES_MAX: usize = 512;
