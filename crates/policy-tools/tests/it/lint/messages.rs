//! Checks that every error and warning has a test that expects its exact message, and tests those that no other file
//! covers, with similar input that is accepted.

use super::support::*;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use vouchsafe_policy::limits::*;
use vouchsafe_policy::{Bundle, BundleFiles, folder};
use vouchsafe_policy_tools::cases;

/// The strings of `#[error("…")]` in a source file, with broken lines joined.
fn messages(source: &str) -> Vec<String> {
    let joined = joined(source);
    let starts = joined.split("#[error(").skip(1);
    let quoted = starts.filter_map(|rest| rest.split_once("\")]").map(|(text, _)| text));
    let bare = quoted.map(|text| text.trim_start().trim_start_matches('"').to_owned());
    bare.collect()
}

/// A source file without line breaks within strings, and with the quotes of `#[error(…)]` at its parentheses.
fn joined(source: &str) -> String {
    let mut text = String::new();
    for line in source.lines().map(str::trim) {
        let line = line.strip_suffix('\\').unwrap_or(line);
        text.push_str(line);
        if line.len() != line.trim_end().len() || line.ends_with("#[error(") {
            continue;
        }
        text.push('\n');
    }
    text.replace("\"\n)]", "\")]")
}

/// The longest part of a message between its placeholders.
fn words(message: &str) -> &str {
    let parts = message.split(['{', '}']).step_by(2);
    let parts = parts.map(|part| part.trim_matches([' ', '`']));
    parts.max_by_key(|part| part.len()).unwrap_or_default()
}

#[test]
fn every_message_is_expected_by_a_test() {
    let sources = [
        include_str!("../../../src/error.rs"),
        include_str!("../../../../policy/src/diagnostics/error.rs"),
        include_str!("../../../src/lint/warning.rs"),
    ];
    let tests = [
        include_str!("actors.rs"),
        include_str!("addresses.rs"),
        include_str!("administration.rs"),
        include_str!("clients.rs"),
        include_str!("../../../../policy/tests/it/clients.rs"),
        include_str!("../../../../policy/tests/it/actors.rs"),
        include_str!("../../../../policy/tests/it/bundles.rs"),
        include_str!("warnings.rs"),
        include_str!("../../../../policy/tests/it/guardrails.rs"),
        include_str!("../../../../../programs/vouchsafe/src/commands/policy/tests/proofs.rs"),
        include_str!("../../../../policy/tests/it/credentials.rs"),
        include_str!("../../../../policy/tests/it/folders.rs"),
        include_str!("../../../../policy/tests/it/hidden.rs"),
        include_str!("../../../../policy/tests/it/language.rs"),
        include_str!("complex.rs"),
        include_str!("dangerous.rs"),
        include_str!("lints.rs"),
        include_str!("messages.rs"),
        include_str!("settings.rs"),
        include_str!("spans.rs"),
        include_str!("strangers.rs"),
        include_str!("tenants.rs"),
        include_str!("../suites.rs"),
    ]
    .map(joined)
    .concat()
    .replace("{{", "{")
    .replace("}}", "}");
    let messages: Vec<String> = sources.into_iter().flat_map(messages).collect();
    assert!(messages.len() > 90, "{}", messages.len());
    let untested = |message: &&String| {
        let plain = message.replace("{{", "\u{1}").replace("}}", "\u{2}");
        let words = words(&plain).replace('\u{1}', "{").replace('\u{2}', "}");
        !words.is_empty() && !tests.contains(&words)
    };
    let untested: Vec<&String> = messages.iter().filter(untested).collect();
    assert!(untested.is_empty(), "{untested:#?}");
}

/// The errors of a case with these lines before its request; empty if it can be read.
fn of_case(lines: &str) -> Vec<String> {
    let case =
        format!("issuer = \"github\"\nrules = [\"api\"]\n{lines}[request]\naudience = \"https://api.example\"\n");
    let files = files(&[("tests/api/allow/a.toml", Some(&case))]);
    let bundle = Bundle::load(&files, &environment()).expect("the bundle loads");
    match cases::read(&files, &bundle) {
        Ok(_) => Vec::new(),
        Err(diagnostics) => diagnostics.iter().map(ToString::to_string).collect(),
    }
}

fn token(claims: &str) -> String {
    format!("token = \"e30.{}.c\"\n", URL_SAFE_NO_PAD.encode(claims))
}

const CLAIMS: &str = r#"{"sub":"a","actor":"o","event_name":"push","ref":"r","repository":"o/r",
    "repository_id":"1","repository_owner":"o","repository_owner_id":"6","run_id":"1","workflow":"w"}"#;

#[test]
fn reports_invalid_case_tokens() {
    let at = "at = \"2027-01-01\"\n";
    let whole = format!("{at}{}", token(CLAIMS));
    assert_eq!(of_case(&whole), [""; 0]);
    let said = |what: &str| [format!("tests/api/allow/a.toml:{what}")];
    assert_eq!(of_case(&format!("{whole}id = \"a\"\n")), said("4:9: a case can have a `token` or claims, not both"));
    assert_eq!(of_case(&token(CLAIMS)), said("3:9: a case with a token must set `at`"));
    assert_eq!(of_case(&format!("{at}token = \"e30.e30\"\n")), said("4:9: the token is not a compact JWT with claims"));
    let nobody = format!("{at}{}", token("{}"));
    assert_eq!(
        of_case(&nobody),
        said("4:9: the token does not describe a principal: claim `sub` is missing or not a string")
    );
    let refused = "refused = \"token.claim_missing\"\n";
    assert_eq!(of_case(&format!("{nobody}{refused}")), [""; 0]);
    assert_eq!(of_case(refused), said("3:11: `refused` requires a `token`: claims are not verified"));
}

#[test]
fn reports_exceeded_file_limits() {
    let add = |files: &mut BundleFiles, path: &str, bytes: usize| {
        let added = files.add(path, vec![b' '; bytes]);
        added.err().map(|diagnostic| diagnostic.to_string())
    };
    let mut files = BundleFiles::default();
    for index in 0..BUNDLE_BYTES_MAX / FILE_BYTES_MAX {
        assert_eq!(add(&mut files, &index.to_string(), FILE_BYTES_MAX), None);
    }
    assert_eq!(add(&mut files, "drop", 1).as_deref(), Some("drop: the bundle is larger than 8388608 bytes"));
    let mut files = BundleFiles::default();
    for index in 0..FILES_MAX {
        assert_eq!(add(&mut files, &index.to_string(), 0), None);
    }
    assert_eq!(add(&mut files, "more", 0).as_deref(), Some("more: the bundle has more than 4096 files"));
    let mut files = BundleFiles::default();
    assert_eq!(add(&mut files, &"a".repeat(PATH_BYTES_MAX), 0), None);
    assert_eq!(
        add(&mut files, "a\n", 0).as_deref(),
        Some("a\\n: the name is not valid UTF-8, is longer than 512 bytes, or contains control or format characters")
    );
}

#[cfg(unix)]
#[test]
fn reports_unreadable_folder_entries() {
    let root = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("messages-folder");
    let _ = std::fs::remove_dir_all(&root);
    let said = || folder::read(&root).map_err(|invalid| invalid.to_string()).err();
    let missing = said().expect("it is not there");
    assert!(missing.starts_with(".: cannot be read: "), "{missing}");
    std::fs::create_dir_all(&root).expect("made");
    std::fs::write(root.join("a.toml"), "").expect("written");
    assert_eq!(said(), None);
    let made = std::process::Command::new("mkfifo").arg(root.join("pipe")).status();
    assert!(made.expect("it runs").success());
    assert_eq!(said().as_deref(), Some("pipe: not a regular file"));
}

/// The error of the bundle with this file.
fn of_file(path: &str, content: &[u8]) -> Option<String> {
    let mut files = files(&[(path, None)]);
    files.add(path, content.to_vec()).expect("within the limits");
    let loaded = Bundle::load(&files, &environment());
    loaded.err().map(|invalid| invalid.to_string())
}

#[test]
fn reports_invalid_file_content() {
    for path in ["rules/more.cedar", "audiences/more.toml"] {
        assert_eq!(of_file(path, b"// \xff"), Some(format!("{path}: the file is not valid UTF-8")));
    }
    assert_eq!(of_file("rules/more.cedar", "// \u{ff}".as_bytes()), None);
    let named = |name: &str| {
        let head = format!("name = \"{name}\"\nversion = \"1\"\n");
        of_file("bundle.toml", head.as_bytes())
    };
    assert_eq!(named(&"a".repeat(NAME_BYTES_MAX)), None);
    assert_eq!(
        named("\\u0007").as_deref(),
        Some("bundle.toml:1:8: `name` is longer than 128 bytes or contains control or format characters")
    );
    let rule = |scope: &str| {
        of_file(
            "rules/api.cedar",
            PERMIT.replace("principal is GitHub::Workflow in Issuer::\"github\"", scope).as_bytes(),
        )
    };
    assert_eq!(rule("principal in Issuer::\"github\""), None);
    assert_eq!(
        rule("principal is GitHub::Workflow").as_deref(),
        Some(
            "rules/api.cedar:3:3: policy `api` does not name an issuer: write `principal is TYPE in Issuer::\"NAME\"` in its scope"
        )
    );
}
