//! Links of the documentation in a release archive, which has only some of the repository's files.

use anyhow::{Context, Result};
use std::path::{Component, Path, PathBuf};

const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Makes links to files that `folder` lacks absolute. `folder` has copies of files of the repository at `root`, at the
/// same paths. Returns the links that lead nowhere.
pub fn complete(root: &Path, folder: &Path) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in next.read_dir().with_context(|| next.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                let text = std::fs::read_to_string(&path)?;
                let page = path.strip_prefix(folder)?;
                let exists = |place: &Path| Where { copied: folder.join(place).exists(), known: root.join(place) };
                let changed = rewrite(&text, page, &exists, &mut faults);
                if changed != text {
                    std::fs::write(&path, changed)?;
                }
            }
        }
    }
    faults.sort();
    Ok(faults)
}

struct Where {
    /// Whether the folder has it.
    copied: bool,
    /// Its path in the repository, which may not have it.
    known: PathBuf,
}

fn rewrite(text: &str, page: &Path, find: &impl Fn(&Path) -> Where, faults: &mut Vec<String>) -> String {
    let mut is_code = false;
    let mut lines = Vec::new();
    for line in text.split_inclusive('\n') {
        is_code ^= line.trim_start().starts_with("```");
        lines.push(if is_code { line.to_owned() } else { rewrite_line(line, page, find, faults) });
    }
    lines.concat()
}

fn rewrite_line(line: &str, page: &Path, find: &impl Fn(&Path) -> Where, faults: &mut Vec<String>) -> String {
    let mut changed = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("](") {
        changed.push_str(before);
        changed.push_str("](");
        let Some((link, after)) = after.split_once(')') else {
            rest = after;
            continue;
        };
        changed.push_str(&absolute(link, page, find, faults).unwrap_or_else(|| link.to_owned()));
        changed.push(')');
        rest = after;
    }
    changed + rest
}

/// The URL of a link to a file that is not in the folder.
fn absolute(link: &str, page: &Path, find: &impl Fn(&Path) -> Where, faults: &mut Vec<String>) -> Option<String> {
    let (target, fragment) = link.split_once('#').map_or((link, ""), |(target, fragment)| (target, fragment));
    if target.is_empty() || target.contains(':') {
        return None;
    }
    let place = resolve(page.parent()?, target);
    let found = place.as_deref().map(find);
    match (place, found) {
        (_, Some(Where { copied: true, .. })) => None,
        (Some(place), Some(Where { known, .. })) if known.exists() => {
            let kind = if known.is_dir() { "tree" } else { "blob" };
            let fragment = if fragment.is_empty() { String::new() } else { format!("#{fragment}") };
            Some(format!("{REPOSITORY}/{kind}/v{VERSION}/{}{fragment}", place.display()))
        }
        _ => {
            faults.push(format!("{}: the link to `{link}` leads nowhere", page.display()));
            None
        }
    }
}

/// The path of a link's target from the root; none if it is outside.
fn resolve(from: &Path, target: &str) -> Option<PathBuf> {
    let mut place = from.to_owned();
    for part in Path::new(target).components() {
        match part {
            Component::Normal(name) => place.push(name),
            Component::ParentDir => place.pop().then_some(())?,
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir => return None,
        }
    }
    Some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_missing_files_become_absolute() {
        let root = std::env::temp_dir().join(format!("links-{}", std::process::id()));
        let folder = root.join("target/doc");
        std::fs::create_dir_all(folder.join("docs/hsm")).expect("folders");
        std::fs::create_dir_all(root.join("deploy")).expect("a folder");
        for file in ["STYLE.md", "deploy/nginx.conf", "target/doc/README.md"] {
            std::fs::write(root.join(file), "").expect("a file");
        }
        let page = folder.join("docs/hsm/a.md");
        let text = "[a](../../README.md#x) [b](../../STYLE.md#y) and [c](../../deploy/nginx.conf), [d](../../deploy/)\n\
            [e](https://a.example/(b) [f](#g)\n```\n[h](../../STYLE.md)\n```\n[i](../gone.md) [j](../../../k)\n";
        std::fs::write(&page, text).expect("a page");
        let faults = complete(&root, &folder).expect("rewritten");
        let gone = |link: &str| format!("docs/hsm/a.md: the link to `{link}` leads nowhere");
        assert_eq!(faults, [gone("../../../k"), gone("../gone.md")]);
        let of = |kind: &str, path: &str| format!("{REPOSITORY}/{kind}/v{VERSION}/{path}");
        let expected = text
            .replacen("../../STYLE.md#y", &of("blob", "STYLE.md#y"), 1)
            .replace("../../deploy/nginx.conf", &of("blob", "deploy/nginx.conf"))
            .replace("../../deploy/)", &format!("{})", of("tree", "deploy")));
        assert_eq!(std::fs::read_to_string(&page).expect("a page"), expected);
        std::fs::remove_dir_all(&root).expect("removed");
    }

    #[test]
    fn every_link_of_the_documentation_leads_somewhere() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
        let folder = std::env::temp_dir().join(format!("documentation-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let copied = std::process::Command::new("cp")
            .args(["-r", "LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md", "docs"])
            .arg(&folder)
            .current_dir(root)
            .status();
        assert!(copied.expect("cp").success());
        let none: [&str; 0] = [];
        assert_eq!(complete(root, &folder).expect("rewritten"), none);
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
