//! Diagnostics as workflow commands of GitHub Actions, which annotate the lines of a pull request.

use crate::report::item::{Item, path_from};

/// One command per diagnostic; `dir` is the bundle's folder relative to the repository's root.
pub fn github(items: &[Item], dir: &str) -> String {
    items.iter().map(|item| command(item, dir)).collect()
}

fn command(item: &Item, dir: &str) -> String {
    let kind = item.severity.name();
    let mut properties = format!("file={}", property(&path_from(dir, item)));
    if let Some(place) = &item.place {
        let position = place.position;
        properties.push_str(&format!(
            ",line={},col={},endColumn={}",
            position.line,
            position.column,
            place.end_column()
        ));
    }
    let message = match &item.fix {
        Some(fix) => format!("{}\nfix: {fix}", item.message),
        None => item.message.clone(),
    };
    format!("::{kind} {properties},title={}::{}\n", property(item.code), data(&message))
}

/// `text` as the data of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// `text` as the value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
