use super::*;
use crate::template::Template;
use std::collections::BTreeMap;

const APPLICATION: &str = include_str!("../../../spin.toml");

const SMALL: &str = r#"
spin_manifest_version = 2
[application]
name = "small"
[variables]
issuer = { required = true }
mode = { default = "plain" }
[[trigger.http]]
route = "/..."
component = "root"
[component.root]
source = "root.wasm"
allowed_outbound_hosts = ["https://{{ mode }}.example"]
[component.root.variables]
where = "{{ issuer }}/{{mode}}"
[component.root.dependencies]
"a:b@0.1.0" = { component = "part", inherit_configuration = ["variables"] }
[component.part]
source = "part.wasm"
"#;

fn refused(from: &str, to: &str) -> ManifestError {
    let text = SMALL.replacen(from, to, 1);
    assert_ne!(text, SMALL, "`{from}` is not in the manifest");
    Manifest::parse(&text).map(|_| ()).expect_err(to)
}

fn toml_message(from: &str, to: &str) -> String {
    match refused(from, to) {
        ManifestError::Toml { message, .. } => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn parses_the_applications_manifest() {
    let manifest = Manifest::parse(APPLICATION).expect("parses");
    assert_eq!(manifest.root_id(), "broker");
    let inherited: Vec<_> = manifest
        .root()
        .expect("a root")
        .dependencies
        .iter()
        .map(|d| (d.component.as_str(), d.inherit.iter().map(|c| c.name()).collect::<Vec<_>>()))
        .collect();
    assert_eq!(
        inherited,
        [
            ("identity", vec!["allowed_outbound_hosts"]),
            ("policy", vec!["files"]),
            ("signer-local", vec!["variables"]),
            ("store-sqlite", vec!["sqlite_databases"]),
        ]
    );
    assert!(manifest.allowed_outbound_hosts().contains(&"https://token.actions.githubusercontent.com".to_owned()));
}

/// Paths of all keys of Spin 4.1's manifest that this application may use. `*` stands for a name.
const SPIN_KEYS: &[&str] = &[
    "spin_manifest_version",
    "application.name",
    "application.version",
    "application.description",
    "application.authors",
    "variables.*.default",
    "variables.*.required",
    "variables.*.secret",
    "trigger.http.route",
    "trigger.http.component",
    "component.*.source",
    "component.*.description",
    "component.*.variables.*",
    "component.*.environment.*",
    "component.*.files.source",
    "component.*.files.destination",
    "component.*.allowed_outbound_hosts",
    "component.*.sqlite_databases",
    "component.*.build.command",
    "component.*.build.workdir",
    "component.*.build.watch",
    // Spin ignores what is in a tool's table.
    "component.*.tool.*.*",
    "component.*.tool.*.*.source",
    "component.*.tool.*.*.command",
    "component.*.dependencies.*.component",
    "component.*.dependencies.*.inherit_configuration",
];

fn fits(path: &[String], key: &str) -> bool {
    let segments: Vec<&str> = key.split('.').collect();
    segments.len() == path.len() && segments.iter().zip(path).all(|(want, have)| *want == "*" || want == have)
}

fn leaves(value: &toml::Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                path.push(key.clone());
                leaves(value, path, found);
                path.pop();
            }
        }
        toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
            items.iter().for_each(|item| leaves(item, path, found));
        }
        _ => found.push(path.clone()),
    }
}

#[test]
fn application_uses_only_keys_of_spin() {
    let value: toml::Value = toml::from_str(APPLICATION).expect("TOML");
    let mut found = Vec::new();
    leaves(&value, &mut Vec::new(), &mut found);
    assert!(found.len() > 30, "only {} keys seen", found.len());
    for path in found {
        assert!(SPIN_KEYS.iter().any(|key| fits(&path, key)), "{path:?} is not a key of Spin 4.1");
    }
}

#[test]
fn names_the_unknown_key() {
    for (from, to, name) in [
        ("[application]", "[tool]\n[application]", "tool"),
        ("name = \"small\"", "name = \"small\"\ntrigger = 1", "trigger"),
        ("source = \"root.wasm\"", "source = \"root.wasm\"\nkey_value_stores = []", "key_value_stores"),
        ("route = \"/...\"", "route = \"/...\"\nexecutor = { type = \"wagi\" }", "executor"),
        ("[component.part]", "[component.part]\ntargets = []", "targets"),
    ] {
        let message = toml_message(from, to);
        assert!(message.contains(&format!("unknown field `{name}`")), "{message}");
    }
}

#[test]
fn locates_toml_errors() {
    let error = refused("name = \"small\"", "name = \"small\"\nnmae = \"x\"");
    assert_eq!(error.position(), Some((5, 1)));
}

#[test]
fn refuses_misspelled_category() {
    let error = refused("[\"variables\"]", "[\"variabels\"]");
    assert_eq!(error, ManifestError::Capability { dependency: "a:b@0.1.0".into(), name: "variabels".into() });
}

#[test]
fn refuses_invalid_parts() {
    let configuration = |key| ManifestError::DependencyConfiguration { id: "part".into(), key };
    for (from, to, expected) in [
        ("version = 2", "version = 1", ManifestError::Version { version: 1 }),
        ("\"/...\"", "\"/token\"", ManifestError::Route { route: "/token".into() }),
        ("component = \"root\"", "component = \"gone\"", ManifestError::UnknownComponent { id: "gone".into() }),
        ("component = \"part\"", "component = \"gone\"", ManifestError::UnknownComponent { id: "gone".into() }),
        ("[component.part]", "[component.Part]", ManifestError::Id { value: "Part".into(), joined_by: '-' }),
        ("issuer = {", "iss-uer = {", ManifestError::Id { value: "iss-uer".into(), joined_by: '_' }),
        ("{ required = true }", "{ }", ManifestError::VariableDefault { name: "issuer".into() }),
        ("{{ issuer }}", "{{ gone }}", ManifestError::UnknownVariable { name: "gone".into() }),
        ("\"part.wasm\"", "\"part.wasm\"\nsqlite_databases = [\"default\"]", configuration("sqlite_databases")),
        ("\"part.wasm\"", "\"part.wasm\"\nenvironment = { A = \"b\" }", configuration("environment")),
    ] {
        assert_eq!(refused(from, to), expected);
    }
}

#[test]
fn refuses_second_trigger() {
    let second = "[[trigger.http]]\nroute = \"/...\"\ncomponent = \"root\"\n[component.root]";
    assert_eq!(refused("[component.root]", second), ManifestError::TriggerCount { triggers: 2 });
}

#[test]
fn values_take_precedence_over_defaults() {
    let manifest = Manifest::parse(SMALL).expect("parses");
    let provided = BTreeMap::from([("issuer".to_owned(), "https://i.example".to_owned())]);
    let resolved = manifest.resolve(&provided).expect("resolves");
    assert_eq!(resolved.variables["where"], "https://i.example/plain");
    assert!(resolved.allowed_outbound_hosts[0].allows("https", "plain.example", 443));
}

#[test]
fn reports_every_missing_and_unknown_value() {
    let manifest = Manifest::parse(SMALL).expect("parses");
    let missing = ManifestError::VariableMissing { name: "issuer".into() };
    let unknown = |name: &str| ManifestError::UnknownVariable { name: name.into() };
    for (provided, expected) in [
        (&[][..], vec![missing.clone()]),
        (&["a", "isuer"], vec![unknown("a"), unknown("isuer"), missing]),
        (&["a", "issuer"], vec![unknown("a")]),
    ] {
        let provided = provided.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
        assert_eq!(manifest.resolve(&provided).map(|_| ()).expect_err("refused"), expected);
    }
}

#[test]
fn debug_output_shows_no_values() {
    let manifest = Manifest::parse(SMALL).expect("parses");
    let provided = BTreeMap::from([("issuer".to_owned(), "very-secret".to_owned())]);
    let shown = format!("{:?}", manifest.resolve(&provided).expect("resolves"));
    assert!(!shown.contains("very-secret"), "{shown}");
}

#[test]
fn matches_scheme_host_and_port() {
    for (pattern, scheme, host, port, expected) in [
        ("https://a.example", "https", "a.example", 443, true),
        ("https://a.example", "https", "A.Example", 443, true),
        ("https://a.example", "http", "a.example", 443, false),
        ("https://a.example", "https", "a.example", 444, false),
        ("https://a.example", "https", "b.a.example", 443, false),
        ("https://a.example", "https", "a.example.evil", 443, false),
        ("https://*.a.example", "https", "b.a.example", 443, true),
        ("https://*.a.example", "https", "a.example", 443, false),
        ("https://*.a.example", "https", "ba.example", 443, false),
        ("http://127.0.0.1:7000", "http", "127.0.0.1", 7000, true),
        ("http://127.0.0.1:7000", "http", "127.0.0.1", 80, false),
        ("http://[::1]:7000", "http", "[::1]", 7000, true),
        ("http://[::1]", "http", "[::1]", 80, true),
        ("http://a.example:8000..8002", "http", "a.example", 8001, true),
        ("http://a.example:8000..8002", "http", "a.example", 8002, false),
        ("*://*:*", "http", "anything", 1, true),
    ] {
        let pattern_ = HostPattern::parse(pattern).expect(pattern);
        assert_eq!(pattern_.allows(scheme, host, port), expected, "{pattern} {scheme}://{host}:{port}");
    }
}

#[test]
fn refuses_patterns_that_are_not_origins() {
    for (pattern, reason) in [
        ("a.example", HostPatternError::SchemeMissing),
        ("://a.example", HostPatternError::SchemeMissing),
        ("https://a.example/path", HostPatternError::NotAnOrigin),
        ("https://u@a.example", HostPatternError::NotAnOrigin),
        ("https://a.example?x", HostPatternError::NotAnOrigin),
        ("https://10.0.0.0/8", HostPatternError::HostKind),
        ("https://self", HostPatternError::HostKind),
        ("https://", HostPatternError::HostName),
        ("https://*a.example", HostPatternError::HostName),
        ("https://*.", HostPatternError::HostName),
        ("https://a b", HostPatternError::HostName),
        ("https://a.example:x", HostPatternError::Port),
        ("https://a.example:65536", HostPatternError::Port),
        ("https://a.example:9..9", HostPatternError::Port),
        ("redis://a.example", HostPatternError::PortMissing),
    ] {
        let expected = ManifestError::HostPattern { pattern: pattern.into(), reason };
        assert_eq!(HostPattern::parse(pattern), Err(expected));
    }
}

#[test]
fn refuses_broken_templates() {
    for text in ["{{ a", "a }}", "{{ }}", "{{ a b }}", "{{ a-b }}"] {
        assert!(matches!(Template::parse(text), Err(ManifestError::Template { .. })), "{text}");
    }
}
