//! The inventory for people and for programs.

use super::entry::Entry;
use crate::client::text::sanitize;
use crate::commands::keys::time::relative;
use serde_json::{Value, json};

/// A table, and the warnings below it.
pub fn text(entries: &[Entry], now: u64) -> String {
    let mut text = String::new();
    let when = |moment: Option<u64>| moment.map_or("-".to_owned(), |it| relative(now, it));
    let rows = entries.iter().map(|entry| {
        let name = match &entry.algorithm {
            Some(algorithm) => format!("{} {algorithm}", entry.name),
            None => entry.name.clone(),
        };
        [
            entry.kind.to_owned(),
            sanitize(&name),
            sanitize(&entry.custody),
            entry.state.name().to_owned(),
            sanitize(entry.owner.as_deref().unwrap_or("nobody")),
            entry.criticality.unwrap_or("-").to_owned(),
            when(entry.created),
            when(entry.expires),
            when(entry.used),
        ]
    });
    let head = ["KIND", "NAME", "CUSTODY", "STATE", "OWNER", "CRITICALITY", "CREATED", "EXPIRES", "LAST USE"];
    let rows: Vec<[String; 9]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let widths: [usize; 9] =
        std::array::from_fn(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0));
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    for entry in entries {
        for warning in &entry.warnings {
            text.push_str(&format!("warning: {} {}: {}\n", entry.kind, sanitize(&entry.name), sanitize(warning)));
        }
    }
    text
}

pub fn json(entries: &[Entry]) -> Value {
    let entry = |entry: &Entry| {
        json!({
            "kind": entry.kind,
            "name": entry.name,
            "id": entry.id,
            "algorithm": entry.algorithm,
            "custody": entry.custody,
            "state": entry.state.name(),
            "owner": entry.owner,
            "criticality": entry.criticality,
            "created": entry.created,
            "activated": entry.activated,
            "expires": entry.expires,
            "used": entry.used,
            "warnings": entry.warnings,
        })
    };
    Value::from_iter(entries.iter().map(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_has_a_line_for_each_entry() {
        let mut entry = Entry::new("root", "signer_root", "file /etc/root");
        entry.created = Some(1_000_000);
        entry.warnings.push("it is old".to_owned());
        assert_eq!(
            text(&[entry], 1_000_060),
            "KIND  NAME         CUSTODY         STATE   OWNER   CRITICALITY  CREATED   EXPIRES  LAST USE\n\
             root  signer_root  file /etc/root  active  nobody  -            60 s ago  -        -\n\
             warning: root signer_root: it is old\n"
        );
    }
}
