//! Diagnostics in each format.

use crate::support::*;
use serde_json::json;
use vouchsafe_policy_tools::lint;
use vouchsafe_policy_tools::report::{self, Item};

fn items(changes: &[(&str, Option<&str>)]) -> Vec<Item> {
    let files = files(changes);
    let mut items = report::items(&files, &lint::check(&files, &environment()));
    // About the bundle of `support`.
    items.retain(|item| item.code != "event-unchecked");
    items
}

fn misspelt() -> Vec<Item> {
    let rules = RULES.replace("principal.repository_id", "principal.repositry_id");
    items(&[("rules/api.cedar", Some(&rules))])
}

fn reversed() -> Vec<Item> {
    let rules = RULES.replace("[\"read\"].containsAll(context.scopes)", "context.scopes.containsAll([\"read\"])");
    // The policy's `unless` also lets runs of forks through, which is not the subject of this test.
    let mut items = items(&[("rules/api.cedar", Some(&rules))]);
    items.retain(|item| item.code == "scopes-unbounded");
    items
}

/// A terminal would reorder the line, and the carets would point elsewhere.
#[test]
fn text_shows_hidden_characters_as_replacements() {
    let rules = format!("// \u{202e}\u{2066}shown\n{RULES}");
    assert_eq!(
        report::text(&items(&[("rules/api.cedar", Some(&rules))]), false),
        "error[character-hidden]: rules/api.cedar:1:4: the file contains U+202E, an invisible control or format character\n  \
         1 | // \u{fffd}\u{fffd}shown\n    \
         |    ^\n  \
         fix: remove it, or write it as an escape: `\\u{202e}` in Cedar, `\\u202e` in TOML and JSON\n"
    );
}

#[test]
fn text_shows_line_carets_and_fix() {
    assert_eq!(
        report::text(&misspelt(), false),
        "error[cedar]: rules/api.cedar:6:10: for policy `api`, attribute `repositry_id` on entity type \
         `GitHub::Workflow` not found\n\
         \x20 6 | ) when { principal.repositry_id == \"1\" && [\"read\"].containsAll(context.scopes) }\n\
         \x20   |          ^^^^^^^^^^^^^^^^^^^^^^\n\
         \x20 fix: did you mean `repository_id`?\n"
    );
    assert_eq!(
        report::text(&reversed(), false),
        "warning[scopes-unbounded]: rules/api.cedar:6:44: policy `api` does not limit the scopes\n\
         \x20 6 | ) when { principal.repository_id == \"1\" && context.scopes.containsAll([\"read\"]) }\n\
         \x20   |                                            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n\
         \x20 fix: add `[…].containsAll(context.scopes)` to its `when`\n"
    );
    assert!(report::text(&reversed(), true).starts_with("\x1b[1;33mwarning\x1b[0m[scopes-unbounded]: "));
}

#[test]
fn text_points_at_tokens_and_line_ends() {
    let shown = |path: &str, content: &str| {
        let text = report::text(&items(&[(path, Some(content))]), false);
        text.lines().skip(1).take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    let path = "issuers/github.toml";
    assert_eq!(shown(path, &format!("{GITHUB}leeway = \"61s\"\n")), ["  3 | leeway = \"61s\"", "    |          ^^^^^"]);
    // A tab is kept, and characters can have several bytes.
    assert_eq!(
        shown(path, &format!("{GITHUB}leeway =\t\"é\\\"x\" # é\n")),
        ["  3 | leeway =\t\"é\\\"x\" # é", "    |         \t^^^^^^"]
    );
    assert_eq!(shown("rules/api.cedar", "@id(\"a\")\npermit"), ["  2 | permit", "    |       ^"]);
}

#[test]
fn github_has_command_per_diagnostic() {
    assert_eq!(
        report::github(&misspelt(), "./policies/"),
        "::error file=policies/rules/api.cedar,line=6,col=10,endColumn=32,title=cedar::for policy `api`, \
         attribute `repositry_id` on entity type `GitHub::Workflow` not found%0Afix: did you mean \
         `repository_id`?\n"
    );
    let file = items(&[("a, b: 100%.toml", Some("x"))]);
    assert_eq!(
        report::github(&file, "."),
        "::error file=a%2C b%3A 100%25.toml,title=unknown-file::does not belong in a bundle%0Afix: move \
         it out of the bundle\n"
    );
}

#[test]
fn sarif_lists_each_kind_once() {
    let mut all = misspelt();
    all.extend(reversed());
    all.extend(reversed());
    let log = report::sarif(&all, "policies", "1.2.3");
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let ids: Vec<_> = run["tool"]["driver"]["rules"]
        .as_array()
        .expect("rules")
        .iter()
        .map(|rule| rule["id"].as_str().expect("text"))
        .collect();
    assert_eq!(ids, ["cedar", "scopes-unbounded"]);
    assert_eq!(run["tool"]["driver"]["version"], "1.2.3");
    assert_eq!(run["results"].as_array().map(Vec::len), Some(3));
    let rule = &run["tool"]["driver"]["rules"][1];
    let about = "scopes that are not limited from above, or are not offered";
    assert_eq!(rule["fullDescription"]["text"], about);
    let page = "https://github.com/vouchsafe/vouchsafe/blob/main/docs/policy.md#warnings-and-errors";
    assert_eq!(rule["helpUri"], page);
    assert_eq!(run["tool"]["driver"]["rules"][0]["fullDescription"]["text"], "cedar", "not in the page's table");
    let mut result = run["results"][1].clone();
    result.as_object_mut().expect("members").remove("partialFingerprints");
    assert_eq!(
        result,
        json!({
            "ruleId": "scopes-unbounded",
            "level": "warning",
            "message": { "text": "policy `api` does not limit the scopes. Fix: add `[…].containsAll(context.scopes)` to its `when`" },
            "locations": [{ "physicalLocation": {
                "artifactLocation": { "uri": "policies/rules/api.cedar" },
                "region": {
                    "startLine": 6, "startColumn": 44, "endColumn": 80,
                    "snippet": { "text": ") when { principal.repository_id == \"1\" && \
                        context.scopes.containsAll([\"read\"]) }" },
                },
            }}],
        })
    );
    let spaced = items(&[("tests/api/allow/main reads.toml", Some("issuer = 1"))]);
    let log = report::sarif(&spaced, "", "1");
    assert_eq!(
        log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
        "tests/api/allow/main%20reads.toml"
    );
}

/// Code scanners match findings of two versions by it.
#[test]
fn fingerprints_survive_lines_above() {
    let of = |items: &[Item]| {
        let log = report::sarif(items, "policies", "1");
        let results = log["runs"][0]["results"].as_array().expect("results").iter();
        let mark = |result: &serde_json::Value| {
            result["partialFingerprints"]["primaryLocationLineHash"].as_str().expect("a text").to_owned()
        };
        results.map(mark).collect::<Vec<_>>()
    };
    let rules = RULES.replace("principal.repository_id", "principal.repositry_id");
    let lower = items(&[("rules/api.cedar", Some(&format!("// one\n// two\n{rules}")))]);
    let upper = misspelt();
    assert_ne!(lower[0].place, upper[0].place);
    let (hash, number) =
        of(&upper)[0].split_once(':').map(|(hash, number)| (hash.len(), number.to_owned())).expect("two parts");
    assert_eq!((hash, number.as_str()), (16, "1"));
    assert_eq!(of(&lower), of(&upper));
    // The second of two alike has another number, and another kind another hash.
    let twice = of(&[upper.clone(), upper.clone(), reversed()].concat());
    assert_eq!(twice[1], twice[0].replace(":1", ":2"));
    assert_ne!(twice[2].split_once(':').map(|it| it.0), twice[0].split_once(':').map(|it| it.0));
}

#[test]
fn json_has_line_column_and_fix() {
    assert_eq!(
        report::json(&misspelt()),
        [json!({
            "severity": "error", "code": "cedar", "file": "rules/api.cedar", "line": 6, "column": 10,
            "end_column": 32,
            "message": "for policy `api`, attribute `repositry_id` on entity type `GitHub::Workflow` not found",
            "fix": "did you mean `repository_id`?",
        })]
    );
}
