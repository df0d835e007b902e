//! The attributes of a JWT-SVID's workload: its SPIFFE ID, whole and in parts.
//!
//! The default bundle's `entity Spiffe::Workload` has exactly these attributes.

use crate::claim::Claim;
use crate::claim::Source;
use vouchsafe_types::ClaimType::Text;

/// Attributes in alphabetical order; all come from `sub`.
pub const CLAIMS: &[Claim] = &[
    Claim::required("path", Text).from(Source::SpiffePath),
    Claim::required("spiffe_id", Text).at(&["sub"]),
    Claim::required("trust_domain", Text).from(Source::SpiffeTrustDomain),
];
