//! Formatting of policies, JSON Schemas, and graphs.

use crate::support::*;
use vouchsafe_policy::{Bundle, BundleFiles, Effect, folder};
use vouchsafe_policy_tools::graph::{Grant, Graph};
use vouchsafe_policy_tools::{FormatError, cases, format_policies, lint};

fn default_files() -> BundleFiles {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    folder::read(&root).unwrap_or_else(|invalid| panic!("{invalid}"))
}

#[test]
fn formatting_keeps_comments_and_is_idempotent() {
    let text = "// why\n@id(\"a\") permit(principal,action,resource)when{true // here\n};";
    let once = format_policies(text).expect("it is Cedar");
    assert!(once.contains("// why\n") && once.contains("// here\n"), "{once}");
    assert_eq!(format_policies(&once), Ok(once.clone()));
    let headed = format!("// about all\n\n{once}");
    assert_eq!(format_policies(&headed), Ok(headed.clone()));
    let comments = "// nothing but words\n";
    assert_eq!(format_policies(comments), Ok(comments.to_owned()));
    assert_eq!(format_policies("permit (principal;"), Err(FormatError::Unreadable("unexpected token `;`".to_owned())));
}

#[test]
fn default_bundle_is_formatted() {
    for (path, content) in default_files().iter().filter(|(path, _)| path.ends_with(".cedar")) {
        let text = std::str::from_utf8(content).expect("text");
        assert_eq!(format_policies(text).as_deref(), Ok(text), "{path}");
    }
}

/// Digests differ, decisions do not: decides every case of the default bundle before and after joining the lines of its
/// policies.
#[test]
fn formatting_never_changes_decisions() {
    let files = default_files();
    let mut squeezed = BundleFiles::default();
    let mut laid_out = BundleFiles::default();
    for (path, content) in files.iter() {
        let (mut one, mut other) = (content.to_vec(), content.to_vec());
        if path.ends_with(".cedar") {
            let text = std::str::from_utf8(content).expect("text");
            let lines = text.lines().filter(|line| !line.starts_with("//"));
            let line = lines.map(str::trim).collect::<Vec<_>>().join(" ");
            other = format_policies(&line).expect("it is Cedar").into_bytes();
            one = line.into_bytes();
        }
        squeezed.add(path, one).expect("within the limits");
        laid_out.add(path, other).expect("within the limits");
    }
    let environment = vouchsafe_policy::Environment { development: true, ..environment() };
    let before = Bundle::load(&squeezed, &environment).expect("it loads");
    let after = Bundle::load(&laid_out, &environment).expect("it loads");
    assert_ne!(before.digest(), after.digest());
    let cases = cases::read(&squeezed, &before).expect("cases");
    assert!(cases.iter().any(|case| case.effect == Effect::Permit));
    for case in cases {
        assert_eq!(case.decide(&before), case.decide(&after), "{}", case.path);
    }
}

/// The example bundles load, are fully tested, and have no warnings.
#[test]
fn example_bundles_have_no_diagnostics() {
    for name in ["agents", "policies"] {
        check_example(name);
    }
}

fn check_example(name: &str) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let files = folder::read(&root).unwrap_or_else(|invalid| panic!("{invalid}"));
    let report = lint::check(&files, &environment());
    assert!(report.errors.is_empty() && report.warnings.is_empty(), "{report}");
    let suite = vouchsafe_policy_tools::run(&files, &environment()).expect("it runs");
    assert!(suite.passed(), "{:?} {:?}", suite.untested, suite.orphans);
    for rule in vouchsafe_policy_tools::coverage(&suite) {
        for condition in &rule.conditions {
            assert!(condition.is_whole(), "{}: {}", rule.id, condition.text);
        }
    }
    for (path, content) in files.iter().filter(|(path, _)| path.ends_with(".cedar")) {
        let text = std::str::from_utf8(content).expect("text");
        assert_eq!(format_policies(text).as_deref(), Ok(text), "{path}");
    }
    let of_default = default_files();
    let schema = "schema.cedarschema";
    assert_eq!(files.content(schema), of_default.content(schema), "two copies of one file");
}

/// The schemas for editors are those of the types.
#[test]
fn published_json_schemas_match_types() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas");
    for (name, schema) in vouchsafe_policy_tools::schemas() {
        let path = root.join(format!("{name}.schema.json"));
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let hint = "write them anew: vouchsafe policy schema --output docs/schemas";
        let published: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        // Compared as values, because the order of members depends on enabled features.
        assert_eq!(published, schema, "{name}: {hint}");
    }
}

fn graph(changes: &[(&str, Option<&str>)]) -> Graph {
    let bundle = Bundle::load(&files(changes), &environment());
    Graph::of(&bundle.unwrap_or_else(|invalid| panic!("{invalid}")))
}

#[test]
fn mermaid_connects_issuers_to_keys() {
    let other = "id = \"https://o\\\"ther.example\"\ntier = \"hsm\"\nalgorithm = \"RS256\"\n";
    let graph = graph(&[("audiences/other.toml", Some(other))]);
    let (title, text) =
        graph.mermaid().split_once("\n---\n").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a title");
    assert_eq!(title, format!("---\ntitle: \"{}\"", graph.title));
    assert!(graph.title.starts_with("test 1, sha256 ") && graph.title.len() == 15 + 64, "{title}");
    assert_eq!(
        text,
        "flowchart LR\n  \
         i0[\"issuer github<br/>https://idp.example\"] --> k0([\"GitHub::Workflow\"])\n  \
         a0[\"https://api.example<br/>read write\"] --> t1\n  \
         a1[\"https://o#quot;ther.example<br/>nobody\"] --> t0\n  \
         t0[(\"HSM, RS256\")]\n  \
         t1[(\"epoch keys, ES256\")]\n  \
         p0[\"permit api if …\"]\n  \
         k0 --- p0\n  \
         p0 --> a0\n  \
         p1[\"forbid never if …\"]:::forbid\n  \
         k0 --- p1\n  \
         p1 --x a0\n  \
         p1 --x a1\n  \
         classDef forbid stroke:#c00,color:#c00\n"
    );
}

fn grant(policy: &str, issuer: &str, audience: &str) -> Grant {
    Grant { policy: policy.to_owned(), issuer: issuer.to_owned(), audience: audience.to_owned() }
}

#[test]
fn shows_how_often_an_edge_was_used() {
    let mut graph = graph(&[("audiences/other.toml", Some("id = \"https://other.example\"\n"))]);
    let uses = [
        (grant("api", "github", "https://api.example"), 3),
        (grant("api", "gitlab", "https://api.example"), 4),
        (grant("never", "github", "https://other.example"), 1),
        (grant("removed", "github", "https://api.example"), 9),
    ];
    graph.count(&uses.into());
    let text = graph.mermaid();
    for line in ["k0 === p0", "p0 ==>|7| a0", "k0 === p1", "p1 -.-x a0", "p1 ==x|1| a1"] {
        assert!(text.contains(&format!("  {line}\n")), "{line} is not in\n{text}");
    }
    let svg = graph.svg();
    for (drawn, times) in [
        ("class=\"u\"><title>decisions: 3</title>", 1),
        ("class=\"u\"><title>decisions: 7</title>", 1),
        ("class=\"f u\"><title>decisions: 1</title>", 2),
        ("class=\"f n\"><title>decisions: 0</title>", 1),
        (">not used</text>", 1),
    ] {
        assert_eq!(svg.matches(drawn).count(), times, "{drawn}: {svg}");
    }
}

#[test]
fn unused_permit_has_dotted_edges() {
    let mut graph = graph(&[]);
    assert!(!graph.svg().contains("not used"));
    graph.count(&std::collections::BTreeMap::new());
    let text = graph.mermaid();
    assert!(text.contains("  k0 -.- p0\n  p0 -.-> a0\n"), "{text}");
    assert!(graph.svg().contains("not used"));
}

#[test]
fn keeps_only_possible_edges_of_permits() {
    let rule = "@id(\"all\")\npermit (principal is GitHub::Workflow in Issuer::\"github\", action, resource);\n";
    let mut graph =
        graph(&[("audiences/other.toml", Some("id = \"https://other.example\"\n")), ("rules/all.cedar", Some(rule))]);
    graph.keep(&[grant("all", "github", "https://other.example")].into());
    let text = graph.mermaid();
    assert!(text.contains("  p0[\"permit all\"]\n  k0 --- p0\n  p0 --> a1\n"), "{text}");
    assert!(text.contains("  p1[\"permit api if …\"]\n  p2["), "{text}");
    assert!(text.contains("  p2 --x a0\n  p2 --x a1\n"), "forbids keep theirs: {text}");
    assert!(text.contains("a0[\"https://api.example<br/>nobody\"]"), "{text}");
}

#[test]
fn svg_is_well_formed_and_escaped() {
    let other = "id = \"https://<other>&.example\"\n";
    let svg = graph(&[("audiences/other.toml", Some(other))]).svg();
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
    assert!(svg.contains("https://&lt;other&gt;&amp;.example nobody</title>"), "{svg}");
    assert!(!svg.contains("<other>"));
    // Every opened element is closed.
    for name in ["svg", "g", "text", "title", "style", "defs", "marker"] {
        let opened = svg.matches(&format!("<{name}>")).count() + svg.matches(&format!("<{name} ")).count();
        assert_eq!(opened, svg.matches(&format!("</{name}>")).count(), "{name}");
    }
}

/// A cell for each policy, issuer, type, audience and key, none on top of another.
#[test]
fn svg_draws_each_policy_once() {
    let rule = |id: &str| format!("@id(\"{id}\")\npermit (principal in Issuer::\"github\", action, resource);\n");
    let many = ["b", "c"].map(rule).concat();
    let other = "id = \"https://other.example\"\n";
    let graph = graph(&[("audiences/other.toml", Some(other)), ("rules/many.cedar", Some(&many))]);
    let svg = graph.svg();
    for title in ["permit api, with conditions", "forbid never, with conditions", "permit b", "permit c"] {
        assert_eq!(svg.matches(&format!("<title>{title}</title>")).count(), 1, "{title}: {svg}");
    }
    assert!(svg.contains(&format!(">{}</text>", graph.title)), "{svg}");
    let cells = svg.lines().filter(|line| line.starts_with("<g>"));
    let places = cells.map(|cell| cell.split("<rect ").nth(1).and_then(|it| it.split(" width").next()));
    let places: Vec<_> = places.collect();
    let distinct: std::collections::BTreeSet<_> = places.iter().collect();
    assert_eq!((places.len(), distinct.len()), (9, 9), "{svg}");
    // `never` has an edge from its type and one to each audience. The others: 2 of `api`, 3 each of `b` and `c`, one of
    // the issuer and one of each audience.
    let red = svg.matches("marker-end=\"url(#b)\" class=\"f\"").count();
    let plain = svg.matches("marker-end=\"url(#a)\"/>").count();
    assert_eq!((red, plain), (3, 11), "{svg}");
}

/// Policies in the documentation pass `policy fmt --check`.
#[test]
fn documented_policies_are_formatted() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let providers = std::fs::read_dir(root.join("docs/providers")).expect("pages");
    let pages = providers.map(|page| page.expect("a page").path());
    let guides = ["README.md", "docs/first-policy.md", "docs/policy-tools.md"];
    let pages = pages.chain(guides.map(|page| root.join(page)));
    let mut rules = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).expect("a page");
        let blocks = text.split("```cedar\n").skip(1);
        let blocks = blocks.filter_map(|rest| rest.split_once("```").map(|(block, _)| block));
        for block in blocks.filter(|block| block.contains("@id(")) {
            rules += 1;
            assert_eq!(format_policies(block).as_deref(), Ok(block), "{}", page.display());
        }
    }
    assert!(rules > 12, "{rules}");
}
