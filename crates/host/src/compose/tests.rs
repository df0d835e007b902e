use super::*;

#[test]
fn a_dependency_covers_its_interfaces_at_its_version() {
    for (name, import, expected) in [
        ("a:b@0.1.0", "a:b/c@0.1.0", true),
        ("a:b@0.1.0", "a:b/d@0.1.0", true),
        ("a:b/c@0.1.0", "a:b/c@0.1.0", true),
        ("a:b/c@0.1.0", "a:b/d@0.1.0", false),
        ("a:b@0.1.0", "a:b/c@0.1.1", false),
        ("a:b", "a:b/c@0.1.0", false),
        ("a:b", "a:bc/d", false),
        ("a:b", "a:b/c", true),
        ("plain", "plain", true),
        ("plain", "plain/x", false),
    ] {
        assert_eq!(covers(name, import), expected, "{name} {import}");
    }
}

#[test]
fn every_capability_import_is_known_as_one() {
    for (import, expected) in [
        (
            "spin:variables/variables@3.0.0",
            Need::Granted(Capability::Variables),
        ),
        (
            "spin:sqlite/sqlite@3.1.0",
            Need::Granted(Capability::SqliteDatabases),
        ),
        (
            "wasi:http/client@0.3.0",
            Need::Granted(Capability::AllowedOutboundHosts),
        ),
        (
            "wasi:filesystem/preopens@0.2.9",
            Need::Emptiable(Capability::Files),
        ),
        (
            "wasi:cli/environment@0.2.9",
            Need::Emptiable(Capability::Environment),
        ),
        ("wasi:clocks/monotonic-clock@0.3.0", Need::Ambient),
        ("wasi:http/types@0.3.0", Need::Ambient),
        ("wasi:http/outgoing-handler@0.2.0", Need::Unknown),
        ("wasi:sockets/types@0.3.0", Need::Unknown),
        ("wasi:sockets/tcp@0.2.0", Need::Unknown),
        ("spin:key-value/key-value@3.0.0", Need::Unknown),
        ("fermyon:spin/variables@2.0.0", Need::Unknown),
    ] {
        assert_eq!(need_of(import), expected, "{import}");
    }
}

/// A component of the type of a std one: files behind `descriptor`, and its environment.
const STD: &str = r#"
  (import "wasi:filesystem/types@0.2.4" (instance $types (export "descriptor" (type (sub resource)))))
  (alias export $types "descriptor" (type $descriptor))
  (import "wasi:filesystem/preopens@0.2.4" (instance
    (export "descriptor" (type $own (eq $descriptor)))
    (export "get-directories" (func (result (list (tuple (own $own) string)))))))
  (import "wasi:cli/environment@0.2.4" (instance
    (export "get-environment" (func (result (list (tuple string string)))))))"#;
const PORT: &str = r#"(instance $port) (export "a:b/c@0.1.0" (instance $port))"#;
const WANTS_PORT: &str = r#"(import "a:b/c@0.1.0" (instance))"#;
const WANTS_VARIABLES: &str = r#"(import "spin:variables/variables@3.0.0" (instance))"#;

/// Composes a root and a part that satisfies `a:b@0.1.0`, inheriting `inherit`.
fn composed(name: &str, root: &str, part: &str, inherit: &str) -> Result<BTreeSet<String>, String> {
    let folder = std::env::temp_dir().join(format!("compose-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for (file, text) in [("root.wasm", root), ("part.wasm", part)] {
        let bytes = wat::parse_str(format!("(component {text})")).expect(file);
        std::fs::write(folder.join(file), bytes).expect(file);
    }
    let manifest = format!(
        "spin_manifest_version = 2\n[application]\nname = \"t\"\n[[trigger.http]]\nroute = \"/...\"\n\
         component = \"root\"\n[component.root]\nsource = \"root.wasm\"\n[component.root.dependencies]\n\
         \"a:b@0.1.0\" = {{ component = \"part\", inherit_configuration = {inherit} }}\n\
         [component.part]\nsource = \"part.wasm\"\n"
    );
    let composite = compose(&Manifest::parse(&manifest).expect("a manifest"), &folder);
    std::fs::remove_dir_all(&folder).expect("removed");
    let composite = composite.map_err(|failure| failure.message)?;
    Ok(really_imports(&composite))
}

/// The imports of the encoded bytes, once the engine has validated them.
fn really_imports(composite: &Composite) -> BTreeSet<String> {
    let mut config = wasmtime::Config::new();
    config.wasm_component_model_async(true);
    let engine = wasmtime::Engine::new(&config).expect("an engine");
    let component = wasmtime::component::Component::new(&engine, &composite.bytes).expect("valid");
    let found = component
        .component_type()
        .imports(&engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(
        composite.imports, found,
        "what was announced is what is there"
    );
    found
}

#[test]
fn a_dependency_that_imports_what_it_does_not_inherit_is_refused() {
    let part = format!("{WANTS_VARIABLES} {PORT}");
    let message = "dependency `part` imports `spin:variables/variables@3.0.0` and does not inherit `variables`";
    for (name, inherit) in [
        ("nothing", "false"),
        ("other", "[\"files\", \"sqlite_databases\"]"),
    ] {
        assert_eq!(
            composed(name, WANTS_PORT, &part, inherit),
            Err(message.to_owned())
        );
    }
    for (name, inherit) in [("named", "[\"variables\"]"), ("all", "true")] {
        let imports = composed(name, WANTS_PORT, &part, inherit).expect("composes");
        assert_eq!(
            imports,
            BTreeSet::from(["spin:variables/variables@3.0.0".to_owned()])
        );
    }
}

#[test]
fn files_and_environment_reach_whoever_inherits_them_and_nobody_else() {
    let (root, part) = (format!("{STD} {WANTS_PORT}"), format!("{STD} {PORT}"));
    let has = |imports: &BTreeSet<String>, name: &str| {
        imports.iter().any(|import| import.starts_with(name))
    };
    for (name, root, inherit, files, environment) in [
        ("f1", WANTS_PORT, "false", false, false),
        ("f2", WANTS_PORT, "[\"files\"]", true, false),
        ("f3", WANTS_PORT, "[\"environment\"]", false, true),
        // The root has its own environment, and no files where a dependency has them.
        ("f4", root.as_str(), "false", true, true),
        ("f5", root.as_str(), "[\"files\"]", true, true),
    ] {
        let imports = composed(name, root, &part, inherit).expect(name);
        assert_eq!(
            has(&imports, "wasi:filesystem/preopens@"),
            files,
            "{name}: {imports:?}"
        );
        assert_eq!(
            has(&imports, "wasi:cli/environment@"),
            environment,
            "{name}: {imports:?}"
        );
    }
}

/// Types that two components share, as `wit-component` encodes what each of them uses.
const TYPES: &str = r#"
  (import "a:types/types@0.1.0" (instance $types
    (type $tier' (enum "hsm" "delegated"))
    (export "tier" (type $tier (eq $tier')))
    (type $record' (record (field "tier" $tier)))
    (export "issuer" (type (eq $record')))))
  (alias export $types "issuer" (type $issuer))"#;
#[test]
fn needs_nothing_for_interfaces_with_types_only() {
    let (root, part) = (format!("{TYPES} {WANTS_PORT}"), format!("{TYPES} {PORT}"));
    let types = "a:types/types@0.1.0";
    let imports = composed("types", &root, &part, "false").expect("composes");
    assert_eq!(imports, BTreeSet::from([types.to_owned()]));

    let resource =
        r#"(import "a:types/types@0.1.0" (instance (export "key" (type (sub resource)))))"#;
    for (name, root, part, id) in [
        (
            "resource-root",
            format!("{resource} {WANTS_PORT}"),
            PORT.to_owned(),
            "root",
        ),
        (
            "resource-part",
            WANTS_PORT.to_owned(),
            format!("{resource} {PORT}"),
            "part",
        ),
    ] {
        let message = format!(
            "component `{id}` imports `{types}`, which neither a dependency nor this host offers"
        );
        assert_eq!(
            composed(name, &root, &part, "false"),
            Err(message),
            "{name}"
        );
    }
}

#[test]
fn refuses_what_does_not_fit() {
    let nobody = "which neither a dependency nor this host offers";
    for (name, root, part, expected) in [
        (
            "r1",
            WANTS_PORT,
            "",
            "component `part` does not export `a:b/c@0.1.0`".to_owned(),
        ),
        (
            "r2",
            "",
            PORT,
            "dependency `a:b@0.1.0` matches nothing that the component imports".to_owned(),
        ),
        (
            "r3",
            WANTS_PORT,
            r#"(import "wasi:sockets/types@0.3.0" (instance)) (instance $port) (export "a:b/c@0.1.0" (instance $port))"#,
            format!("component `part` imports `wasi:sockets/types@0.3.0`, {nobody}"),
        ),
        (
            "r4",
            r#"(import "a:b/c@0.1.0" (instance)) (import "x:y/z" (instance))"#,
            PORT,
            format!("component `root` imports `x:y/z`, {nobody}"),
        ),
    ] {
        assert_eq!(composed(name, root, part, "true"), Err(expected), "{name}");
    }
}
