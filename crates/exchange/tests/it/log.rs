//! Limits on log lines.

use serde_json::{Value, json};
use vouchsafe_exchange::limits::LINES_PER_MINUTE_MAX;
use vouchsafe_exchange::log::{Line, Sampler};

/// The first second of a minute.
const MINUTE: u64 = 1_800_000_000;

fn line(route: &'static str, slug: &'static str) -> Line<'static> {
    Line { route, slug, status: 400, ..Line::default() }
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
        let written = log.lines(&unknown, MINUTE + number % 60).len();
        let expected = usize::from(number <= LINES_PER_MINUTE_MAX);
        assert_eq!(written, expected, "{number}");
    }
    // Other slugs and routes are counted separately.
    for other in [line("other", "method_not_allowed"), line("token", "not_found")] {
        assert_eq!(log.lines(&other, MINUTE + 59), [other.render()]);
    }
    let next = parsed(log.lines(&unknown, MINUTE + 60));
    let omitted = json!({ "route": "other", "slug": "not_found", "lines": 5, "minute": MINUTE });
    assert_eq!(next.len(), 2, "{next:?}");
    assert_eq!(next[0], json!({ "omitted": omitted }));
    assert_eq!(next[1]["slug"], "not_found");
    assert_eq!(log.lines(&unknown, MINUTE + 120), [unknown.render()]);
}

#[test]
fn omits_nothing_at_the_bound() {
    let mut log = Sampler::new();
    for _ in 0..LINES_PER_MINUTE_MAX {
        assert_eq!(log.lines(&line("token", "request.malformed"), MINUTE).len(), 1);
    }
    let next = line("token", "request.malformed");
    assert_eq!(log.lines(&next, MINUTE + 60), [next.render()]);
}

#[test]
fn logs_every_decision() {
    let mut log = Sampler::new();
    let decided = Line { decision_id: Some("d1"), ..line("token", "policy.denied") };
    for _ in 0..3 * LINES_PER_MINUTE_MAX {
        assert_eq!(log.lines(&decided, MINUTE), [decided.render()]);
    }
    assert_eq!(log.lines(&decided, MINUTE + 60), [decided.render()]);
}

/// A line that is always written also reports the omitted ones.
#[test]
fn reports_omitted_lines_with_next_line() {
    let mut log = Sampler::new();
    for _ in 0..=LINES_PER_MINUTE_MAX {
        let _written = log.lines(&line("token", "token.malformed"), MINUTE);
    }
    let decided = Line { decision_id: Some("d1"), ..line("token", "issued") };
    let lines = parsed(log.lines(&decided, MINUTE + 600));
    assert_eq!(lines[0]["omitted"]["lines"], 1);
    assert_eq!(lines[1]["decision_id"], "d1");
}
