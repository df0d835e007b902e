//! Empty files and an empty environment for the components that inherit neither.
//!
//! Every std component imports `wasi:filesystem/preopens` and `wasi:cli/environment`; a dependency
//! would be served with its parent's. A component that answers "nothing" takes their place.

/// What to compose in front of an import that is not inherited, or `None` if `import` is not one
/// that can be supplied empty.
pub fn adapter(import: &str) -> Option<String> {
    let (interface, version) = import.split_once('@')?;
    match interface {
        "wasi:filesystem/preopens" => Some(preopens(version)),
        "wasi:cli/environment" => Some(environment(version)),
        _ => None,
    }
}

/// A core module whose every function answers with a pointer to zeroes: an empty list, or `none`.
const NOTHING: &str = r#"
  (core module $nothing
    (memory (export "memory") 1)
    (func (export "nothing") (result i32) (i32.const 16)))
  (core instance $nothing (instantiate $nothing))
  (alias core export $nothing "memory" (core memory $memory))
  (alias core export $nothing "nothing" (core func $answer))"#;

fn preopens(version: &str) -> String {
    format!(
        r#"(component
  (import "wasi:filesystem/types@{version}" (instance $types (export "descriptor" (type (sub resource)))))
  (alias export $types "descriptor" (type $descriptor)){NOTHING}
  (func $directories (result (list (tuple (own $descriptor) string)))
    (canon lift (core func $answer) (memory $memory)))
  (instance $preopens
    (export "descriptor" (type $descriptor))
    (export "get-directories" (func $directories)))
  (export "wasi:filesystem/preopens@{version}" (instance $preopens)))"#
    )
}

fn environment(version: &str) -> String {
    let initial_cwd = if version.starts_with("0.2.") {
        "initial-cwd"
    } else {
        "get-initial-cwd"
    };
    format!(
        r#"(component{NOTHING}
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
    fn adapters_exist_for_what_can_be_empty_and_nothing_else() {
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
