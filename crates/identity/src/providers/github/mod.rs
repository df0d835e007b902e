//! GitHub Actions, of github.com and of Enterprise Server.
//!
//! `sub` is never parsed: organizations may customise it, and its form changed in 2026. Policies
//! match on the claims of [`CLAIMS`], best on the numeric ids, which survive renames.

mod claims;

pub use claims::CLAIMS;

/// `provider` in an issuer's file.
pub const NAME: &str = "github";

/// Cedar entity type of a workflow run.
pub const ENTITY_TYPE: &str = "GitHub::Workflow";
