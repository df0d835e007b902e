//! Warnings about settings of issuers and audiences.

use super::lints::said;
use super::support::*;
use vouchsafe_policy::Environment;
use vouchsafe_policy_tools::lint;

const STANDARD: &str = include_str!("../../../../../policies/schema.cedarschema");

/// The warnings with `code` about the bundle of `support` with the default schema and `changes`.
fn warned(code: &str, changes: &[(&str, Option<&str>)]) -> Vec<String> {
    let mut all = vec![("schema.cedarschema", Some(STANDARD))];
    all.extend(changes);
    let report = lint::check(&files(&all), &environment());
    assert!(report.bundle.is_some(), "{report}");
    report.warnings.iter().filter(|it| it.kind.code() == code).map(said).collect()
}

fn of_issuer(code: &str, provider: &str, lines: &str) -> Vec<String> {
    let issuer = format!("provider = \"{provider}\"\n{lines}");
    let warnings = warned(code, &[("issuers/other.toml", Some(&issuer))]);
    warnings.into_iter().map(|warning| warning.replace("issuers/other.toml: ", "")).collect()
}

fn of_audience(code: &str, content: &str) -> Vec<String> {
    let warnings = warned(code, &[("audiences/other.toml", Some(content))]);
    warnings.into_iter().map(|warning| warning.replace("audiences/other.toml: ", "")).collect()
}

const OTHER: &str = "issuer = \"https://other.example\"\n";

#[test]
fn warns_of_audiences_of_other_services() {
    let of =
        |audience: &str| of_issuer("audience-of-others", "github", &format!("{OTHER}audiences = [\"{audience}\"]\n"));
    for other in [
        "sts.amazonaws.com",
        "https://github.com/octo-org",
        "https://gitlab.com",
        "https://gitlab.com/",
        "api://AzureADTokenExchange",
        "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/a/providers/b",
        "https://kubernetes.default.svc",
        "sigstore",
        "vault",
    ] {
        let expected = format!(
            "tokens for audience `{other}` are made for somebody else, who can exchange them here: request tokens for the broker's URL, and remove the key"
        );
        assert_eq!(of(other), [expected], "{other}");
    }
    for own in ["https://broker.example", "16f36118-217b-4e7c-9250-69321b4c0742", "https://gitlab.com.example"] {
        assert_eq!(of(own), [""; 0], "{own}");
    }
}

#[test]
fn warns_of_keys_on_other_hosts() {
    let of = |provider: &str, issuer: &str, keys: &str| {
        let lines = format!("issuer = \"{issuer}\"\nkeys = {{ jwks_uri = \"{keys}\" }}\n");
        of_issuer("keys-elsewhere", provider, &lines)
    };
    let gitlab = "https://gitlab.com";
    assert_eq!(
        of("gitlab", gitlab, "https://attacker.example/jwks"),
        [
            "the keys of this issuer come from `attacker.example`, which is not a host of its platform: remove `keys`: the platform publishes where its keys are"
        ]
    );
    for (provider, issuer, keys) in [
        ("gitlab", gitlab, "https://gitlab.com/oauth/discovery/keys"),
        ("azure", "https://sts.windows.net/0e3e2e88/", "https://login.microsoftonline.com/common/discovery/keys"),
        ("kubernetes", "https://cluster.example", "https://mirror.example/jwks"),
        ("oidc", "https://login.example", "https://keys.example/jwks"),
    ] {
        assert_eq!(of(provider, issuer, keys), [""; 0], "{provider}");
    }
}

/// Both sides of an hour.
#[test]
fn warns_of_old_tokens_and_stale_keys() {
    let age = |provider: &str, age: &str| {
        of_issuer("token-age-long", provider, &format!("{OTHER}max_token_age = \"{age}\"\n"))
    };
    assert_eq!(
        age("github", "61m"),
        ["`max_token_age` of 3660 s is longer than an hour: a stolen token can be exchanged as long: shorten it"]
    );
    assert_eq!(age("github", "1h"), [""; 0]);
    assert_eq!(age("azure", "24h"), [""; 0], "Entra's tokens live for a day");
    let stale = |stale: &str| of_issuer("stale-keys-long", "github", &format!("{OTHER}stale_keys_max = \"{stale}\"\n"));
    assert_eq!(
        stale("61m"),
        [
            "`stale_keys_max` of 3660 s is longer than an hour: a key that the issuer removed is trusted as long: shorten it"
        ]
    );
    assert_eq!(stale("1h"), [""; 0]);
    let development = format!("{OTHER}development = true\nmax_token_age = \"24h\"\nstale_keys_max = \"24h\"\n");
    for code in ["token-age-long", "stale-keys-long"] {
        assert_eq!(of_issuer(code, "github", &development), [""; 0], "{code}");
    }
}

#[test]
fn warns_of_audiences_that_name_no_service() {
    let whole =
        "the audience is `*`, which is compared literally: `*` stands for nothing: write the whole id of one service";
    assert_eq!(of_audience("audience-is-pattern", "id = \"*\"\n"), [whole]);
    let own = "the audience is the broker's own URL: a token for it could be exchanged again: name the service that verifies the tokens";
    for id in ["https://broker.example", "https://broker.example/"] {
        assert_eq!(of_audience("audience-is-broker", &format!("id = \"{id}\"\n")), [own], "{id}");
    }
    let profile = "name = \"a\"\nversion = \"1\"\n[profiles]\nstaging = \"https://broker.staging.example\"\n";
    let staging = "id = \"https://broker.staging.example\"\n";
    let changes = [("bundle.toml", Some(profile)), ("audiences/other.toml", Some(staging))];
    assert_eq!(warned("audience-is-broker", &changes).len(), 1);
    let fine = "id = \"https://other.example\"\n";
    for code in ["audience-is-pattern", "audience-is-broker", "outlives-subject"] {
        assert_eq!(of_audience(code, fine), [""; 0], "{code}");
    }
    assert_eq!(
        of_audience("outlives-subject", &format!("{fine}outlive_subject = true\n")),
        [
            "tokens for this audience can outlive the subject token that they are issued for: remove `outlive_subject`, unless the service needs tokens for longer than jobs run"
        ]
    );
}

/// An audience that requires a scope makes a lower limit in its policies unnecessary.
#[test]
fn accepts_optional_scopes_if_audience_requires_one() {
    let of = |more: &str| {
        let audience = format!("id = \"https://api.example\"\nscopes = [\"write\"]\n{more}");
        let rule = PERMIT.replace("[\"read\"]", "[\"write\"]");
        warned("scopes-optional", &[("audiences/api.toml", Some(&audience)), ("rules/api.cedar", Some(&rule))])
    };
    assert_eq!(of("").len(), 1);
    assert_eq!(of("scopes_required = true\n"), [""; 0]);
}

#[test]
fn warns_of_what_a_view_does_not_do() {
    let envoy = |more: &str| format!("id = \"https://other.example\"\nview = \"envoy\"\n{more}");
    assert_eq!(of_audience("view-ignores-proof", &envoy("")), [""; 0]);
    assert_eq!(
        of_audience("view-ignores-proof", &envoy("proof_of_possession = \"required\"\n")),
        [
            "relying parties of view `envoy` don't check proofs: they take the token from whoever has it: remove `proof_of_possession`, or put a verifier that checks it in front"
        ]
    );
    for (epoch_seconds, warned) in [(300, true), (301, false)] {
        let short = Environment { epoch_seconds, ..environment() };
        let (api, envoy) = (format!("{API}max_lifetime = \"4m\"\n"), envoy("max_lifetime = \"4m\"\n"));
        let changes = [("audiences/api.toml", Some(api.as_str())), ("audiences/envoy.toml", Some(&envoy))];
        let report = lint::check(&files(&changes), &short);
        let found = report.warnings.iter().find(|it| it.kind.code() == "view-caches-too-long").map(ToString::to_string);
        let text = "relying parties of view `envoy` use a key set for 600 s, but keys are published only 600 s ahead: \
            they would refuse good tokens in every epoch";
        assert_eq!(found.is_some_and(|found| found.contains(text)), warned, "{epoch_seconds}");
    }
}
