use super::*;
use crate::components::{CryptoPlace, StorePlace};

#[test]
fn dependency_covers_interfaces_of_its_version() {
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
fn classifies_imports_by_capability() {
    for (import, expected) in [
        ("spin:variables/variables@3.0.0", Need::Granted(Capability::Variables)),
        ("spin:sqlite/sqlite@3.1.0", Need::Granted(Capability::SqliteDatabases)),
        ("wasi:http/client@0.3.0", Need::Granted(Capability::AllowedOutboundHosts)),
        ("wasi:filesystem/preopens@0.2.9", Need::Emptiable(Capability::Files)),
        ("wasi:cli/environment@0.2.9", Need::Emptiable(Capability::Environment)),
        ("vouchsafe:crypto/signatures@0.1.0", Need::HostCrypto),
        ("vouchsafe:store/state@0.1.0", Need::Unknown),
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

/// The imports of a component with the standard library: files behind `descriptor`, and the environment.
const STD: &str = r#"
  (import "wasi:filesystem/types@0.2.4" (instance $types (export "descriptor" (type (sub resource)))))
  (alias export $types "descriptor" (type $descriptor))
  (import "wasi:filesystem/preopens@0.2.4" (instance
    (export "descriptor" (type $own (eq $descriptor)))
    (export "get-directories" (func (result (list (tuple (own $own) string)))))))
  (import "wasi:cli/environment@0.2.4" (instance
    (export "get-environment" (func (result (list (tuple string string)))))))"#;
const PORT: &str = r#"(instance $port) (export "a:b/c@0.1.0" (instance $port))"#;
const IMPORTS_PORT: &str = r#"(import "a:b/c@0.1.0" (instance))"#;
const IMPORTS_VARIABLES: &str = r#"(import "spin:variables/variables@3.0.0" (instance))"#;

/// Composes a root with a part that satisfies `a:b@0.1.0` and inherits `inherit`; returns the imports.
fn compose_parts(name: &str, root: &str, part: &str, inherit: &str) -> Result<BTreeSet<String>, String> {
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
    let composite = compose(
        &Manifest::parse(&manifest).expect("a manifest"),
        &Components::new(&folder, None, CryptoPlace::Host, StorePlace::Host),
    );
    std::fs::remove_dir_all(&folder).expect("removed");
    let composite = composite.map_err(|failure| failure.message)?;
    Ok(encoded_imports(&composite))
}

/// The imports of the encoded bytes, after the engine has validated them.
fn encoded_imports(composite: &Composite) -> BTreeSet<String> {
    let mut config = wasmtime::Config::new();
    config.wasm_component_model_async(true);
    let engine = wasmtime::Engine::new(&config).expect("an engine");
    let component = wasmtime::component::Component::new(&engine, &composite.bytes).expect("valid");
    let found = component.component_type().imports(&engine).map(|(name, _)| name.to_owned()).collect();
    assert_eq!(composite.imports, found, "the reported imports are the encoded ones");
    found
}

/// Composes a root that imports the store with `dependency`, a component that the host may replace.
fn compose_store(root: &str, dependency: &str, place: StorePlace) -> Result<Option<String>, String> {
    let manifest = format!(
        "spin_manifest_version = 2\n[application]\nname = \"t\"\n[[trigger.http]]\nroute = \"/...\"\n\
         component = \"root\"\n[component.root]\nsource = \"root.wasm\"\nsqlite_databases = [\"default\"]\n\
         [component.root.dependencies]\n{dependency}\n[component.store]\nsource = \"no-such-file.wasm\"\n\
         [component.store.tool.vouchsafe]\nhost-store = \"default\"\n"
    );
    let folder = std::env::temp_dir().join(format!("compose-store-{}-{}", std::process::id(), root.len()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("root.wasm"), wat::parse_str(format!("(component {root})")).expect("a component"))
        .expect("written");
    let components = Components::new(&folder, None, CryptoPlace::Host, place);
    let composite = compose(&Manifest::parse(&manifest).expect("a manifest"), &components);
    std::fs::remove_dir_all(&folder).expect("removed");
    composite.map(|composite| composite.host_store).map_err(|failure| failure.message)
}

#[test]
fn host_replaces_store_that_inherits_its_database() {
    let root = r#"(import "vouchsafe:store/state@0.1.0" (instance (export "f" (func))))"#;
    let inherits = |name: &str, what: &str| {
        format!("\"{name}@0.1.0\" = {{ component = \"store\", inherit_configuration = [{what}] }}")
    };
    let compose = |dependency: &str, place| compose_store(root, dependency, place);
    let store = inherits("vouchsafe:store", "\"sqlite_databases\"");
    assert_eq!(compose(&store, StorePlace::Host), Ok(Some("default".to_owned())));
    let read = compose(&store, StorePlace::Wasm).expect_err("the component is needed");
    assert!(read.contains("no-such-file.wasm"), "{read}");
    let message = "component `store` has `host-store = \"default\"`, but does not inherit a database with that label";
    assert_eq!(compose(&inherits("vouchsafe:store", ""), StorePlace::Host), Err(message.to_owned()));
    let other = compose_store(
        r#"(import "a:b/c@0.1.0" (instance (export "f" (func)))) (type $t (func))"#,
        &inherits("a:b", "\"sqlite_databases\""),
        StorePlace::Host,
    );
    assert_eq!(other, Err("component `store` has `host-store`, but is not `vouchsafe:store`".to_owned()));
}

#[test]
fn refuses_dependency_that_imports_uninherited_capability() {
    let part = format!("{IMPORTS_VARIABLES} {PORT}");
    let message = "dependency `part` imports `spin:variables/variables@3.0.0` but does not inherit `variables`";
    for (name, inherit) in [("nothing", "false"), ("other", "[\"files\", \"sqlite_databases\"]")] {
        assert_eq!(compose_parts(name, IMPORTS_PORT, &part, inherit), Err(message.to_owned()));
    }
    for (name, inherit) in [("named", "[\"variables\"]"), ("all", "true")] {
        let imports = compose_parts(name, IMPORTS_PORT, &part, inherit).expect("composes");
        assert_eq!(imports, BTreeSet::from(["spin:variables/variables@3.0.0".to_owned()]));
    }
}

#[test]
fn only_heirs_see_files_and_environment() {
    let (root, part) = (format!("{STD} {IMPORTS_PORT}"), format!("{STD} {PORT}"));
    let has = |imports: &BTreeSet<String>, name: &str| imports.iter().any(|import| import.starts_with(name));
    for (name, root, inherit, files, environment) in [
        ("f1", IMPORTS_PORT, "false", false, false),
        ("f2", IMPORTS_PORT, "[\"files\"]", true, false),
        ("f3", IMPORTS_PORT, "[\"environment\"]", false, true),
        // The root keeps its environment, but sees no files if a dependency inherits them.
        ("f4", root.as_str(), "false", true, true),
        ("f5", root.as_str(), "[\"files\"]", true, true),
    ] {
        let imports = compose_parts(name, root, &part, inherit).expect(name);
        assert_eq!(has(&imports, "wasi:filesystem/preopens@"), files, "{name}: {imports:?}");
        assert_eq!(has(&imports, "wasi:cli/environment@"), environment, "{name}: {imports:?}");
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
fn types_only_interfaces_need_no_implementation() {
    let (root, part) = (format!("{TYPES} {IMPORTS_PORT}"), format!("{TYPES} {PORT}"));
    let types = "a:types/types@0.1.0";
    let imports = compose_parts("types", &root, &part, "false").expect("composes");
    assert_eq!(imports, BTreeSet::from([types.to_owned()]));

    let resource = r#"(import "a:types/types@0.1.0" (instance (export "key" (type (sub resource)))))"#;
    for (name, root, part, id) in [
        ("resource-root", format!("{resource} {IMPORTS_PORT}"), PORT.to_owned(), "root"),
        ("resource-part", IMPORTS_PORT.to_owned(), format!("{resource} {PORT}"), "part"),
    ] {
        let message = format!("component `{id}` imports `{types}`, which neither a dependency nor this host provides");
        assert_eq!(compose_parts(name, &root, &part, "false"), Err(message), "{name}");
    }
}

#[test]
fn refuses_components_that_do_not_fit() {
    let nobody_provides = "which neither a dependency nor this host provides";
    for (name, root, part, expected) in [
        ("r1", IMPORTS_PORT, "", "component `part` does not export `a:b/c@0.1.0`".to_owned()),
        ("r2", "", PORT, "dependency `a:b@0.1.0` matches no import of the component".to_owned()),
        (
            "r3",
            IMPORTS_PORT,
            r#"(import "wasi:sockets/types@0.3.0" (instance)) (instance $port) (export "a:b/c@0.1.0" (instance $port))"#,
            format!("component `part` imports `wasi:sockets/types@0.3.0`, {nobody_provides}"),
        ),
        (
            "r4",
            r#"(import "a:b/c@0.1.0" (instance)) (import "x:y/z" (instance))"#,
            PORT,
            format!("component `root` imports `x:y/z`, {nobody_provides}"),
        ),
    ] {
        assert_eq!(compose_parts(name, root, part, "true"), Err(expected), "{name}");
    }
}
