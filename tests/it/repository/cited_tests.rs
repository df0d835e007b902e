//! Every test that docs/regressions.md and docs/security-checklist.md name must exist.

use std::path::Path;
use vouchsafe_harness::broker::repository;

fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "py") {
            text.push_str(&std::fs::read_to_string(&path).expect("a source"));
        }
    }
}

/// The table rows of `page`, each with the tests that its last column names.
fn rows(page: &str) -> Vec<(String, Vec<String>)> {
    let page = std::fs::read_to_string(repository().join(page)).expect("the page");
    let numbered = page.lines().filter(|line| {
        let number = line.strip_prefix("| ").and_then(|rest| rest.split(' ').next());
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    });
    let names = |row: &str| {
        let tests = row.rsplit(" | ").next().unwrap_or_default();
        let words = tests.split('`').skip(1).step_by(2);
        // Anything else in backticks is a file, a setting or a command.
        words.filter(|word| word.contains('_') && !word.contains(['/', '.', ' '])).map(str::to_owned).collect()
    };
    numbered.map(|row| (row.to_owned(), names(row))).collect()
}

fn check(rows: &[(String, Vec<String>)]) {
    let mut text = String::new();
    for folder in ["crates", "programs", "tests", "xtask"] {
        sources(&repository().join(folder), &mut text);
    }
    for (row, names) in rows {
        for name in names {
            let heads = [format!("fn {name}()"), format!("fn {name}<S: Scene>()"), format!("def test_{name}(")];
            let is_there = heads.iter().any(|head| text.contains(head));
            assert!(is_there, "test {name} does not exist, but is cited in {row}");
        }
    }
}

#[test]
fn names_existing_tests_in_every_regression_row() {
    let rows = rows("docs/regressions.md");
    assert!(rows.len() > 30, "read {} rows", rows.len());
    for (row, names) in &rows {
        assert!(!names.is_empty(), "no test in {row}");
    }
    check(&rows);
}

#[test]
fn covers_every_point_of_checklist() {
    let rows = rows("docs/security-checklist.md");
    let numbers: Vec<&str> = rows.iter().filter_map(|(row, _)| row.split(' ').nth(1)).collect();
    let expected: Vec<String> = (1..=66).map(|number| number.to_string()).collect();
    assert_eq!(numbers, expected);
    for (row, names) in &rows {
        let reason = row.rsplit(" | ").next().unwrap_or_default();
        assert!(
            !names.is_empty() || reason.starts_with("none: ") || reason.starts_with("none yet: "),
            "neither a test nor a reason in {row}"
        );
    }
    check(&rows);
}
