use super::*;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A temporary crate.
struct Folder(PathBuf);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        static CREATED: AtomicUsize = AtomicUsize::new(0);
        let name = format!("vouchsafe-modules-{}-{}", std::process::id(), CREATED.fetch_add(1, Relaxed));
        let folder = Self(std::env::temp_dir().join(name));
        for (path, text) in files {
            let path = folder.0.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[track_caller]
fn check(files: &[(&str, &str)], expected: &[&str]) {
    let folder = Folder::new(files);
    let found = check_crate(&folder.0.join("lib.rs"), &folder.0).unwrap();
    assert_eq!(found, expected);
}

#[test]
fn names_files_and_lines_of_a_cycle() {
    check(
        &[
            ("lib.rs", "mod a;\nmod b;\nmod c;"),
            ("a.rs", "\nuse crate::{b::B, c};\npub struct A;"),
            ("b.rs", "pub struct B;\npub fn b(_: super::c::C) {}"),
            ("c.rs", "pub struct C;\npub fn c() -> Vec<B> {\n    vec![crate::a::new()]\n}"),
        ],
        &["module cycle of 2 files:\
            \n  a.rs:2 uses `crate::c` of c.rs\
            \n  c.rs:3 uses `crate::a::new` of a.rs\
            \n  part of a tangle of 3 files:\
            \n  a.rs:2 uses `crate::b::B` of b.rs\
            \n  b.rs:2 uses `super::c::C` of c.rs"],
    );
}

#[test]
fn finds_child_that_uses_its_parent() {
    let cycle = "module cycle of 2 files:\
        \n  a.rs:1 uses `c::c` of a/c.rs\
        \n  a/c.rs:1 uses `super::N` of a.rs";
    let child = ("a/c.rs", "pub fn c() { println!(\"{}\", super::N) }");
    check(&[("lib.rs", "mod a;"), ("a.rs", "mod c; const N: u8 = 1; pub fn a() { c::c() }"), child], &[cycle]);
    check(&[("lib.rs", "mod a;"), ("a.rs", "mod c; const N: u8 = 1;"), child], &[]);
    let glob = ("a/c.rs", "use super::*; pub fn c() -> u8 { N }");
    check(
        &[("lib.rs", "mod a;"), ("a.rs", "mod c; const N: u8 = 1; pub use c::c;"), glob],
        &["module cycle of 2 files:\
        \n  a.rs:1 uses `c::c` of a/c.rs\
        \n  a/c.rs:1 uses `super` of a.rs"],
    );
}

#[test]
fn follows_re_exports_to_the_definition() {
    let b = ("b.rs", "use crate::A; pub struct B(A);");
    check(&[("lib.rs", "mod a; mod b; pub use a::A; pub use b::B;"), ("a.rs", "pub struct A;"), b], &[]);
    check(&[("lib.rs", "mod a; mod b; pub use a::*; pub use b::B;"), ("a.rs", "pub struct A;"), b], &[]);
    check(
        &[("lib.rs", "mod a; mod b; pub use a::A; pub use b::B;"), ("a.rs", "use crate::B; pub struct A;"), b],
        &["module cycle of 2 files:\n  a.rs:1 uses `crate::B` of b.rs\n  b.rs:1 uses `crate::A` of a.rs"],
    );
    check(
        &[("lib.rs", "mod b; pub struct A; pub use b::B;"), b],
        &["module cycle of 2 files:\n  lib.rs:1 uses `b::B` of b.rs\n  b.rs:1 uses `crate::A` of lib.rs"],
    );
    check(&[("lib.rs", "mod b; pub use serde::A; pub use b::B;"), b], &[]);
}

#[test]
fn ignores_test_modules_and_external_crates() {
    check(
        &[
            ("lib.rs", "mod a; mod b; pub use a::A; #[cfg(test)] mod missing;"),
            ("a.rs", "use crate::b::B; pub struct A(B); use serde::b; fn f() { b::B::new() }"),
            ("b.rs", "use a::A; pub struct B; #[cfg(test)] mod tests { use crate::a::A; }"),
        ],
        &[],
    );
}

#[test]
fn reads_inline_and_relocated_modules() {
    check(
        &[
            ("lib.rs", "mod a { pub mod b; pub struct A; } #[path = \"elsewhere.rs\"] mod c;"),
            ("a/b.rs", "use super::A; use crate::c::C;"),
            ("elsewhere.rs", "pub struct C; use crate::a::b;"),
        ],
        &[
            "module cycle of 2 files:\n  a/b.rs:1 uses `crate::c::C` of elsewhere.rs\n  elsewhere.rs:1 uses `crate::a::b` of a/b.rs",
        ],
    );
}
