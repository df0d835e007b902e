//! The claims of a Google-signed identity token of a service account (Google Cloud documentation,
//! "Verify the identity of VMs").
//!
//! Excludes `hd` and claims about people. The default bundle's `entity Google::ServiceAccount` has exactly these
//! attributes.

use crate::claim::Claim;
use vouchsafe_types::ClaimType::{Boolean, Integer, Text, TextSet};

/// The object that contains a virtual machine's claims.
const GOOGLE: &str = "google";
const MACHINE: &str = "compute_engine";

/// Attributes in alphabetical order; those of a virtual machine require `format=full`.
pub const CLAIMS: &[Claim] = &[
    Claim::optional("azp", Text),
    Claim::optional("email", Text),
    Claim::optional("email_verified", Boolean),
    Claim::optional("instance_confidentiality", Integer).at(&[GOOGLE, MACHINE, "instance_confidentiality"]),
    Claim::optional("instance_creation_timestamp", Integer).at(&[GOOGLE, MACHINE, "instance_creation_timestamp"]),
    Claim::optional("instance_id", Text).at(&[GOOGLE, MACHINE, "instance_id"]),
    Claim::optional("instance_name", Text).at(&[GOOGLE, MACHINE, "instance_name"]),
    Claim::optional("license_id", TextSet).at(&[GOOGLE, MACHINE, "license_id"]),
    Claim::optional("project_id", Text).at(&[GOOGLE, MACHINE, "project_id"]),
    Claim::optional("project_number", Integer).at(&[GOOGLE, MACHINE, "project_number"]),
    Claim::required("unique_id", Text).at(&["sub"]),
    Claim::optional("zone", Text).at(&[GOOGLE, MACHINE, "zone"]),
];
