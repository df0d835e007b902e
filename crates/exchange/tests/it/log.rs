//! What log lines contain, and their limits.

use serde_json::{Value, json};
use vouchsafe_exchange::limits::LINES_PER_MINUTE_MAX;
use vouchsafe_exchange::log::{Line, Sampler};

/// The first second of a minute.
const MINUTE: u64 = 1_800_000_000;

fn line(route: &'static str, slug: &'static str) -> Line<'static> {
    Line { time: MINUTE, request_id: "r1", route, slug, status: 400, ..Line::default() }
}

fn at<'a>(line: &Line<'a>, time: u64) -> Line<'a> {
    Line { time, ..*line }
}

fn parsed(lines: Vec<String>) -> Vec<Value> {
    let parse = |line: String| serde_json::from_str(&line).expect("JSON");
    lines.into_iter().map(parse).collect()
}

#[test]
fn bounds_lines_for_undecided_requests() {
    let mut log = Sampler::new();
    let unknown = line("other", "not_found");
    for number in 1..=LINES_PER_MINUTE_MAX + 5 {
        let written = log.lines(&at(&unknown, MINUTE + number % 60)).len();
        let expected = usize::from(number <= LINES_PER_MINUTE_MAX);
        assert_eq!(written, expected, "{number}");
    }
    // Other slugs and routes are counted separately.
    for other in [line("other", "method_not_allowed"), line("token", "not_found")] {
        assert_eq!(log.lines(&other), [other.render()]);
    }
    let next = parsed(log.lines(&at(&unknown, MINUTE + 60)));
    let omitted = json!({ "route": "other", "slug": "not_found", "lines": 5, "minute": MINUTE });
    assert_eq!(next.len(), 2, "{next:?}");
    assert_eq!(next[0], json!({ "time": MINUTE + 60, "level": "warn", "omitted": omitted }));
    assert_eq!(next[1]["slug"], "not_found");
    let later = at(&unknown, MINUTE + 120);
    assert_eq!(log.lines(&later), [later.render()]);
}

#[test]
fn omits_nothing_at_the_bound() {
    let mut log = Sampler::new();
    for _ in 0..LINES_PER_MINUTE_MAX {
        assert_eq!(log.lines(&line("token", "request.malformed")).len(), 1);
    }
    let next = at(&line("token", "request.malformed"), MINUTE + 60);
    assert_eq!(log.lines(&next), [next.render()]);
}

#[test]
fn logs_every_decision() {
    let mut log = Sampler::new();
    let decided = Line { decision_id: Some("d1"), ..line("token", "policy.denied") };
    for _ in 0..3 * LINES_PER_MINUTE_MAX {
        assert_eq!(log.lines(&decided), [decided.render()]);
    }
    let later = at(&decided, MINUTE + 60);
    assert_eq!(log.lines(&later), [later.render()]);
}

/// A line that is always written also reports the omitted ones.
#[test]
fn reports_omitted_lines_with_next_line() {
    let mut log = Sampler::new();
    for _ in 0..=LINES_PER_MINUTE_MAX {
        let _written = log.lines(&line("token", "token.malformed"));
    }
    let decided = Line { decision_id: Some("d1"), ..line("token", "issued") };
    let lines = parsed(log.lines(&at(&decided, MINUTE + 600)));
    assert_eq!(lines[0]["omitted"]["lines"], 1);
    assert_eq!(lines[1]["decision_id"], "d1");
}

#[test]
fn lines_have_time_level_ids_and_names() {
    let decided = Line {
        decision_id: Some("d1"),
        issuer: Some("github"),
        audience: Some("https://api.example"),
        ..line("token", "policy.denied")
    };
    let found = parsed(vec![decided.render()]).remove(0);
    for (name, value) in [
        ("time", json!(MINUTE)),
        ("level", json!("info")),
        ("request_id", json!("r1")),
        ("decision_id", json!("d1")),
        ("issuer", json!("github")),
        ("audience", json!("https://api.example")),
    ] {
        assert_eq!(found[name], value, "{name}");
    }
    let found = parsed(vec![line("token", "token.malformed").render()]).remove(0);
    for name in ["decision_id", "issuer", "audience", "bundle", "rules", "detail", "warnings"] {
        assert_eq!(found.get(name), None, "{name}");
    }
}

#[test]
fn levels_tell_whom_a_line_concerns() {
    let erring = ["r".to_owned()];
    let level = |line: Line<'_>| parsed(vec![line.render()])[0]["level"].clone();
    assert_eq!(level(Line { status: 499, ..line("token", "x") }), "info");
    assert_eq!(level(Line { status: 500, ..line("token", "x") }), "error");
    assert_eq!(level(Line { erring_rules: &erring, ..line("token", "x") }), "warn");
    assert_eq!(level(Line { warnings: &erring, ..line("readyz", "ok") }), "warn");
    assert_eq!(level(Line { status: 503, warnings: &erring, ..line("readyz", "x") }), "error");
}
