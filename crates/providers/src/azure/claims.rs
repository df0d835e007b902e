//! The claims of a Microsoft Entra ID token that identify its workload (Microsoft identity platform, "Access token
//! claims reference").
//!
//! Excludes claims about people (`name`, `upn`, `groups`…) and Entra's internal ones (`aio`, `rh`, `uti`). The default
//! bundle's `entity Azure::Workload` has exactly these attributes.

use crate::claim::Claim;
use vouchsafe_types::ClaimType::{Text, TextSet};

/// Attributes in alphabetical order. Version 1 has `appid` and `appidacr`; version 2 has `azp` and `azpacr` instead.
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
