//! GitLab CI/CD ID tokens, of gitlab.com and of self-managed instances.
//!
//! `sub` is never parsed: a project's path and a branch may hold what separates its parts. Policies
//! match on the claims of [`CLAIMS`], best on the numeric ids, which survive renames and transfers.
//!
//! Two traps of these tokens are met here: a claim that does not apply may be `null` instead of
//! absent (then it is absent), and `ref_protected` may be empty (then it is empty, not `"false"`).

mod claims;

pub use claims::CLAIMS;

/// `provider` in an issuer's file.
pub const NAME: &str = "gitlab";

/// Cedar entity type of a job.
pub const ENTITY_TYPE: &str = "GitLab::Job";
