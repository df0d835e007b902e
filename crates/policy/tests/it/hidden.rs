//! Invisible characters in any file keep a bundle from loading.

use crate::support::*;
use vouchsafe_policy::BundleError;

/// The errors of the bundle with this file.
fn found(path: &str, content: &str) -> Vec<String> {
    match load(&[(path, Some(content))]) {
        Ok(_) => Vec::new(),
        Err(invalid) => invalid.diagnostics.iter().map(ToString::to_string).collect(),
    }
}

fn said(place: &str, code: &str) -> [String; 1] {
    [format!("{place}: the file contains {code}, an invisible control or format character")]
}

/// The policy seems to compare an id, but permits everyone (CVE-2021-42574).
#[test]
fn refuses_comments_that_reorder_text() {
    let reordered = PERMIT.replace("when { ", "when { // \u{202e} \u{2066}principal.repository_id == \"1\" &&\n  ");
    let place = "rules/api.cedar:6:13";
    assert_eq!(found("rules/api.cedar", &reordered), said(place, "U+202E"));
    let plain = reordered.replace(['\u{202e}', '\u{2066}'], "");
    assert_eq!(found("rules/api.cedar", &plain), [""; 0]);
}

#[test]
fn refuses_hidden_characters_in_every_kind_of_file() {
    let group = "[[workloads]]\nissuer = \"github\"\nclaims = { repository_id = \"1\u{200b}\" }\n";
    let links = "[[link]]\nid = \"two\"\ntemplate = \"one\" # \u{2029}\n";
    let schema = SCHEMA.replace("entity Issuer;", "entity Issuer; // \u{feff}");
    let issuer = format!("# \u{ad}\n{GITHUB}");
    let audience = format!("{API}# \u{e0041}\n");
    let case = "# \u{2028}\nissuer = \"github\"\n";
    let keys = "{\"keys\":[] \u{200d}}";
    for (path, content, place, code) in [
        ("entities/team.toml", group, "3:30", "U+200B"),
        ("rules/links.toml", links, "3:20", "U+2029"),
        ("schema.cedarschema", &schema, "2:19", "U+FEFF"),
        ("issuers/github.toml", &issuer, "1:3", "U+00AD"),
        ("audiences/api.toml", &audience, "3:3", "U+E0041"),
        ("tests/api/allow/a.toml", case, "1:3", "U+2028"),
        ("issuers/keys.json", keys, "1:12", "U+200D"),
        ("bundle.toml", "\u{feff}name = \"a\"\n", "1:1", "U+FEFF"),
    ] {
        let mut found = found(path, content);
        // No issuer pins these keys, which is another error.
        found.retain(|it| it != "issuers/keys.json: does not belong in a bundle");
        assert_eq!(found, said(&format!("{path}:{place}"), code), "{path}");
    }
}

#[test]
fn allows_tabs_and_line_ends() {
    let with = |text: &str| found("rules/api.cedar", &format!("// {text}x\n{PERMIT}"));
    for fine in ["\t", "é", "日本", "\u{a0}", "\r\n// "] {
        assert_eq!(with(fine), [""; 0], "{fine:?}");
    }
    let windows = PERMIT.replace('\n', "\r\n");
    assert_eq!(found("rules/api.cedar", &windows), [""; 0]);
    // A comment in Cedar ends at a lone carriage return, which some editors do not display.
    for (hidden, code) in [
        ("\r", "U+000D"),
        ("\u{b}", "U+000B"),
        ("\u{1b}", "U+001B"),
        ("\u{7f}", "U+007F"),
        ("\u{85}", "U+0085"),
        ("\0", "U+0000"),
    ] {
        assert_eq!(with(hidden), said("rules/api.cedar:1:4", code), "{code}");
    }
}

/// Names of environments can contain an emoji of several characters, as an escape that is visible to reviewers.
#[test]
fn allows_escaped_hidden_characters() {
    let rule = PERMIT.replace("when { ", "when { principal.ref != \"a\\u{200d}b\" && ");
    assert_eq!(found("rules/api.cedar", &rule), [""; 0]);
    let group = "[[workloads]]\nissuer = \"github\"\nclaims = { repository_id = \"1\\u200d\" }\n";
    assert_eq!(found("entities/team.toml", group), [""; 0]);
}

/// Names in tokens and logs cannot contain them, not even escaped.
#[test]
fn refuses_escaped_hidden_characters_in_identifiers() {
    let audience = "id = \"https://api.example\\u202e\"\n";
    let found = found("audiences/api.toml", audience);
    let problem = "audiences/api.toml:1:6: `id` is longer than 1024 bytes or contains control or format characters";
    assert!(found.iter().any(|it| it == problem), "{found:?}");
}

#[test]
fn suggests_escapes_for_hidden_characters() {
    let problem = BundleError::HiddenCharacter("U+202E".to_owned());
    assert_eq!(problem.code(), "character-hidden");
    assert_eq!(
        problem.fix().as_deref(),
        Some("remove it, or write it as an escape: `\\u{202e}` in Cedar, `\\u202e` in TOML and JSON")
    );
}
