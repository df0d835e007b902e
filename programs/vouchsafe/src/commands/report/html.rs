//! A report as a page without scripts. Everything that it shows may have been chosen by others, so all text is escaped.

use serde_json::Value;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
    color:#1c1c1c;background:#fff}table{border-collapse:collapse;width:100%;margin:1rem 0 2rem}\
    th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ccc;overflow-wrap:anywhere}\
    td.n,th.n{text-align:right}@media(prefers-color-scheme:dark){body{color:#e8e8e8;background:#161616}\
    th,td{border-color:#444}}";

/// The whole page.
pub fn page(report: &Value) -> String {
    let title = format!("Vouchsafe: {} to {}", text(&report["from"]), text(&report["to"]));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n<title>{0}</title>\n<style>{STYLE}</style>\n\
         <h1>{0}</h1>\n",
        escape(&title)
    );
    section(&mut page, "Exchanges", &report["exchanges"], &["slug", "count", "before"]);
    section(&mut page, "Workloads that policy denied", &report["denials"], &["issuer", "subject", "count"]);
    let policies = &report["policies"];
    let used = match (policies["used"].as_u64(), policies["in_bundle"].as_u64()) {
        (Some(used), Some(all)) => format!("Policies: {used} of {all} determined a decision"),
        _ => "Policies that determined decisions".to_owned(),
    };
    section(&mut page, &used, &policies["policies"], &["policy", "decisions", "last", "in_bundle"]);
    section(&mut page, "Bundles in use", &report["bundles"], &["digest", "first", "last", "decisions"]);
    let rotation = &report["rotation"];
    let keys = format!(
        "Rotation: {} keys signed, {} of them new; the longest use of one was {} s",
        text(&rotation["keys"]),
        text(&rotation["new_keys"]),
        text(&rotation["longest_use_seconds"])
    );
    section(&mut page, &keys, &rotation["generations"], &["generation", "since"]);
    section(&mut page, "What operators did", &report["operations"], &["at", "operation", "id", "actor", "reason"]);
    if report["keys"].is_array() {
        let columns = ["kind", "name", "custody", "state", "owner", "criticality", "warnings"];
        section(&mut page, "Keys", &report["keys"], &columns);
    }
    page.push_str("</html>\n");
    page
}

fn section(page: &mut String, title: &str, rows: &Value, columns: &[&str]) {
    page.push_str(&format!("<h2>{}</h2>\n", escape(title)));
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        page.push_str("<p>None.</p>\n");
        return;
    }
    let class = |column: &str| {
        let is_number = rows.iter().all(|row| row[column].is_number());
        if is_number { " class=\"n\"" } else { "" }
    };
    page.push_str("<table><tr>");
    for column in columns {
        page.push_str(&format!("<th{}>{}</th>", class(column), escape(&column.replace('_', " "))));
    }
    page.push_str("</tr>\n");
    for row in rows {
        page.push_str("<tr>");
        for column in columns {
            page.push_str(&format!("<td{}>{}</td>", class(column), escape(&text(&row[*column]))));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join("; "),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shows_hostile_text_as_text() {
        let hostile = "<img src=x onerror=\"alert(1)\">&'";
        let report = json!({ "denials": [{ "issuer": hostile, "subject": hostile, "count": 3 }] });
        let page = page(&report);
        assert!(!page.contains("<img"), "{page}");
        assert!(page.contains("<td>&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&amp;&#39;</td>"), "{page}");
        assert!(page.contains("<td class=\"n\">3</td>"), "{page}");
    }

    #[test]
    fn says_where_there_is_nothing() {
        let page = page(&json!({}));
        assert_eq!(page.matches("<p>None.</p>").count(), 6);
    }
}
