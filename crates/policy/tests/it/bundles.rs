//! Errors that keep a bundle from loading, with their positions, and the values of settings.

use crate::support::*;
use vouchsafe_policy::View;
use vouchsafe_policy::limits::*;
use vouchsafe_policy::{
    Audience, Bundle, BundleError, BundleFiles, Claim, ClaimType, Criticality, Diagnostic, Environment, Issuer,
    KEY_KINDS, KeySource, PinnedKeys, ReplayMode, Tier,
};

/// The errors if `path` has `content`; empty if the bundle loads.
fn found(path: &str, content: &str) -> Vec<String> {
    found_all(&[(path, Some(content))])
}

fn found_all(changes: &[(&str, Option<&str>)]) -> Vec<String> {
    match load(changes) {
        Ok(_) => Vec::new(),
        Err(invalid) => invalid.diagnostics.iter().map(ToString::to_string).collect(),
    }
}

fn check(path: &str, content: &str, expected: &[&str]) {
    assert_eq!(found(path, content), expected, "{path}: {content}");
}

pub fn issuer(lines: &str) -> Result<Issuer, Vec<String>> {
    let content = format!("{GITHUB}{lines}\n");
    match load(&[("issuers/github.toml", Some(&content))]) {
        Ok(bundle) => Ok(bundle.issuer("https://idp.example").expect("it is there").clone()),
        Err(invalid) => Err(invalid.diagnostics.iter().map(ToString::to_string).collect()),
    }
}

fn audience(lines: &str) -> Result<Audience, Vec<String>> {
    let content = format!("id = \"https://api.example\"\n{lines}\n");
    match load(&[("audiences/api.toml", Some(&content))]) {
        Ok(bundle) => Ok(bundle.audience("https://api.example").expect("it is there").clone()),
        Err(invalid) => Err(invalid.diagnostics.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn fills_in_defaults_of_github_issuer() {
    let expected = Issuer {
        name: "github".to_owned(),
        issuer: "https://idp.example".to_owned(),
        provider: &vouchsafe_providers::github::PROVIDER,
        audiences: vec!["https://broker.example".to_owned()],
        algorithms: vec!["RS256".to_owned()],
        keys: KeySource::Discovery,
        credential_file: None,
        keys_max_age_seconds: 300,
        stale_keys_max_seconds: 0,
        max_token_age_seconds: 600,
        leeway_seconds: 30,
        replay: ReplayMode::SingleUse,
        claims: vec![],
        require: vec![],
        subject_template: None,
        allow_act: false,
        development: false,
    };
    assert_eq!(issuer(""), Ok(expected));
}

#[test]
fn fills_in_defaults_of_oidc_issuer() {
    let content = "issuer = \"https://two.example\"\nprovider = \"oidc\"\n\
        [claims]\nsub = { type = \"text\" }\ngroup = { type = \"text-set\", required = false }\n";
    let rule = "@id(\"two\") permit (principal is Oidc::MyIdp in Issuer::\"my-idp\", action, resource) \
        when { principal.sub == \"a\" && principal has group && principal.group.contains(\"b\") };";
    let bundle = load(&[("issuers/my-idp.toml", Some(content)), ("rules/two.cedar", Some(rule))])
        .unwrap_or_else(|invalid| panic!("{invalid}"));
    let two = bundle.issuer("https://two.example").expect("it is there");
    assert_eq!(two.entity_type(), "Oidc::MyIdp");
    assert_eq!((two.max_token_age_seconds, two.replay), (3600, ReplayMode::Allow));
    let claims = [Claim::optional("group", ClaimType::TextSet), Claim::required("sub", ClaimType::Text)];
    assert_eq!(two.claims, claims);
    assert_eq!(bundle.issuer("https://two.example/"), None);
}

#[test]
fn bounds_numbers_of_issuer() {
    let seconds = |lines: &str| {
        issuer(lines).map(|issuer| [issuer.leeway_seconds, issuer.keys_max_age_seconds, issuer.max_token_age_seconds])
    };
    let at = |column: usize, what: &str| Err(vec![format!("issuers/github.toml:3:{column}: {what}")]);
    assert_eq!(seconds("leeway = \"0s\""), Ok([0, 300, 600]));
    assert_eq!(seconds("leeway = \"60s\""), Ok([60, 300, 600]));
    assert_eq!(seconds("leeway = \"61s\""), at(10, "`leeway` must be 0 to 60, not 61"));
    assert_eq!(seconds("keys_max_age = \"30s\""), Ok([30, 30, 600]));
    assert_eq!(seconds("keys_max_age = \"1h\""), Ok([30, 3600, 600]));
    let keys = "`keys_max_age` must be 30 to 3600, not";
    assert_eq!(seconds("keys_max_age = \"29s\""), at(16, &format!("{keys} 29")));
    assert_eq!(seconds("keys_max_age = \"3601s\""), at(16, &format!("{keys} 3601")));
    assert_eq!(seconds("max_token_age = \"1s\""), Ok([30, 300, 1]));
    assert_eq!(seconds("max_token_age = \"24h\""), Ok([30, 300, 86_400]));
    let age = "`max_token_age` must be 1 to 86400, not";
    assert_eq!(seconds("max_token_age = \"0s\""), at(17, &format!("{age} 0")));
    assert_eq!(seconds("max_token_age = \"86401s\""), at(17, &format!("{age} 86401")));
    let vague = "`leeway` must be a duration such as `30s`, `10m` or `1h`, not `soon`";
    assert_eq!(seconds("leeway = \"soon\""), at(10, vague));
}

#[test]
fn refuses_invalid_issuer_files() {
    let wrong = |lines: &str, expected: &str| {
        assert_eq!(issuer(lines), Err(vec![format!("issuers/github.toml:3:{expected}")]), "{lines}");
    };
    wrong("audiences = []", "13: `audiences` is empty");
    wrong("audiences = [\"\"]", "14: `audiences` is empty");
    wrong("audiences = [\"a\", \"a\"]", "19: `a` is listed twice");
    wrong("algorithms = []", "14: `algorithms` is empty");
    wrong("algorithms = [\"HS256\"]", "15: `HS256` is not one of `RS256`, `ES256`, `ES384`, `EdDSA`");
    wrong("algorithms = [\"none\"]", "15: `none` is not one of `RS256`, `ES256`, `ES384`, `EdDSA`");
    wrong("subject = \"a{b\"", "11: `subject` must be a template of text and `{claim}` placeholders");
    wrong("subject = \"ab\"", "11: `subject` must be a template of text and `{claim}` placeholders");
    let keys = "`keys` must have exactly one of `discovery = true`, `jwks_uri`, or `pinned` with `expires`; `bearer_file` requires one of the first two";
    wrong("keys = {}", &format!("8: {keys}"));
    wrong("keys = { discovery = false }", &format!("8: {keys}"));
    wrong("keys = { discovery = true, jwks_uri = \"https://idp.example/k\" }", &format!("8: {keys}"));
    wrong("keys = { pinned = \"keys.json\" }", &format!("8: {keys}"));
    wrong("keys = { bearer_file = \"token\" }", &format!("8: {keys}"));
    wrong(
        "keys = { jwks_uri = \"http://idp.example/k\" }",
        "21: `jwks_uri` must be https; http is allowed only for loopback in files marked `development = true`",
    );
    wrong("claims = { email = { type = \"text\" } }", "10: `claims` requires provider `oidc`, not `github`");
}

#[test]
fn refuses_untrustworthy_issuers() {
    let path = "issuers/other.toml";
    let of = |url: &str, provider: &str| format!("issuer = \"{url}\"\nprovider = \"{provider}\"\n");
    let other = |url: &str| of(url, "github");
    let ours = "is the broker's own issuer URL and cannot be a trusted issuer";
    check(
        path,
        &other("https://broker.example"),
        &[&format!("issuers/other.toml:1:10: `https://broker.example` {ours}")],
    );
    check(
        path,
        &other("https://broker.example/"),
        &[&format!("issuers/other.toml:1:10: `https://broker.example/` {ours}")],
    );
    check(
        path,
        &other("http://127.0.0.1:7000"),
        &[
            "issuers/other.toml:1:10: `issuer` must be https; http is allowed only for loopback in files marked `development = true`",
        ],
    );
    check(path, &format!("{}development = true\n", other("http://127.0.0.1:7000")), &[]);
    check(
        path,
        &other("https://idp.example"),
        &["issuers/other.toml:1:10: issuer `https://idp.example` is already defined in \
           `issuers/github.toml`"],
    );
    check(
        path,
        &of("https://two.example", "jenkins"),
        &[
            "issuers/other.toml:2:12: unknown provider `jenkins`; known providers: `aws`, `azure`, `buildkite`, `circleci`, `github`, `gitlab`, `google`, `kubernetes`, `oidc`, `spiffe`, `terraform`",
        ],
    );
    check(
        "issuers/Other.toml",
        &other("https://two.example"),
        &["issuers/Other.toml: the file name must be 1 to 128 characters of `a-z`, `0-9` and `-`"],
    );
}

#[test]
fn trusts_development_issuer_only_in_development() {
    let dev = format!("{}development = true\n", GITHUB.replace("idp.", "dev."));
    let files = files(&[("issuers/dev.toml", Some(&dev))]);
    for development in [false, true] {
        let environment = Environment { development, ..environment() };
        let bundle = Bundle::load(&files, &environment).expect("the bundle loads");
        assert_eq!(bundle.issuer("https://dev.example").is_some(), development);
        assert_eq!(bundle.issuers().count(), if development { 2 } else { 1 });
    }
}

#[test]
fn reads_pinned_keys() {
    let keys = "{\"keys\":[{\"kty\":\"EC\"}]}";
    let pinned = |expires: &str, extra: &[(&str, Option<&str>)]| {
        let content = format!("{GITHUB}keys = {{ pinned = \"keys.json\", expires = \"{expires}\" }}\n");
        let mut changes = vec![("issuers/github.toml", Some(content.as_str()))];
        changes.extend(extra);
        match load(&changes) {
            Ok(bundle) => Ok(bundle.issuer("https://idp.example").expect("there").keys.clone()),
            Err(invalid) => Err(invalid.to_string()),
        }
    };
    let file = |content| [("issuers/keys.json", Some(content))];
    let expected = PinnedKeys { document: keys.to_owned(), expires: NOW };
    assert_eq!(pinned("2027-01-01", &file(keys)), Ok(KeySource::Pinned(expected.clone())));
    assert_eq!(pinned("2027-01-01T00:00:00Z", &file(keys)), Ok(KeySource::Pinned(expected)));
    let err = |text: &str| Err(text.to_owned());
    assert_eq!(pinned("2027-01-01", &[]), err("issuers/keys.json: the file is missing"));
    let not_jwks = "issuers/keys.json: the pinned keys are not a JSON Web Key Set";
    assert_eq!(pinned("2027-01-01", &file("{\"keys\":[]}")), err(not_jwks));
    assert_eq!(pinned("2027-01-01", &file("[]")), err(not_jwks));
    assert_eq!(
        pinned("soon", &file(keys)),
        err("issuers/github.toml:3:42: `expires` must be a date such as `2027-01-01` or `2027-01-01T00:00:00Z`")
    );
    check("issuers/keys.json", keys, &["issuers/keys.json: does not belong in a bundle"]);
}

#[test]
fn fills_in_defaults_of_audience() {
    let expected = Audience {
        id: "https://api.example".to_owned(),
        view: None,
        tier: Tier::Delegated,
        algorithm: "ES256".to_owned(),
        default_lifetime_seconds: 300,
        max_lifetime_seconds: 900,
        scopes: vec![],
        scopes_required: false,
        claims: vec![],
        replay: ReplayMode::Allow,
        outlive_subject: false,
        proof_required: false,
        allow_act: false,
        authorization_server: false,
        status_list: false,
    };
    assert_eq!(audience(""), Ok(expected));
}

#[test]
fn view_limits_algorithm_and_length_of_id() {
    let read = |lines: &str| audience(lines).map(|audience| (audience.view, audience.algorithm));
    assert_eq!(read("view = \"aws\""), Ok((Some(View::Aws), "ES256".to_owned())));
    let refused = |place: &str, text: &str| Err(vec![format!("audiences/api.toml:{place}: {text}")]);
    assert_eq!(
        read("view = \"aws\"\nalgorithm = \"EdDSA\""),
        refused("3:13", "the relying parties of view `aws` don't accept `EdDSA`: only `ES256`, `RS256`")
    );
    assert_eq!(
        read("view = \"azure\""),
        refused("1:6", "the relying parties of view `azure` don't accept `ES256`: only `RS256`")
    );
    let azure = "view = \"azure\"\nalgorithm = \"RS256\"\ntier = \"hsm\"";
    assert_eq!(read(azure), Ok((Some(View::Azure), "RS256".to_owned())));
    let unknown = read("view = \"AWS\"").unwrap_err().remove(0);
    assert!(unknown.starts_with("audiences/api.toml:2:8: unknown variant `AWS`, expected one of `aws`"), "{unknown}");
    for (length, fits) in [(255, true), (256, false)] {
        let id = format!("https://{}", "a".repeat(length - 8));
        let file = format!("id = \"{id}\"\nview = \"aws\"");
        let outcome = load(&[("audiences/aws.toml", Some(&file))]);
        assert_eq!(outcome.is_ok(), fits, "{length}");
    }
}

#[test]
fn requires_scopes_only_where_some_exist() {
    let required = |lines: &str| audience(lines).map(|audience| audience.scopes_required);
    assert_eq!(required("scopes = [\"read\"]\nscopes_required = true"), Ok(true));
    assert_eq!(required("scopes = [\"read\"]\nscopes_required = false"), Ok(false));
    assert_eq!(required("scopes_required = false"), Ok(false));
    let none = |place: &str| {
        Err(vec![format!("audiences/api.toml:{place}: `scopes_required` requires at least one entry in `scopes`")])
    };
    assert_eq!(required("scopes_required = true"), none("2:19"));
    assert_eq!(required("scopes = []\nscopes_required = true"), none("3:19"));
}

#[test]
fn requires_proof_of_possession_if_told() {
    let required = |lines: &str| audience(lines).map(|audience| audience.proof_required);
    assert_eq!(required("proof_of_possession = \"required\""), Ok(true));
    assert_eq!(required("proof_of_possession = \"optional\""), Ok(false));
    let unknown = "audiences/api.toml:2:23: unknown variant `Required`, expected `optional` or `required`".to_owned();
    assert_eq!(required("proof_of_possession = \"Required\""), Err(vec![unknown]));
}

#[test]
fn lists_statuses_if_told() {
    let listed = |lines: &str| audience(lines).map(|audience| audience.status_list);
    assert_eq!(listed("status_list = true"), Ok(true));
    assert_eq!(listed("status_list = false"), Ok(false));
    let of_view = "audiences/api.toml:3:15: the relying parties of view `aws` check no status list".to_owned();
    assert_eq!(listed("view = \"aws\"\nstatus_list = true"), Err(vec![of_view]));
    assert_eq!(listed("view = \"aws\"\nstatus_list = false"), Ok(false));
}

#[test]
fn requires_nonces_if_told() {
    let required = |line: &str| {
        let manifest = format!("name = \"test\"\nversion = \"1\"\n{line}");
        load(&[("bundle.toml", Some(&manifest))]).map(|bundle| bundle.proof_nonce_required)
    };
    assert_eq!(required("").ok(), Some(false));
    assert_eq!(required("proof_nonce_required = false").ok(), Some(false));
    assert_eq!(required("proof_nonce_required = true").ok(), Some(true));
    assert!(required("proof_nonce_required = 1").is_err());
}

#[test]
fn bounds_lifetimes_by_epoch() {
    let lifetimes = |lines: &str| {
        audience(lines).map(|audience| (audience.default_lifetime_seconds, audience.max_lifetime_seconds))
    };
    let at = |place: &str, what: &str| Err(vec![format!("audiences/api.toml:{place}: {what}")]);
    assert_eq!(lifetimes("max_lifetime = \"59m\""), Ok((300, 3540)));
    assert_eq!(
        lifetimes("max_lifetime = \"3541s\""),
        at("2:16", "`max_lifetime` of 3541 s exceeds 3540 s, the signing epoch minus 60 s")
    );
    assert_eq!(lifetimes("max_lifetime = \"1s\""), Ok((1, 1)));
    assert_eq!(
        lifetimes("max_lifetime = \"0s\"").map_err(|found| found[0].clone()),
        Err(format!("audiences/api.toml:2:16: `max_lifetime` must be 1 to {}, not 0", u64::MAX))
    );
    assert_eq!(lifetimes("default_lifetime = \"15m\""), Ok((900, 900)));
    assert_eq!(
        lifetimes("default_lifetime = \"901s\""),
        at("2:20", "`default_lifetime` of 901 s exceeds `max_lifetime` of 900 s")
    );
}

#[test]
fn refuses_invalid_audience_files() {
    let wrong = |lines: &str, expected: &str| {
        let expected = Err(vec![format!("audiences/api.toml:{expected}")]);
        assert_eq!(audience(lines), expected, "{lines}");
    };
    assert_eq!(audience("tier = \"hsm\"\nalgorithm = \"RS256\"").map(|a| a.tier), Ok(Tier::Hsm));
    assert_eq!(audience("algorithm = \"EdDSA\"").map(|a| a.algorithm), Ok("EdDSA".to_owned()));
    wrong("algorithm = \"RS256\"", "2:13: algorithm `RS256` requires tier `hsm`");
    wrong("algorithm = \"HS256\"", "2:13: `HS256` is not one of `EdDSA`, `ES256`, `RS256`");
    wrong("scopes = [\"a b\"]", "2:11: scope `a b` is not an RFC 6749 §3.3 scope token of at most 256 bytes");
    wrong("scopes = [\"\"]", "2:11: scope `` is not an RFC 6749 §3.3 scope token of at most 256 bytes");
    wrong("scopes = [\"a\", \"b\", \"a\"]", "2:21: `a` is listed twice");
    wrong("claims = [\"repo\"]", "2:11: claim `repo` is not an attribute of any trusted issuer's principal");
    for claim in ["sub", "client_id", "scope", "act", "may_act", "cnf", "iss", "exp", "SUB", "Aud", "jtI"] {
        wrong(
            &format!("claims = [\"{claim}\"]"),
            &format!("2:11: claim `{claim}` is reserved and cannot be declared here"),
        );
    }
    for claim in ["", "a b", "ſub", "iſſ", "\u{212a}id", &"n".repeat(257)] {
        wrong(
            &format!("claims = [\"{claim}\"]"),
            &format!("2:11: `{claim}` is not a claim name: 1 to 256 visible ASCII characters except `\"` and `\\`"),
        );
    }
    wrong(
        "claims = [\"repository\", \"REPOSITORY\"]",
        "2:25: claim `REPOSITORY` differs from another claim only in case",
    );
    check(
        "audiences/two.toml",
        API,
        &["audiences/two.toml:1:6: audience `https://api.example` is already defined in \
         `audiences/api.toml`"],
    );
    let many: Vec<String> = (0..=SCOPES_PER_AUDIENCE_MAX).map(|n| format!("\"s{n}\"")).collect();
    let list = |count: usize| format!("scopes = [{}]", many[..count].join(","));
    assert!(audience(&list(SCOPES_PER_AUDIENCE_MAX)).is_ok());
    wrong(&list(SCOPES_PER_AUDIENCE_MAX + 1), "2:10: `scopes` has more than 256 entries");
}

#[test]
fn refuses_unknown_files_keys_and_values() {
    let unknown = "does not belong in a bundle";
    for path in [
        "readme.md",
        "rules/README.md",
        "OWNERS",
        "rules/api.txt",
        "rules/deep/api.cedar",
        "issuers/github.json",
        "other/file.toml",
        "tests/api/maybe/a.toml",
        "tests/api/allow/deep/a.toml",
        "tests/api/allow/a.txt",
    ] {
        check(path, "", &[&format!("{path}: {unknown}")]);
    }
    check(
        "bundle.toml",
        "name = \"a\"\nversion = \"1\"\nowner = \"b\"\n",
        &["bundle.toml:3:1: unknown field `owner`, expected one of `name`, `version`, `zones`, `profiles`, \
            `proof_nonce_required`, `keys`"],
    );
    check("bundle.toml", "name = \"\"\nversion = \"1\"\n", &["bundle.toml:1:8: `name` is empty"]);
    check("bundle.toml", "name = \"a\"\n", &["bundle.toml:1:1: missing field `version`"]);
    check(
        "audiences/api.toml",
        &format!("{API}lifetime = \"5m\"\n"),
        &["audiences/api.toml:3:1: unknown field `lifetime`, expected one of `id`, `kind`, `view`, `tier`, \
         `algorithm`, `default_lifetime`, `max_lifetime`, `scopes`, `scopes_required`, `claims`, \
         `replay`, `outlive_subject`, `proof_of_possession`, `allow_act`, `status_list`"],
    );
    assert_eq!(found_all(&[("bundle.toml", None)]), ["bundle.toml: the file is missing"]);
    assert_eq!(found_all(&[("schema.cedarschema", None)]), ["schema.cedarschema: the file is missing"]);
}

#[test]
fn owners_are_of_kinds_or_of_names() {
    let text = "name = \"a\"\nversion = \"1\"\n\
        [keys.hsm-key]\nowner = \"platform\"\n\
        [keys.\"hsm-key/deploy\"]\nowner = \"release\"\ncriticality = \"critical\"\n";
    let bundle = load(&[("bundle.toml", Some(text))]).expect("loads");
    let owner = |kind, name| bundle.key_owners().of(kind, name).map(|it| (it.owner.as_str(), it.criticality));
    assert_eq!(owner("hsm-key", "deploy"), Some(("release", Some(Criticality::Critical))));
    assert_eq!(owner("hsm-key", "other"), Some(("platform", None)));
    assert_eq!(owner("root", "signer_root"), None);
}

#[test]
fn refuses_unknown_kinds_and_nameless_owners() {
    let known = KEY_KINDS.join("`, `");
    let of = |lines: &str| format!("name = \"a\"\nversion = \"1\"\n[keys]\n{lines}\n");
    for key in ["hsm", "hsm-key/", "/deploy", ""] {
        let lines = format!("\"{key}\" = {{ owner = \"b\" }}");
        let expected = format!(
            "bundle.toml:4:{}: `{key}` is not a kind of key, alone or with a name as in `hsm-key/deploy`; \
             known kinds: `{known}`",
            key.len() + 6
        );
        check("bundle.toml", &of(&lines), &[&expected]);
    }
    check("bundle.toml", &of("root = { owner = \"\" }"), &["bundle.toml:4:18: `owner` is empty"]);
    let most: String = (0..256).map(|at| format!("\"root/{at}\" = {{ owner = \"b\" }}\n")).collect();
    check("bundle.toml", &of(&most), &[]);
    let more = format!("{most}root = {{ owner = \"b\" }}");
    check("bundle.toml", &of(&more), &["bundle.toml:103:13: `keys` has more than 256 entries"]);
}

#[test]
fn files_for_people_change_only_the_digest() {
    let (plain, with) =
        (files(&[]), files(&[("README.md", Some("# Ours")), ("CODEOWNERS", Some("* @octo-org/security"))]));
    assert_eq!(found_all(&[("README.md", Some("# Ours")), ("CODEOWNERS", Some("not a rule at all"))]), [""; 0]);
    assert_ne!(plain.digest(), with.digest());
    let hidden = "the file contains U+202E, an invisible control or format character";
    assert_eq!(found_all(&[("README.md", Some("\u{202e}"))]), [format!("README.md:1:1: {hidden}")]);
}

/// The subject of an issued token starts with the issuer's name, up to the first colon.
#[test]
fn refuses_invalid_issuer_names() {
    for name in ["a:b", "a%3ab", "A", "a_b", "a.b", "a b", "\u{e4}"] {
        let path = format!("issuers/{name}.toml");
        let message = "the file name must be 1 to 128 characters of `a-z`, `0-9` and `-`";
        let expected = format!("{path}: {message}");
        assert_eq!(found(&path, "issuer = \"https://two.example\"\nprovider = \"oidc\"\n"), [expected], "{name}");
    }
}

#[test]
fn reports_all_errors_at_once() {
    let found = found_all(&[
        ("issuers/github.toml", Some(&format!("{GITHUB}leeway = \"61s\"\nalgorithms = []\n"))),
        ("audiences/api.toml", Some("id = \"\"\n")),
        ("notes.md", Some("")),
    ]);
    assert_eq!(
        found,
        [
            "notes.md: does not belong in a bundle",
            "issuers/github.toml:4:14: `algorithms` is empty",
            "issuers/github.toml:3:10: `leeway` must be 0 to 60, not 61",
            "audiences/api.toml:1:6: `id` is empty",
        ]
    );
}

#[test]
fn validates_policies_strictly() {
    let path = "rules/api.cedar";
    let misspelt = PERMIT.replace("[\"read\"].containsAll(context.scopes)", "principal.repo == \"a\"");
    check(
        path,
        &misspelt,
        &["rules/api.cedar:6:10: for policy `api`, attribute `repo` on entity type \
         `GitHub::Workflow` not found"],
    );
    let found = found(path, "@id(\"a\")\npermit (principal, action, resource when true;\n");
    assert_eq!(found, ["rules/api.cedar:2:37: unexpected token `when`"]);
    let unnamed = PERMIT.replace("@id(\"api\")\n", "// intent\n");
    check(path, &unnamed, &["rules/api.cedar:2:1: the policy has no `@id(\"…\")`"]);
    check(
        path,
        &PERMIT.replace("\"api\"", "\"Api\""),
        &["rules/api.cedar:1:1: the `@id` of a policy must be 1 to 128 characters of `a-z`, `0-9` and `-`, not `Api`"],
    );
    check("rules/two.cedar", PERMIT, &["rules/two.cedar:1:1: policy `api` is already defined in `rules/api.cedar`"]);
}

#[test]
fn requires_issuer_in_every_permit() {
    let wants = |scope: &str, effect: &str, extra: &[(&str, Option<&str>)]| {
        let rule = format!("@id(\"a\") {effect} ({scope}, action, resource);");
        let mut changes = vec![("rules/api.cedar", Some(rule.as_str()))];
        changes.extend(extra);
        match load(&changes) {
            Ok(_) => None,
            Err(invalid) => Some(invalid.diagnostics),
        }
    };
    let refused = Some(vec![Diagnostic {
        file: "rules/api.cedar".to_owned(),
        position: Some(vouchsafe_policy::Position { line: 1, column: 18 }),
        length: Some("principal".len()),
        kind: BundleError::PermitWithoutIssuer("a".to_owned()),
    }]);
    assert_eq!(wants("principal", "permit", &[]), refused);
    assert_eq!(wants("principal is GitHub::Workflow", "permit", &[]), refused);
    assert_eq!(wants("principal is GitHub::Workflow", "forbid", &[]), None);
    assert_eq!(wants("principal in Issuer::\"github\"", "permit", &[]), None);
    assert_eq!(wants("principal is GitHub::Workflow in Issuer::\"github\"", "permit", &[]), None);
    // An id alone is enough only if a single issuer can have it.
    let one = "principal == GitHub::Workflow::\"repo:a/b:ref:refs/heads/main\"";
    assert_eq!(wants(one, "permit", &[]), None);
    let ghes = GITHUB.replace("idp.example", "ghes.example");
    assert_eq!(wants(one, "permit", &[("issuers/ghes.toml", Some(&ghes))]), refused);
}

#[test]
fn refuses_schema_unfit_for_decisions() {
    let path = "schema.cedarschema";
    let of = |from: &str, to: &str| {
        let schema = SCHEMA.replace(from, to);
        assert_ne!(schema, SCHEMA);
        found(path, &schema)
    };
    let one = |what: &str| vec![format!("schema.cedarschema: {what}")];
    assert_eq!(
        of("entity Workflow in [Issuer]", "entity Workflow"),
        one("entity type `GitHub::Workflow` is not declared `in [Issuer]`")
    );
    assert_eq!(
        of("resource: [Audience]", "resource: [Issuer]"),
        one("action `issue` does not apply to resources of type `Audience`")
    );
    assert_eq!(
        of("principal: [GitHub::Workflow]", "principal: [Issuer]"),
        one("action `issue` does not apply to principals of type `GitHub::Workflow`")
    );
    for (from, to) in [
        ("proof_of_possession: Bool", "proof_of_possession: String"),
        ("scopes: Set<String>", "scopes: Set<Long>"),
        ("client_ip?: ipaddr,", ""),
        ("now: datetime", "now: datetime, more: Long"),
    ] {
        let found = of(from, to);
        let prefix = "schema.cedarschema: the context of action `issue` does not fit what a \
                      decision gives: ";
        assert!(found.len() == 1 && found[0].starts_with(prefix), "{found:?}");
    }
    assert_eq!(
        of("ref: String", "ref String"),
        ["schema.cedarschema:7:9: error parsing schema: unexpected token `String`"]
    );
}

#[test]
fn gives_each_oidc_issuer_its_type() {
    let oidc = |host: &str| format!("issuer = \"https://{host}.example\"\nprovider = \"oidc\"\n");
    let (one, two) = (oidc("one"), oidc("two"));
    assert_eq!(
        found_all(&[("issuers/a-b.toml", Some(&one)), ("issuers/a--b.toml", Some(&two))]),
        ["issuers/a-b.toml: issuers `a--b` and `a-b` would both have entity type `Oidc::AB`"]
    );
    for name in ["issuer", "string", "set", "-"] {
        let path = format!("issuers/{name}.toml");
        check(&path, &one, &[&format!("{path}: the file name cannot be converted to an entity type; rename the file")]);
    }
}

#[test]
fn checks_names_of_declared_claims() {
    let declared = |names: &[&str], expected: &[&str]| {
        let entries = names.iter().map(|name| format!("'{name}' = {{ type = \"text\" }}"));
        let content = format!(
            "issuer = \"https://one.example\"\nprovider = \"oidc\"\nclaims = {{ {} }}\n",
            entries.collect::<Vec<_>>().join(", ")
        );
        let expected: Vec<String> = expected.iter().map(|what| format!("issuers/one.toml:3:{what}")).collect();
        assert_eq!(found("issuers/one.toml", &content), expected, "{names:?}");
    };
    declared(&["sub", "https://claims.example/exp", &"n".repeat(256)], &[]);
    for name in ["iss", "Aud", "EXP", "nbf", "iAt", "JTI", "__entity"] {
        let reserved = format!("12: claim `{name}` is reserved and cannot be declared here");
        declared(&[name], &[&reserved]);
    }
    for name in ["", "a b", "ſub", "to\u{212a}en", "a\"", &"n".repeat(257)] {
        let malformed =
            format!("12: `{name}` is not a claim name: 1 to 256 visible ASCII characters except `\"` and `\\`");
        declared(&[name], &[&malformed]);
    }
    declared(&["Sub", "sub"], &["39: claim `sub` differs from another claim only in case"]);
}

#[test]
fn digest_depends_on_paths_and_contents() {
    let whole = files(&[]).digest();
    assert_eq!(whole.len(), 64);
    assert_eq!(files(&[]).digest(), whole);
    let moved = files(&[("rules/api.cedar", None), ("rules/apis.cedar", Some(PERMIT))]);
    assert_ne!(moved.digest(), whole);
    assert_ne!(files(&[("rules/api.cedar", Some(&format!("{PERMIT} ")))]).digest(), whole);
    assert_ne!(files(&[("tests/github.toml", Some(""))]).digest(), whole);
    // Without lengths these two would be the same bytes.
    let of = |path: &str, content: &str| {
        let mut files = BundleFiles::default();
        files.add(path, content.into()).expect("it is within the limits");
        files.digest()
    };
    assert_ne!(of("ab", "c"), of("a", "bc"));
    // Recomputed by hand: SHA-256 of 0…01 `a` 0…02 `bc`.
    assert_eq!(of("a", "bc"), "3fafa1cf2f19a7c1129beb20cf0983f73a489a221fc0dd2f16d1be292d089205");
}

#[test]
fn bounds_files_on_both_sides() {
    let mut files = BundleFiles::default();
    let mut add = |path: &str, bytes: usize| files.add(path, vec![b' '; bytes]).map_err(|f| f.kind);
    assert_eq!(add("large", FILE_BYTES_MAX), Ok(()));
    assert_eq!(add("larger", FILE_BYTES_MAX + 1), Err(BundleError::FileTooLarge { bytes_max: FILE_BYTES_MAX }));
    for index in 1..BUNDLE_BYTES_MAX / FILE_BYTES_MAX {
        assert_eq!(add(&format!("large-{index}"), FILE_BYTES_MAX), Ok(()));
    }
    assert_eq!(add("empty", 0), Ok(()));
    assert_eq!(add("drop", 1), Err(BundleError::BundleTooLarge { bytes_max: BUNDLE_BYTES_MAX }));
    let mut files = BundleFiles::default();
    for index in 0..FILES_MAX {
        files.add(&index.to_string(), Vec::new()).expect("it is within the limits");
    }
    let more = files.add("more", Vec::new()).map_err(|diagnostic| diagnostic.kind);
    assert_eq!(more, Err(BundleError::FilesTooMany { files_max: FILES_MAX }));
}

#[test]
fn refuses_invalid_paths() {
    let add = |path: &str| BundleFiles::default().add(path, Vec::new()).map_err(|f| f.kind);
    let invalid = || Err(BundleError::PathInvalid { bytes_max: PATH_BYTES_MAX });
    assert_eq!(add(&"a".repeat(PATH_BYTES_MAX)), Ok(()));
    assert_eq!(add(&"a".repeat(PATH_BYTES_MAX + 1)), invalid());
    for path in ["", "/a", "a/", "a//b", "a\\b", "a\nb", "a\0"] {
        assert_eq!(add(path), invalid(), "{path:?}");
    }
    for path in [".git", "rules/.api.cedar", "..", "a/../b", ".hidden/a"] {
        assert_eq!(add(path), Err(BundleError::HiddenFile), "{path:?}");
    }
}

#[test]
fn restricts_subject_template_to_text_claims() {
    let with = |subject: &str| {
        let issuer = format!("{GITHUB}subject = \"{subject}\"\n");
        load(&[("issuers/github.toml", Some(&issuer))]).map(|_| ()).map_err(|invalid| invalid.to_string())
    };
    for subject in ["{repository_id}", "{sub}", "a:{ref}:{repository_id}"] {
        assert_eq!(with(subject), Ok(()), "{subject}");
    }
    for (subject, claim, column) in [
        ("{repositry_id}", "repositry_id", 12),
        ("{ref}:{run}", "run", 18),
        ("{teams}", "teams", 12),
        ("{iss}", "iss", 12),
    ] {
        let expected = format!(
            "issuers/github.toml:3:{column}: `{{{claim}}}` in `subject` is not a text claim; \
             GitHub::Workflow has `sub`, `ref`, `repository_id`"
        );
        assert_eq!(with(subject), Err(expected), "{subject}");
    }
}

/// The maximum number of files or policies loads, and one more is an error.
#[test]
fn bounds_counts_of_files_and_policies() {
    let issuer = |index| {
        let text = format!("issuer = \"https://idp-{index}.example\"\nprovider = \"github\"\n");
        (format!("issuers/a{index}.toml"), text)
    };
    let audience = |index| {
        let text = format!("id = \"https://api-{index}.example\"\n");
        (format!("audiences/a{index}.toml"), text)
    };
    // The bundle of `load` already has one of each.
    for (count, loads) in [(ISSUERS_MAX - 1, true), (ISSUERS_MAX, false)] {
        assert_eq!(loads_with("issuers", &issuer, count, ISSUERS_MAX), loads);
    }
    for (count, loads) in [(AUDIENCES_MAX - 1, true), (AUDIENCES_MAX, false)] {
        assert_eq!(loads_with("audiences", &audience, count, AUDIENCES_MAX), loads);
    }
    let rule = |count: usize| {
        let rules = (0..count).map(|index| PERMIT.replace("@id(\"api\")", &format!("@id(\"r{index}\")")));
        // Files are bounded too: a thousand policies per file.
        let rules: Vec<String> = rules.collect();
        let files: Vec<(String, String)> = rules
            .chunks(1000)
            .enumerate()
            .map(|(index, rules)| (format!("rules/a{index}.cedar"), rules.concat()))
            .collect();
        outcome("rules", &files, RULES_MAX)
    };
    assert!(rule(RULES_MAX - 1));
    assert!(!rule(RULES_MAX));
}

fn loads_with(folder: &str, file: &dyn Fn(usize) -> (String, String), count: usize, max: usize) -> bool {
    outcome(folder, &(0..count).map(file).collect::<Vec<_>>(), max)
}

/// Whether a bundle with these files loads. If not, its only error is one file or policy too many.
fn outcome(folder: &str, files: &[(String, String)], max: usize) -> bool {
    let changes: Vec<(&str, Option<&str>)> =
        files.iter().map(|(path, content)| (path.as_str(), Some(content.as_str()))).collect();
    match load(&changes) {
        Ok(_) => true,
        Err(invalid) => {
            assert_eq!(invalid.to_string(), format!("{folder}: `{folder}` has more than {max} entries"));
            false
        }
    }
}

#[test]
fn fills_in_defaults_of_gitlab_issuer() {
    let schema = SCHEMA
        .replace("action issue", "namespace GitLab { entity Job in [Issuer] = { project_id: String }; }\naction issue")
        .replace("[GitHub::Workflow]", "[GitHub::Workflow, GitLab::Job]");
    let content = "issuer = \"https://gitlab.example\"\nprovider = \"gitlab\"\n";
    let changes = [("issuers/gitlab.toml", Some(content))];
    assert!(load(&changes).is_err(), "the schema has to have the type of every issuer's principals");
    let bundle =
        load(&[changes[0], ("schema.cedarschema", Some(&schema))]).unwrap_or_else(|invalid| panic!("{invalid}"));
    let gitlab = bundle.issuer("https://gitlab.example").expect("it is there");
    assert_eq!(gitlab.entity_type(), "GitLab::Job");
    assert_eq!(
        (gitlab.provider, gitlab.max_token_age_seconds, gitlab.replay),
        (&vouchsafe_providers::gitlab::PROVIDER, 3600, ReplayMode::Allow)
    );
}

/// An issuer file of a provider, with more lines.
fn issuer_of(issuer: &str, provider: &str, lines: &str) -> Result<Issuer, Vec<String>> {
    let provider_type = vouchsafe_providers::Provider::named(provider).expect("known").entity_type("other");
    let (namespace, name) = provider_type.split_once("::").expect("two names");
    let claims: Vec<String> = vouchsafe_providers::Provider::named(provider)
        .expect("known")
        .claims
        .iter()
        .map(|claim| format!("{}?: {}", claim.name, claim.claim_type.cedar_type()))
        .collect();
    let schema = SCHEMA
        .replace(
            "action issue",
            &format!(
                "namespace {namespace} {{ entity {name} in [Issuer] = {{ {} }}; }}\naction issue",
                claims.join(", ")
            ),
        )
        .replace("[GitHub::Workflow]", &format!("[GitHub::Workflow, {provider_type}]"));
    let content = format!("issuer = \"{issuer}\"\nprovider = \"{provider}\"\n{lines}");
    let changes = [("issuers/other.toml", Some(content.as_str())), ("schema.cedarschema", Some(schema.as_str()))];
    match load(&changes) {
        Ok(bundle) => Ok(bundle.issuer(issuer).expect("it is there").clone()),
        Err(invalid) => Err(invalid.diagnostics.iter().map(ToString::to_string).collect()),
    }
}

fn one_error(outcome: Result<Issuer, Vec<String>>) -> String {
    outcome.expect_err("it does not load").join("\n")
}

#[test]
fn requires_tenant_of_shared_issuer() {
    for (issuer, provider, names, good) in [
        (
            "https://agent.buildkite.com",
            "buildkite",
            "organization_id`, `organization_slug",
            "organization_slug = \"acme\"",
        ),
        ("https://oidc.circleci.com", "circleci", "org_id", "org_id = \"o\""),
        ("https://accounts.google.com", "google", "email`, `project_id`, `sub", "sub = [\"1\", \"2\"]"),
        (
            "https://app.terraform.io",
            "terraform",
            "terraform_organization_id`, `terraform_organization_name",
            "terraform_organization_id = \"org-1\"",
        ),
    ] {
        assert_eq!(
            one_error(issuer_of(issuer, provider, "")),
            format!(
                "issuers/other.toml:1:10: issuers of provider `{provider}` sign for all tenants: restrict tokens to yours with `require = {{ … }}` and one of `{names}`"
            )
        );
        let narrowed = issuer_of(issuer, provider, &format!("require = {{ {good} }}"));
        assert_eq!(narrowed.expect("it loads").require.len(), 1);
    }
    assert!(issuer_of("https://oidc.circleci.com/org/o", "circleci", "").is_ok());
}

#[test]
fn checks_required_claims() {
    let of = |value: &str| issuer(&format!("require = {value}"));
    let within = |column: usize, what: &str| Err(vec![format!("issuers/github.toml:3:{column}: {what}")]);
    let at = |what: &str| within(11, what);
    assert_eq!(
        of("{ repository_id = \"1\" }").expect("it loads").require,
        [vouchsafe_policy::RequiredClaim { name: "repository_id".to_owned(), values: vec!["1".to_owned()] }]
    );
    assert_eq!(of("{}"), at("`require` is empty"));
    assert_eq!(of("{ repository_id = [] }"), at("`require` is empty"));
    assert_eq!(of("{ repository_id = \"\" }"), within(29, "`require` is empty"));
    let unknown = of("{ repositry_id = \"1\" }").expect_err("it is misspelt").join("");
    assert!(unknown.contains("`repositry_id` in `require` is not a text claim; GitHub::Workflow has"), "{unknown}");
    assert!(of("{ repository_id = 1 }").is_err());
    let values = |count: usize| {
        let values: Vec<String> = (0..count).map(|one| format!("\"{one}\"")).collect();
        of(&format!("{{ repository_id = [{}] }}", values.join(", ")))
    };
    assert!(values(64).is_ok());
    assert_eq!(values(65), at("`require` has more than 64 entries"));
}

#[test]
fn reads_replay_modes() {
    let of = |value: &str| issuer(&format!("replay = {value}")).map(|issuer| issuer.replay);
    assert_eq!(of("\"allow\""), Ok(ReplayMode::Allow));
    assert_eq!(of("\"single-use\""), Ok(ReplayMode::SingleUse));
    assert_eq!(of("\"bounded(5)\""), Ok(ReplayMode::Bounded(5)));
    assert_eq!(
        of("\"bounded(1)\""),
        Err(vec![
            "issuers/github.toml:3:10: `replay` must be `allow`, `single-use` or `bounded(n)` with 2 to 1000 uses, not `bounded(1)`"
                .to_owned()
        ])
    );
    let audience = "id = \"https://api.example\"\nscopes = [\"read\"]\nreplay = \"bounded(3)\"\n";
    let bundle = load(&[("audiences/api.toml", Some(audience))]).unwrap_or_else(|invalid| panic!("{invalid}"));
    let replay = bundle.audience("https://api.example").map(|audience| audience.replay);
    assert_eq!(replay, Some(ReplayMode::Bounded(3)));
}

#[test]
fn reads_stale_keys_max() {
    let of = |lines: &str| issuer(lines).map(|issuer| issuer.stale_keys_max_seconds);
    assert_eq!(of(""), Ok(0));
    assert_eq!(of("stale_keys_max = \"10m\""), Ok(600));
    assert_eq!(of("stale_keys_max = \"24h\""), Ok(86_400));
    assert_eq!(
        of("stale_keys_max = \"25h\""),
        Err(vec!["issuers/github.toml:3:18: `stale_keys_max` must be 0 to 86400, not 90000".to_owned()])
    );
}

#[test]
fn requires_bundle_of_spiffe_trust_domain() {
    let keys = "keys = { jwks_uri = \"https://bundle.example\" }";
    let good = issuer_of("spiffe://example.org", "spiffe", keys).expect("it loads");
    assert_eq!(good.algorithms, ["ES256", "ES384", "RS256"]);
    assert_eq!(good.replay, ReplayMode::Allow);
    let no_keys = "a trust domain has no discovery document: set `keys = { jwks_uri = \"…\" }` to its bundle endpoint, or pin its bundle with `pinned`";
    assert_eq!(
        one_error(issuer_of("spiffe://example.org", "spiffe", "")),
        format!("issuers/other.toml:1:1: {no_keys}")
    );
    assert_eq!(
        one_error(issuer_of("spiffe://example.org", "spiffe", "keys = { discovery = true }")),
        format!("issuers/other.toml:3:8: {no_keys}")
    );
    for url in ["https://example.org", "spiffe://", "spiffe://example.org/", "spiffe://Example.org"] {
        assert_eq!(
            one_error(issuer_of(url, "spiffe", keys)),
            "issuers/other.toml:1:10: `issuer` must be a trust domain such as `spiffe://example.org`"
        );
    }
    assert_eq!(
        one_error(issuer_of("spiffe://example.org", "spiffe", &format!("{keys}\nalgorithms = [\"EdDSA\"]"))),
        "issuers/other.toml:4:15: `EdDSA` is not one of `ES256`, `ES384`, `RS256`"
    );
}

#[test]
fn refuses_common_azure_issuer() {
    let of = |tenant: &str| issuer_of(&format!("https://login.microsoftonline.com/{tenant}/v2.0"), "azure", "");
    assert!(of("0e3e2e88-8caf-41ca-b4da-e3b33b6c52ec").is_ok());
    let personal_accounts = "9188040d-6c67-4c5b-b112-36a304b66dad";
    for shared in ["common", personal_accounts, "organizations", "consumers"] {
        assert_eq!(
            one_error(of(shared)),
            format!(
                "issuers/other.toml:1:10: `/{shared}/` is part of the URL that all tenants share; use the tenant's own issuer URL"
            )
        );
    }
}

#[test]
fn allows_act_only_for_oidc_issuers() {
    let idp = "issuer = \"https://two.example\"\nprovider = \"oidc\"\nallow_act = true\n";
    let bundle = load(&[("issuers/idp.toml", Some(idp))]).unwrap_or_else(|invalid| panic!("{invalid}"));
    assert!(bundle.issuer("https://two.example").expect("it is there").allow_act);
    assert_eq!(issuer_with("allow_act = false"), Ok(false));
    assert_eq!(
        issuer_with("allow_act = true"),
        Err(vec!["issuers/github.toml:3:13: `allow_act` requires provider `oidc`, not `github`".to_owned()])
    );
}

#[test]
fn audience_allows_actors_explicitly() {
    let allowed = |lines: &str| audience(lines).map(|audience| audience.allow_act);
    assert_eq!(allowed(""), Ok(false));
    assert_eq!(allowed("allow_act = false"), Ok(false));
    assert_eq!(allowed("allow_act = true"), Ok(true));
}

/// A grant for another authorization server is used at once.
#[test]
fn bounds_lifetime_of_grants() {
    let grant = |lines: &str| {
        let audience = audience(&format!("kind = \"authorization-server\"\n{lines}"));
        audience.map(|it| (it.authorization_server, it.default_lifetime_seconds, it.max_lifetime_seconds))
    };
    assert_eq!(grant(""), Ok((true, GRANT_SECONDS_MAX, GRANT_SECONDS_MAX)));
    assert_eq!(grant("max_lifetime = \"60s\""), Ok((true, 60, 60)));
    assert_eq!(grant("default_lifetime = \"5s\""), Ok((true, 5, 60)));
    let too_long = "audiences/api.toml:3:16: `max_lifetime` must be 1 to 60, not 61";
    assert_eq!(grant("max_lifetime = \"61s\""), Err(vec![too_long.to_owned()]));
    let api = audience("kind = \"resource-server\"").map(|it| (it.authorization_server, it.max_lifetime_seconds));
    assert_eq!(api, Ok((false, 900)));
}

fn issuer_with(lines: &str) -> Result<bool, Vec<String>> {
    issuer(lines).map(|issuer| issuer.allow_act)
}
