//! Checks the values of the broker's variables before anything starts. The components check them again; this reports
//! every fault at once.

use std::collections::BTreeMap;
use vouchsafe_exchange::client_address::{ForwardedHeader, TrustedProxies};
use vouchsafe_gateway::client::GatewayConfig;
use vouchsafe_manifest::Manifest;
use vouchsafe_signer::{Config, Error, Root, Variable, Variables};

/// 32 bytes in base64url, which protect nothing.
const ANY_SECRET: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What is wrong with `values`, which may lack some: those are reported elsewhere. Never contains a value.
pub fn faults(manifest: &Manifest, values: &BTreeMap<String, String>) -> Vec<String> {
    let has = |variable: Variable| manifest.variables().contains_key(variable.name());
    let mut faults = if has(Variable::GatewayUrls) {
        of_signer(&Variable::GATEWAY, values, |variables| GatewayConfig::parse(variables).map(drop))
    } else if has(Variable::SignerRoot) {
        of_signer(&Variable::LOCAL, values, |variables| {
            Config::parse(variables).and_then(|_| Root::parse(variables)).map(drop)
        })
    } else {
        // Another application.
        return Vec::new();
    };
    let value = |variable: Variable| values.get(variable.name()).map(String::as_str).unwrap_or_default();
    let mut note = |variable: Variable, error: &dyn std::fmt::Display| {
        faults.push(format!("variable `{variable}`: {error}"));
    };
    if let Err(error) = TrustedProxies::parse(value(Variable::TrustedProxies)) {
        note(Variable::TrustedProxies, &error);
    }
    if let Err(error) = ForwardedHeader::parse(value(Variable::ForwardedHeader)) {
        note(Variable::ForwardedHeader, &error);
    }
    faults
}

/// The parser stops at the first fault. So each faulty value is replaced by a valid one, until the parser accepts all.
fn of_signer(
    list: &[Variable],
    values: &BTreeMap<String, String>,
    parse: impl Fn(&Variables) -> Result<(), Error>,
) -> Vec<String> {
    let mut variables = Variables::default();
    for variable in list {
        let value = values.get(variable.name()).map_or_else(|| valid(*variable, ""), String::as_str);
        variables.slot(*variable).push_str(value);
    }
    let mut found: Vec<(Variable, String)> = Vec::new();
    while let Err(error @ Error::Misconfigured { variable, .. }) = parse(&variables) {
        if found.iter().any(|(known, _)| *known == variable) {
            break;
        }
        found.push((variable, error.to_string()));
        if variable == Variable::Development && variables.issuer.starts_with("http://") {
            // Off loopback, no value of `development` is valid.
            variables.issuer = "http://localhost".to_owned();
        }
        let value = valid(variable, &variables.issuer);
        let slot = variables.slot(variable);
        slot.clear();
        slot.push_str(value);
    }
    found.into_iter().map(|(_, message)| message).collect()
}

/// A value that is valid together with any valid values of the other variables.
fn valid(variable: Variable, issuer: &str) -> &'static str {
    match variable {
        // Development mode requires loopback, and production https.
        Variable::Development if issuer.starts_with("http://") => "true",
        Variable::Development => "false",
        Variable::ForwardedHeader | Variable::SignerHsmAlgorithms | Variable::TrustedProxies => "",
        Variable::GatewayToken | Variable::SignerRoot => ANY_SECRET,
        Variable::GatewayUrls | Variable::Issuer => "https://localhost",
        Variable::SignerAlgorithms => "ES256",
        Variable::SignerAudiences => "*",
        Variable::SignerEpoch => "604800",
        Variable::SignerGeneration | Variable::SignerLifetimeMax => "1",
        Variable::SignerGroup => "default",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Faults of the repository's manifest `name` with its defaults and these values.
    fn of(name: &str, given: &[(&str, &str)]) -> Vec<String> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text = std::fs::read_to_string(repository.join(name)).expect("the manifest");
        let manifest = Manifest::parse(&text).expect("a manifest");
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        faults(&manifest, &manifest.values(&given))
    }

    #[test]
    fn missing_variables_are_no_faults() {
        for manifest in ["spin.toml", "spin.hsm.toml"] {
            assert_eq!(of(manifest, &[]), [""; 0], "{manifest}");
        }
        let good = [("issuer", "http://127.0.0.1:3000"), ("development", "true"), ("signer_root", ANY_SECRET)];
        assert_eq!(of("spin.toml", &good), [""; 0]);
    }

    #[test]
    fn reports_every_fault_at_once() {
        let found = of(
            "spin.toml",
            &[
                ("issuer", "http://broker.example"),
                ("signer_root", "c2hvcnQ"),
                ("signer_epoch", "30"),
                ("signer_lifetime_max", "1h"),
                ("signer_generation", "0"),
                ("signer_audiences", "* a"),
                ("signer_algorithms", "RS256"),
                ("trusted_proxies", "10.0.0.0/33"),
                ("forwarded_header", "via"),
            ],
        );
        let mut sorted = found.clone();
        sorted.sort();
        assert_eq!(
            sorted,
            [
                "variable `forwarded_header`: expected `forwarded` or `x-forwarded-for`",
                "variable `issuer` is not an https URL without query, fragment and user name",
                "variable `signer_algorithms` names an unknown algorithm",
                "variable `signer_audiences` contains an illegal character",
                "variable `signer_epoch` is not between 300 and 604800",
                "variable `signer_generation` is not between 1 and 18446744073709551615",
                "variable `signer_lifetime_max` is not a whole number",
                "variable `signer_root` does not have 32 to 64 bytes",
                "variable `trusted_proxies`: expected IP addresses or networks such as `10.0.0.0/8`",
            ],
            "{found:?}"
        );
    }

    #[test]
    fn issuer_without_tls_hides_no_fault() {
        for (development, expected) in [
            ("true", "variable `development` is `true` but `issuer` is not on loopback"),
            ("false", "variable `issuer` is not an https URL without query, fragment and user name"),
            ("", "variable `development` is empty"),
        ] {
            let found = of(
                "spin.toml",
                &[
                    ("issuer", "http://broker.example"),
                    ("development", development),
                    ("signer_root", "c2hvcnQ"),
                    ("signer_epoch", "30"),
                ],
            );
            let epoch = "variable `signer_epoch` is not between 300 and 604800";
            let root = "variable `signer_root` does not have 32 to 64 bytes";
            assert_eq!(found, [expected, epoch, root], "{development}");
        }
    }

    #[test]
    fn checks_variables_of_the_gateway() {
        let found = of(
            "spin.hsm.toml",
            &[
                ("issuer", "https://broker.example"),
                ("gateway_urls", "http://gateway.example"),
                ("gateway_token", "x"),
                ("development", "yes"),
            ],
        );
        assert_eq!(
            found,
            [
                "variable `development` is neither `true` nor `false`",
                "variable `gateway_urls` is not an https URL without query, fragment and user name",
                "variable `gateway_token` is not base64url without padding",
            ]
        );
    }
}
