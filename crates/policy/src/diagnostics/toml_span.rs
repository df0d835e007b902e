//! Spans of keys and values in a TOML file, for diagnostics about content that was read before.

use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The span of the value at `path`: keys from the outermost inward, and indices for arrays. None if there is no such
/// value, or the text is not TOML.
pub fn value(text: &str, path: &[&str]) -> Option<Range<usize>> {
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

/// The span of a key of the table, or of a string of the array, at the top-level key `name`.
pub fn key_of(text: &str, name: &str, key: &str) -> Option<Range<usize>> {
    let table = DeTable::parse(text).ok()?;
    let value = table.get_ref().get(name)?;
    match value.get_ref() {
        // The span of a table with a header is that of the header.
        DeValue::Table(table) => {
            let mut keys = table.iter().map(|(key, _)| key);
            let found = keys.find(|known| known.get_ref().as_ref() == key)?;
            Some(found.span())
        }
        _ => text_within(text, &value.span(), key),
    }
}

/// The span of the first string or key within `span` that equals `wanted`.
pub fn text_within(text: &str, span: &Range<usize>, wanted: &str) -> Option<Range<usize>> {
    let table = DeTable::parse(text).ok()?;
    let mut found = Vec::new();
    in_table(table.get_ref(), wanted, &mut found);
    found.retain(|it| span.start <= it.start && it.end <= span.end);
    found.into_iter().min_by_key(|it| it.start)
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

    const TEXT: &str =
        "id = \"a\"\nlist = [\"a\", 'é']\n[keys]\nexpires = \"soon\"\n[[link]]\nid = \"one\"\n[[link]]\nid = \"two\"\n";

    #[test]
    fn finds_values_by_path() {
        let at = |path: &[&str]| value(TEXT, path).and_then(|span| TEXT.get(span));
        assert_eq!(at(&["id"]), Some("\"a\""));
        assert_eq!(at(&["list", "1"]), Some("'é'"));
        assert_eq!(at(&["keys", "expires"]), Some("\"soon\""));
        assert_eq!(at(&["link", "1", "id"]), Some("\"two\""));
        for absent in [&["gone"][..], &["list", "2"], &["id", "0"], &["list", "x"], &[]] {
            assert_eq!(at(absent), None, "{absent:?}");
        }
        assert_eq!(value("id = ", &["id"]), None);
    }

    #[test]
    fn finds_strings_and_keys_only_within_span() {
        let list = value(TEXT, &["list"]).expect("a list");
        assert_eq!(text_within(TEXT, &list, "a"), Some(17..20));
        assert_eq!(text_within(TEXT, &(0..TEXT.len()), "a"), Some(5..8));
        assert_eq!(text_within(TEXT, &(0..TEXT.len()), "expires"), Some(35..42));
        assert_eq!(text_within(TEXT, &list, "one"), None);
    }
}
