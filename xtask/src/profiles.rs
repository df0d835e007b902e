//! Checks that installed programs behave as in tests, and that components have their own profile.

use anyhow::{Context, Result};
use std::path::Path;
use toml::{Table, Value};

/// The profile of components, which is also the name of their output folder.
const COMPONENT: &str = "component";
const MANIFESTS: [&str; 3] = ["spin.toml", "spin.hsm.toml", "spin.postgres.toml"];

/// Reports wrong settings of profiles, and manifests whose build commands or paths use another profile.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let workspace = std::fs::read_to_string(root.join("Cargo.toml"))?;
    let mut faults = faults_of_profiles(&workspace)?;
    for name in MANIFESTS {
        let manifest = std::fs::read_to_string(root.join(name))?;
        let found = faults_of_manifest(&manifest).with_context(|| name.to_owned())?;
        faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
    }
    Ok(faults)
}

fn faults_of_profiles(workspace: &str) -> Result<Vec<String>> {
    let manifest: Table = workspace.parse()?;
    let setting =
        |profile: &str, name: &str| -> Option<Value> { manifest.get("profile")?.get(profile)?.get(name).cloned() };
    let mut faults = Vec::new();
    let mut expect = |profile: &str, name: &str, expected: Value, why: &str| {
        if setting(profile, name) != Some(expected.clone()) {
            faults.push(format!("Cargo.toml: `{name}` of profile `{profile}` is not {expected}: {why}"));
        }
    };
    expect("release", "panic", "unwind".into(), "a panic in one connection would end the program");
    expect("release", "overflow-checks", true.into(), "tests run with overflow checks");
    expect(COMPONENT, "panic", "abort".into(), "a component can't unwind");
    Ok(faults)
}

fn faults_of_manifest(manifest: &str) -> Result<Vec<String>> {
    let manifest: Table = manifest.parse()?;
    let components = manifest.get("component").and_then(Value::as_table).context("no components")?;
    let mut faults = Vec::new();
    for (id, component) in components {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let command = text(component.get("build").and_then(|build| build.get("command")));
        let profile = format!("cargo build --target wasm32-wasip2 --profile {COMPONENT} -p ");
        if !command.is_some_and(|command| command.starts_with(&profile)) {
            faults.push(format!("component `{id}` is not built with `{profile}…`"));
        }
        let folder = format!("target/wasm32-wasip2/{COMPONENT}/");
        if !text(component.get("source")).is_some_and(|source| source.starts_with(&folder)) {
            faults.push(format!("component `{id}` is not taken from `{folder}`"));
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_and_manifests_agree() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        assert_eq!(check(&root).unwrap(), [""; 0]);
    }

    #[test]
    fn finds_an_installed_program_that_aborts() {
        let component = "[profile.component]\npanic = \"abort\"\n";
        let faults = |release: &str| faults_of_profiles(&format!("[profile.release]\n{release}\n{component}")).unwrap();
        assert_eq!(faults("panic = \"unwind\"\noverflow-checks = true"), [""; 0]);
        let aborts = "Cargo.toml: `panic` of profile `release` is not \"unwind\": \
            a panic in one connection would end the program";
        assert_eq!(faults("panic = \"abort\"\noverflow-checks = true"), [aborts]);
        assert_eq!(faults("overflow-checks = true"), [aborts]);
        assert_eq!(
            faults("panic = \"unwind\""),
            ["Cargo.toml: `overflow-checks` of profile `release` is not true: tests run with overflow checks"]
        );
    }

    #[test]
    fn finds_a_component_of_another_profile() {
        let manifest = |command: &str, source: &str| {
            let text = format!("[component.a]\nsource = \"{source}\"\n[component.a.build]\ncommand = \"{command}\"\n");
            faults_of_manifest(&text).unwrap()
        };
        let (command, source) =
            ("cargo build --target wasm32-wasip2 --profile component -p a", "target/wasm32-wasip2/component/a.wasm");
        assert_eq!(manifest(command, source), [""; 0]);
        assert_eq!(
            manifest("cargo build --target wasm32-wasip2 --release -p a", "target/wasm32-wasip2/release/a.wasm"),
            [
                "component `a` is not built with `cargo build --target wasm32-wasip2 --profile component -p …`",
                "component `a` is not taken from `target/wasm32-wasip2/component/`"
            ]
        );
    }
}
