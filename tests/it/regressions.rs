//! docs/regressions.md names tests that are there.

use std::path::Path;
use vouchsafe_tests::broker::repository;

fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            text.push_str(&std::fs::read_to_string(&path).expect("a source"));
        }
    }
}

#[test]
fn every_bug_of_others_has_its_tests() {
    let root = repository();
    let mut text = String::new();
    for folder in ["crates", "programs", "tests"] {
        sources(&root.join(folder), &mut text);
    }
    let page = std::fs::read_to_string(root.join("docs/regressions.md")).expect("the page");
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with('|') && line.contains("_"))
        .collect();
    assert!(rows.len() > 15, "the page reads as {} bugs", rows.len());
    for row in rows {
        let tests = row.rsplit(" | ").next().unwrap_or_default();
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test in {row}");
        for name in names {
            assert!(
                text.contains(&format!("fn {name}()")),
                "there is no test {name}"
            );
        }
    }
}
