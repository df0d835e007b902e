//! Empty implementations of files and environment, for components that inherit neither.
//!
//! Every component with the standard library imports `wasi:filesystem/preopens` and `wasi:cli/environment`. A
//! dependency would see its parent's, so a component that returns empty lists takes their place.

/// The component, as text, that satisfies `import` with an empty implementation; `None` if there is none.
pub fn adapter(import: &str) -> Option<String> {
    let (interface, version) = import.split_once('@')?;
    match interface {
        "wasi:filesystem/preopens" => Some(preopens(version)),
        "wasi:cli/environment" => Some(environment(version)),
        _ => None,
    }
}

/// A core module whose functions all return a pointer to zeroes: an empty list, or `none`.
const EMPTY_MODULE: &str = r#"
  (core module $empty-module
    (memory (export "memory") 1)
    (func (export "empty") (result i32) (i32.const 16)))
  (core instance $empty-module (instantiate $empty-module))
  (alias core export $empty-module "memory" (core memory $memory))
  (alias core export $empty-module "empty" (core func $answer))"#;

fn preopens(version: &str) -> String {
    format!(
        r#"(component
  (import "wasi:filesystem/types@{version}" (instance $types (export "descriptor" (type (sub resource)))))
  (alias export $types "descriptor" (type $descriptor)){EMPTY_MODULE}
  (func $directories (result (list (tuple (own $descriptor) string)))
    (canon lift (core func $answer) (memory $memory)))
  (instance $preopens
    (export "descriptor" (type $descriptor))
    (export "get-directories" (func $directories)))
  (export "wasi:filesystem/preopens@{version}" (instance $preopens)))"#
    )
}

fn environment(version: &str) -> String {
    let initial_cwd = if version.starts_with("0.2.") { "initial-cwd" } else { "get-initial-cwd" };
    format!(
        r#"(component{EMPTY_MODULE}
  (func $environment (result (list (tuple string string)))
    (canon lift (core func $answer) (memory $memory)))
  (func $arguments (result (list string)) (canon lift (core func $answer) (memory $memory)))
  (func $cwd (result (option string)) (canon lift (core func $answer) (memory $memory)))
  (instance $empty
    (export "get-environment" (func $environment))
    (export "get-arguments" (func $arguments))
    (export "{initial_cwd}" (func $cwd)))
  (export "wasi:cli/environment@{version}" (instance $empty)))"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_exist_only_for_files_and_environment() {
        for (import, expected) in [
            ("wasi:filesystem/preopens@0.2.4", true),
            ("wasi:filesystem/preopens@0.3.0", true),
            ("wasi:cli/environment@0.2.0", true),
            ("wasi:cli/environment@0.3.0", true),
            ("wasi:filesystem/types@0.2.4", false),
            ("spin:variables/variables@3.0.0", false),
            ("wasi:cli/environment", false),
        ] {
            let text = adapter(import);
            assert_eq!(text.is_some(), expected, "{import}");
            if let Some(text) = text {
                wat::parse_str(&text).unwrap_or_else(|error| panic!("{import}: {error}"));
            }
        }
    }
}
