//! Differences as text, Markdown and JSON.

use super::replay::{Group, Replay};
use crate::commands::policy::output::count;
use serde_json::{Value, json};
use vouchsafe_policy::to_rfc3339;
use vouchsafe_policy_tools::diff::{Change, Difference, Direction, Side, Subject, Takeover, TakeoverOf};

const DIRECTIONS: [(Direction, &str); 3] =
    [(Direction::Widening, "widening"), (Direction::Either, "either way"), (Direction::Narrowing, "narrowing")];

pub fn as_text(difference: &Difference, replay: &Replay) -> String {
    let mut text = String::new();
    for takeover in &difference.takeovers {
        text.push_str(&format!("warning: {}\n", takeover_text(takeover)));
    }
    for (direction, title) in DIRECTIONS {
        if difference.of(direction).next().is_some() {
            text.push_str(&format!("{title}:\n"));
        }
        text.extend(replay.groups(difference.of(direction)).iter().map(group_text));
        text.extend(single(difference, direction).map(change_text));
    }
    if let Some(note) = unreadable(replay) {
        text.push_str(&format!("note: {note}\n"));
    }
    text + &summary(difference) + "\n"
}

/// The changes that are listed one by one: all but those of recorded decisions.
fn single(difference: &Difference, direction: Direction) -> impl Iterator<Item = &Change> {
    difference.of(direction).filter(|change| change.subject != Subject::Recorded)
}

fn takeover_text(takeover: &Takeover) -> String {
    let Takeover { of, issuer, old, new } = takeover;
    match of {
        TakeoverOf::Url => format!(
            "issuer `{issuer}` would be {new} instead of {old}: its workloads would get what those of the old issuer get"
        ),
        TakeoverOf::KeySource => format!(
            "the keys of issuer `{issuer}` would be from {new} instead of {old}: whoever has the new keys could sign for \
             its workloads"
        ),
    }
}

fn group_text(group: &Group<'_>) -> String {
    let Group { subject, audience, old, new, decisions, last_at } = group;
    let (decisions, at) = (count_u64(*decisions, "decision"), to_rfc3339(*last_at).unwrap_or_default());
    format!("  {decisions} of `{subject}` for `{audience}`, last at {at}: {old} -> {new}\n")
}

fn change_text(change: &Change) -> String {
    let Change { name, old, new, .. } = change;
    let kind = kind(change.subject);
    match change.direction {
        Direction::Either => format!("  {kind} {name}:\n    - {old}\n    + {new}\n"),
        Direction::Narrowing | Direction::Widening => {
            format!("  {kind} {name}: {old} -> {new}\n")
        }
    }
}

fn unreadable(replay: &Replay) -> Option<String> {
    let records = count(replay.unreadable, "recorded request");
    (replay.unreadable > 0).then(|| format!("skipped {records} that cannot be parsed"))
}

fn summary(difference: &Difference) -> String {
    let number = |direction| difference.of(direction).count();
    let takeovers = |of| difference.takeovers.iter().filter(|takeover| takeover.of == of).count();
    let taken = match difference.takeovers.is_empty() {
        true => "no issuer URL or key source changed".to_owned(),
        false => format!(
            "{} and {} changed",
            count(takeovers(TakeoverOf::Url), "issuer URL"),
            count(takeovers(TakeoverOf::KeySource), "key source")
        ),
    };
    format!(
        "{}: {} widening, {} either way, {} narrowing; {taken}; {} decided by both bundles",
        count(difference.changes.len(), "change"),
        number(Direction::Widening),
        number(Direction::Either),
        number(Direction::Narrowing),
        count(difference.decided, "request"),
    )
}

fn count_u64(number: u64, noun: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), noun)
}

fn kind(subject: Subject) -> &'static str {
    match subject {
        Subject::Audience => "audience",
        Subject::Case => "case",
        Subject::Issuer => "issuer",
        Subject::Group => "group",
        Subject::Pair => "pair",
        Subject::Recorded => "decision",
        Subject::Policy => "rule",
        Subject::Zone => "zone",
    }
}

/// A heading and a table for each direction.
pub fn as_markdown(difference: &Difference, replay: &Replay) -> String {
    let mut text = String::new();
    for takeover in &difference.takeovers {
        text.push_str(&format!("> **Warning:** {}\n\n", inline(&takeover_text(takeover))));
    }
    for (direction, title) in DIRECTIONS {
        let rows: Vec<[String; 3]> = replay
            .groups(difference.of(direction))
            .iter()
            .map(group_cells)
            .chain(single(difference, direction).map(change_cells))
            .collect();
        if rows.is_empty() {
            continue;
        }
        let (first, rest) = title.split_at(1);
        text.push_str(&format!("### {}{rest}\n\n| what | before | after |\n|---|---|---|\n", first.to_uppercase()));
        text.extend(rows.iter().map(|[what, old, new]| format!("| {what} | {old} | {new} |\n")));
        text.push('\n');
    }
    if let Some(note) = unreadable(replay) {
        text.push_str(&format!("Note: {note}.\n\n"));
    }
    text + &summary(difference) + ".\n"
}

fn group_cells(group: &Group<'_>) -> [String; 3] {
    let Group { subject, audience, old, new, decisions, last_at } = group;
    let (decisions, at) = (count_u64(*decisions, "decision"), to_rfc3339(*last_at).unwrap_or_default());
    [format!("{decisions} of {} for {}, last at {at}", code(subject), code(audience)), code(old), code(new)]
}

fn change_cells(change: &Change) -> [String; 3] {
    [format!("{} {}", kind(change.subject), code(&change.name)), code(&change.old), code(&change.new)]
}

/// Text from a bundle or a record as plain text, which can neither end a cell nor become a link, an image or HTML.
fn inline(text: &str) -> String {
    let mut plain = String::new();
    for character in text.chars() {
        match character {
            '<' => plain.push_str("&lt;"),
            '&' => plain.push_str("&amp;"),
            '|' | '[' | ']' | '*' | '_' | '\\' | '!' | '~' | '#' | '`' => plain.extend(['\\', character]),
            '\n' | '\r' => plain.push(' '),
            other => plain.push(other),
        }
    }
    plain
}

/// `text` in the font of code. Unlike in backticks, escapes work within, and unlike in plain text, names are no mentions.
fn code(text: &str) -> String {
    format!("<code>{}</code>", inline(text))
}

pub fn as_json(difference: &Difference, old: &Side<'_>, new: &Side<'_>, replay: &Replay) -> Value {
    let of = |direction| {
        let changes = difference.of(direction).map(|change| {
            json!({
                "kind": kind(change.subject), "name": change.name,
                "old": change.old, "new": change.new,
            })
        });
        changes.collect::<Vec<_>>()
    };
    let takeovers = |of| {
        let takeovers = difference.takeovers.iter().filter(move |takeover| takeover.of == of);
        let takeovers =
            takeovers.map(|takeover| json!({ "issuer": takeover.issuer, "old": takeover.old, "new": takeover.new }));
        takeovers.collect::<Vec<_>>()
    };
    json!({
        "old": old.bundle.digest(),
        "new": new.bundle.digest(),
        "decided": difference.decided,
        "unreadable": replay.unreadable,
        "issuer_urls": takeovers(TakeoverOf::Url),
        "key_sources": takeovers(TakeoverOf::KeySource),
        "widening": of(Direction::Widening),
        "either": of(Direction::Either),
        "narrowing": of(Direction::Narrowing),
    })
}
