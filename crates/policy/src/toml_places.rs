//! Where in a TOML file something is said, for findings about what was read from it before.

use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The bytes of the value behind `path`, keys from the outermost inward; entries of an array go by their
/// number. None where there is no such value, or no TOML.
pub(crate) fn value(text: &str, path: &[&str]) -> Option<Range<usize>> {
    let table = DeTable::parse(text).ok()?;
    let (first, rest) = path.split_first()?;
    let mut value = table.get_ref().get(*first)?;
    for part in rest {
        value = match value.get_ref() {
            DeValue::Table(table) => table.get(*part)?,
            DeValue::Array(array) => array.get(part.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value.span())
}

/// The bytes of a key of the table, or of a text of the array, behind the top-level key `name`.
pub(crate) fn key_of(text: &str, name: &str, key: &str) -> Option<Range<usize>> {
    let table = DeTable::parse(text).ok()?;
    let value = table.get_ref().get(name)?;
    match value.get_ref() {
        // Under a header of its own a table's bytes are those of the header.
        DeValue::Table(table) => {
            let mut keys = table.iter().map(|(key, _)| key);
            let found = keys.find(|known| known.get_ref().as_ref() == key)?;
            Some(found.span())
        }
        _ => text_within(text, &value.span(), key),
    }
}

/// The bytes of the first text or key within `span` that says `wanted`.
pub(crate) fn text_within(text: &str, span: &Range<usize>, wanted: &str) -> Option<Range<usize>> {
    let table = DeTable::parse(text).ok()?;
    let mut found = Vec::new();
    in_table(table.get_ref(), wanted, &mut found);
    found.retain(|place| span.start <= place.start && place.end <= span.end);
    found.into_iter().min_by_key(|place| place.start)
}

fn in_table(table: &DeTable<'_>, wanted: &str, found: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        if key.get_ref().as_ref() == wanted {
            found.push(key.span());
        }
        in_value(value, wanted, found);
    }
}

fn in_value(value: &Spanned<DeValue<'_>>, wanted: &str, found: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::String(text) if text.as_ref() == wanted => found.push(value.span()),
        DeValue::Array(array) => array.iter().for_each(|it| in_value(it, wanted, found)),
        DeValue::Table(table) => in_table(table, wanted, found),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{text_within, value};

    const TEXT: &str = "id = \"a\"\nlist = [\"a\", 'é']\n[keys]\nexpires = \"soon\"\n[[link]]\nid = \"one\"\n[[link]]\nid = \"two\"\n";

    #[test]
    fn finds_values_by_their_path() {
        let at = |path: &[&str]| value(TEXT, path).and_then(|span| TEXT.get(span));
        assert_eq!(at(&["id"]), Some("\"a\""));
        assert_eq!(at(&["list", "1"]), Some("'é'"));
        assert_eq!(at(&["keys", "expires"]), Some("\"soon\""));
        assert_eq!(at(&["link", "1", "id"]), Some("\"two\""));
        for absent in [
            &["gone"][..],
            &["list", "2"],
            &["id", "0"],
            &["list", "x"],
            &[],
        ] {
            assert_eq!(at(absent), None, "{absent:?}");
        }
        assert_eq!(value("id = ", &["id"]), None);
    }

    #[test]
    fn finds_texts_and_keys_only_within_what_they_are_looked_for() {
        let list = value(TEXT, &["list"]).expect("a list");
        assert_eq!(text_within(TEXT, &list, "a"), Some(17..20));
        assert_eq!(text_within(TEXT, &(0..TEXT.len()), "a"), Some(5..8));
        assert_eq!(text_within(TEXT, &(0..TEXT.len()), "expires"), Some(35..42));
        assert_eq!(text_within(TEXT, &list, "one"), None);
    }
}
