//! The manifest of a new broker: the repository's, with the broker's settings and without build commands.

use toml::Value;

const TEMPLATE: &str = include_str!("../../../../../spin.toml");
/// Where `serve` finds the components of its own release if the manifest's folder has none.
const COMPONENTS: &str = "components";

/// What differs from the repository's manifest.
pub struct Settings<'s> {
    pub issuer: &'s str,
    pub audience: &'s str,
    /// `scheme://host[:port]` of each host that the broker fetches keys from.
    pub hosts: Vec<String>,
}

pub fn text(settings: &Settings<'_>) -> String {
    let mut text = String::new();
    let mut is_build = false;
    for line in TEMPLATE.lines() {
        if line.starts_with('[') {
            is_build = line.ends_with(".build]");
        }
        // Skips blank lines that would follow one another.
        let is_command = line.starts_with("command = ");
        if is_build || is_command || (line.is_empty() && text.ends_with("\n\n")) {
            continue;
        }
        text.push_str(&changed(line, settings));
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

fn changed(line: &str, settings: &Settings<'_>) -> String {
    let default = |name: &str, value: &str| format!("{name} = {{ default = {} }}", quoted(value));
    match line.split_once(" = ") {
        Some(("source", file)) => {
            let file = file.trim_matches('"');
            let name = file.rsplit('/').next().unwrap_or(file);
            format!("source = {}", quoted(&format!("{COMPONENTS}/{name}")))
        }
        Some(("allowed_outbound_hosts", _)) => {
            let hosts: Vec<String> = settings.hosts.iter().map(|host| quoted(host)).collect();
            format!("allowed_outbound_hosts = [{}]", hosts.join(", "))
        }
        Some((name @ "issuer", value)) if value.starts_with('{') => default(name, settings.issuer),
        // A new audience needs an entry here too.
        Some((name @ "signer_audiences", value)) if value.starts_with('{') => {
            format!("# All audiences of the bundle, separated by spaces.\n{}", default(name, settings.audience))
        }
        _ => line.replace("`scripts/dev-env` generates one.", "It is in `.env`."),
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_manifest::Manifest;

    #[test]
    fn changes_only_settings_and_sources() {
        let hosts = vec!["https://issuer.example:8443".to_owned()];
        let settings = Settings { issuer: "https://b.example", audience: "https://a.example", hosts };
        let text = text(&settings);
        let made = Manifest::parse(&text).expect("a manifest");
        let template = Manifest::parse(TEMPLATE).expect("a manifest");
        let names = |manifest: &Manifest| -> Vec<String> { manifest.variables().keys().cloned().collect() };
        assert_eq!(names(&made), names(&template));
        let default = |name: &str| made.variables()[name].default.clone();
        assert_eq!(default("issuer").as_deref(), Some("https://b.example"));
        assert_eq!(default("signer_audiences").as_deref(), Some("https://a.example"));
        assert_eq!(default("development").as_deref(), Some("false"));
        assert_eq!((default("signer_root"), made.variables()["signer_root"].secret), (None, true));
        assert_eq!(made.allowed_outbound_hosts(), ["https://issuer.example:8443"]);
        let root = made.root().expect("a root");
        assert_eq!(root.source, "components/vouchsafe_broker.wasm");
        assert_eq!(root.files, template.root().expect("a root").files);
        let of = |manifest: &Manifest| {
            let root = manifest.root().expect("a root");
            let each = root.dependencies.iter().map(|it| (it.name.clone(), it.component.clone(), it.inherit.clone()));
            each.collect::<Vec<_>>()
        };
        assert_eq!(of(&made), of(&template));
        for gone in ["target/", "cargo build", "scripts/", "\n\n\n"] {
            assert!(!text.contains(gone), "{gone}: {text}");
        }
    }
}
