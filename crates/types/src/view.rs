//! Views: issuer URLs of one broker, each for a kind of relying party.

use crate::wit_enum::wit_enum;

wit_enum! {
    /// A kind of relying party, with an issuer URL of its own (`<issuer>/v/<name>`): its tokens and key set keep to what such
    /// relying parties accept. A token of one view has another `iss` than those of all others, so none passes for another.
    #[derive(Ord, PartialOrd, serde::Deserialize)]
    #[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
    #[serde(rename_all = "kebab-case")]
    pub enum View {
        Aws,
        Azure,
        Databricks,
        Envoy,
        Gcp,
        Kubernetes,
        Snowflake,
        Vault,
    }
}

/// What the relying parties of a view accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// The name in bundles and URLs.
    pub name: &'static str,
    /// JWS algorithms. The view's key set has keys for no others.
    pub algorithms: &'static [&'static str],
    /// Longest `sub`, in bytes.
    pub subject_bytes_max: Option<usize>,
    /// Longest `aud`, in bytes.
    pub audience_bytes_max: Option<usize>,
    /// How long the relying party uses a key set without asking again, whatever HTTP headers say, in seconds.
    pub key_cache_seconds: Option<u64>,
}

const ES256: &str = "ES256";
const EDDSA: &str = "EdDSA";
const RS256: &str = "RS256";

impl View {
    /// Algorithms and limits, from the documentation of each relying party, or from trials with it (docs/views.md).
    #[must_use]
    pub const fn preset(self) -> Preset {
        const NO_LIMITS: Preset = Preset {
            name: "",
            algorithms: &[ES256, RS256],
            subject_bytes_max: None,
            audience_bytes_max: None,
            key_cache_seconds: None,
        };
        match self {
            Self::Aws => Preset { name: "aws", audience_bytes_max: Some(255), ..NO_LIMITS },
            Self::Azure => Preset {
                name: "azure",
                algorithms: &[RS256],
                subject_bytes_max: Some(600),
                audience_bytes_max: Some(600),
                ..NO_LIMITS
            },
            Self::Databricks => Preset { name: "databricks", ..NO_LIMITS },
            Self::Envoy => {
                Preset { name: "envoy", algorithms: &[ES256, EDDSA, RS256], key_cache_seconds: Some(600), ..NO_LIMITS }
            }
            Self::Gcp => {
                Preset { name: "gcp", subject_bytes_max: Some(127), audience_bytes_max: Some(256), ..NO_LIMITS }
            }
            Self::Kubernetes => Preset { name: "kubernetes", ..NO_LIMITS },
            Self::Snowflake => Preset { name: "snowflake", subject_bytes_max: Some(255), ..NO_LIMITS },
            Self::Vault => Preset { name: "vault", algorithms: &[ES256, EDDSA, RS256], ..NO_LIMITS },
        }
    }

    /// The view with this name, compared exactly.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|view| view.preset().name == name)
    }

    /// The view's issuer URL at the broker `issuer`.
    #[must_use]
    pub fn issuer(self, issuer: &str) -> String {
        format!("{}/v/{}", issuer.trim_end_matches('/'), self.preset().name)
    }

    /// Whether `iss` is the broker `issuer` or one of its views.
    #[must_use]
    pub fn is_own_issuer(issuer: &str, iss: &str) -> bool {
        let name = iss.strip_prefix(issuer.trim_end_matches('/')).and_then(|rest| rest.strip_prefix("/v/"));
        iss == issuer || name.is_some_and(|name| Self::of_name(name).is_some())
    }
}

/// `iss` of tokens for `view` at the broker `issuer`.
#[must_use]
pub fn issuer_of(issuer: &str, view: Option<View>) -> String {
    view.map_or_else(|| issuer.to_owned(), |view| view.issuer(issuer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_bundles() {
        for view in View::ALL {
            let name = view.preset().name;
            assert_eq!(View::of_name(name), Some(*view));
            assert_eq!(format!("{view:?}").to_lowercase(), name);
        }
        for name in ["", "AWS", "aws/", "generic", "aws\0"] {
            assert_eq!(View::of_name(name), None, "{name}");
        }
    }

    #[test]
    fn own_issuers_are_compared_exactly() {
        let broker = "https://broker.example";
        for own in [broker, "https://broker.example/v/aws", "https://broker.example/v/vault"] {
            assert!(View::is_own_issuer(broker, own), "{own}");
        }
        for other in [
            "https://broker.example/",
            "https://broker.example/v",
            "https://broker.example/v/",
            "https://broker.example/v/aws/",
            "https://broker.example/v/AWS",
            "https://broker.example/v/other",
            "https://broker.example/V/aws",
            "https://other.example/v/aws",
        ] {
            assert!(!View::is_own_issuer(broker, other), "{other}");
        }
        assert_eq!(View::Gcp.issuer("https://broker.example/base/"), "https://broker.example/base/v/gcp");
        assert_eq!(issuer_of(broker, None), broker);
    }
}
