//! The documented private claims of a service account token (Kubernetes documentation, "Schema for
//! service account private claims").
//!
//! `warnafter` is not in it: it tells the API server when a token is overdue, not who holds it. The
//! default bundle's `entity Kubernetes::ServiceAccount` has exactly these attributes.

use crate::providers::claim::ClaimType::Text;
use crate::providers::claim::DeclaredClaim;

/// Where the private claims are.
const PRIVATE: &str = "kubernetes.io";

/// Attributes in alphabetical order. A token is bound to a pod, a node or a secret where it has
/// their names and uids; nodes of pods are named by clusters since 1.30 only.
pub const CLAIMS: &[DeclaredClaim] = &[
    DeclaredClaim::nested("namespace", Text, &[PRIVATE, "namespace"], true),
    DeclaredClaim::nested("node_name", Text, &[PRIVATE, "node", "name"], false),
    DeclaredClaim::nested("node_uid", Text, &[PRIVATE, "node", "uid"], false),
    DeclaredClaim::nested("pod_name", Text, &[PRIVATE, "pod", "name"], false),
    DeclaredClaim::nested("pod_uid", Text, &[PRIVATE, "pod", "uid"], false),
    DeclaredClaim::nested("secret_name", Text, &[PRIVATE, "secret", "name"], false),
    DeclaredClaim::nested("secret_uid", Text, &[PRIVATE, "secret", "uid"], false),
    DeclaredClaim::nested(
        "service_account_name",
        Text,
        &[PRIVATE, "serviceaccount", "name"],
        true,
    ),
    DeclaredClaim::nested(
        "service_account_uid",
        Text,
        &[PRIVATE, "serviceaccount", "uid"],
        true,
    ),
];
