//! The claims of a token of Microsoft Entra ID that say which workload holds it (Microsoft identity
//! platform, "Access token claims reference").
//!
//! Claims of people (`name`, `upn`, `groups`…) and of Entra's own bookkeeping (`aio`, `rh`, `uti`) are
//! not in it. The default bundle's `entity Azure::Workload` has exactly these attributes.

use crate::claim::Claim;
use vouchsafe_types::ClaimType::{Text, TextSet};

/// Attributes in alphabetical order: version 1 has `appid` and `appidacr`, version 2 `azp` and
/// `azpacr` in their place.
pub const CLAIMS: &[Claim] = &[
    Claim::optional("app_displayname", Text),
    Claim::optional("appid", Text),
    Claim::optional("appidacr", Text),
    Claim::optional("azp", Text),
    Claim::optional("azpacr", Text),
    Claim::optional("idp", Text),
    Claim::optional("idtyp", Text),
    Claim::required("oid", Text),
    Claim::optional("roles", TextSet),
    Claim::required("tid", Text),
    Claim::required("ver", Text),
    Claim::optional("xms_mirid", Text),
];
