//! The documented private claims of a service account token (Kubernetes documentation, "Schema for
//! service account private claims").
//!
//! Excludes `warnafter`, which tells the API server when a token is overdue, not who holds it. The default bundle's
//! `entity Kubernetes::ServiceAccount` has exactly these attributes.

use crate::claim::Claim;
use vouchsafe_types::ClaimType::Text;

/// The object that contains the private claims.
const PRIVATE: &str = "kubernetes.io";

/// Attributes in alphabetical order. A token bound to a pod, a node or a secret has its name and uid; the node of a pod
/// is present only since Kubernetes 1.30.
pub const CLAIMS: &[Claim] = &[
    Claim::required("namespace", Text).at(&[PRIVATE, "namespace"]),
    Claim::optional("node_name", Text).at(&[PRIVATE, "node", "name"]),
    Claim::optional("node_uid", Text).at(&[PRIVATE, "node", "uid"]),
    Claim::optional("pod_name", Text).at(&[PRIVATE, "pod", "name"]),
    Claim::optional("pod_uid", Text).at(&[PRIVATE, "pod", "uid"]),
    Claim::optional("secret_name", Text).at(&[PRIVATE, "secret", "name"]),
    Claim::optional("secret_uid", Text).at(&[PRIVATE, "secret", "uid"]),
    Claim::required("service_account_name", Text).at(&[PRIVATE, "serviceaccount", "name"]),
    Claim::required("service_account_uid", Text).at(&[PRIVATE, "serviceaccount", "uid"]),
];
