//! The structure of `spin.toml`, and the checks that turn it into a [`Manifest`].

use crate::error::ManifestError;
use crate::manifest::{Capability, Component, Dependency, FileMount, Manifest, Variable};
use crate::template::Template;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

const MANIFEST_VERSION: i64 = 2;
const ROUTE: &str = "/...";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawManifest {
    spin_manifest_version: i64,
    application: RawApplication,
    #[serde(default)]
    variables: BTreeMap<String, RawVariable>,
    trigger: RawTriggers,
    component: BTreeMap<String, RawComponent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "allowed in the manifest, but unused here")]
struct RawApplication {
    name: String,
    version: Option<String>,
    description: Option<String>,
    authors: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVariable {
    default: Option<String>,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    secret: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTriggers {
    #[serde(default)]
    http: Vec<RawHttpTrigger>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHttpTrigger {
    route: String,
    component: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawComponent {
    source: String,
    #[serde(default)]
    #[expect(dead_code, reason = "allowed in the manifest, but unused here")]
    description: Option<String>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    files: Vec<RawFiles>,
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    sqlite_databases: Vec<String>,
    #[serde(default)]
    dependencies: BTreeMap<String, RawDependency>,
    #[serde(default)]
    #[expect(dead_code, reason = "for `spin build`; the host ignores it")]
    build: Option<RawBuild>,
    #[serde(default)]
    tool: RawTools,
}

/// Settings for other tools, which Spin ignores. Only ours are read.
#[derive(Deserialize, Default)]
struct RawTools {
    #[serde(default)]
    vouchsafe: RawTool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawTool {
    host_crypto: Option<RawHostCrypto>,
    host_store: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHostCrypto {
    source: String,
    #[serde(default)]
    #[expect(dead_code, reason = "for `scripts/build-components`; the host ignores it")]
    command: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFiles {
    source: String,
    destination: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDependency {
    component: String,
    #[serde(default)]
    inherit_configuration: RawInherit,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "`inherit_configuration` is a boolean or a list of categories")]
enum RawInherit {
    All(bool),
    Some(Vec<String>),
}

impl Default for RawInherit {
    fn default() -> Self {
        Self::All(false)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for `spin build`; the host ignores it")]
struct RawBuild {
    command: String,
    workdir: Option<String>,
    #[serde(default)]
    watch: Vec<String>,
}

impl Manifest {
    /// Parses the text of a `spin.toml`.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        parse(text)
    }
}

fn parse(text: &str) -> Result<Manifest, ManifestError> {
    let raw: RawManifest = toml::from_str(text).map_err(|error| toml_error(text, &error))?;
    if raw.spin_manifest_version != MANIFEST_VERSION {
        return Err(ManifestError::Version { version: raw.spin_manifest_version });
    }
    let root = root_of(raw.trigger.http)?;
    let variables = raw.variables.into_iter().map(variable).collect::<Result<_, _>>()?;
    let components = raw.component.into_iter().map(component).collect::<Result<_, _>>()?;
    let manifest = Manifest { application: raw.application.name, variables, components, root };
    check_references(&manifest)?;
    Ok(manifest)
}

fn toml_error(text: &str, error: &toml::de::Error) -> ManifestError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.rsplit('\n').next().unwrap_or("").chars().count().saturating_add(1);
    ManifestError::Toml { message: error.message().to_owned(), line, column }
}

fn root_of(triggers: Vec<RawHttpTrigger>) -> Result<String, ManifestError> {
    let count = triggers.len();
    let [trigger] =
        <[RawHttpTrigger; 1]>::try_from(triggers).map_err(|_| ManifestError::TriggerCount { triggers: count })?;
    if trigger.route == ROUTE { Ok(trigger.component) } else { Err(ManifestError::Route { route: trigger.route }) }
}

fn variable((name, raw): (String, RawVariable)) -> Result<(String, Variable), ManifestError> {
    check_id(&name, '_')?;
    if raw.required == raw.default.is_some() {
        return Err(ManifestError::VariableDefault { name });
    }
    Ok((name, Variable { default: raw.default, secret: raw.secret }))
}

fn component((id, raw): (String, RawComponent)) -> Result<(String, Component), ManifestError> {
    check_id(&id, '-')?;
    let variables = raw
        .variables
        .into_iter()
        .map(|(name, text)| {
            check_id(&name, '_')?;
            Ok((name, Template::parse(&text)?))
        })
        .collect::<Result<_, ManifestError>>()?;
    let component = Component {
        source: raw.source,
        host_crypto_source: raw.tool.vouchsafe.host_crypto.map(|it| it.source),
        host_store: raw.tool.vouchsafe.host_store,
        files: raw.files.into_iter().map(|f| FileMount { source: f.source, destination: f.destination }).collect(),
        sqlite_databases: raw.sqlite_databases,
        dependencies: raw.dependencies.into_iter().map(dependency).collect::<Result<_, _>>()?,
        allowed_outbound_hosts: raw.allowed_outbound_hosts,
        environment: raw.environment,
        variables,
    };
    Ok((id, component))
}

fn dependency((name, raw): (String, RawDependency)) -> Result<Dependency, ManifestError> {
    let inherit = match raw.inherit_configuration {
        RawInherit::All(true) => BTreeSet::from(Capability::ALL),
        RawInherit::All(false) => BTreeSet::new(),
        // Spin ignores unknown categories, so it silently withholds a misspelled one.
        RawInherit::Some(names) => names
            .into_iter()
            .map(|category| {
                Capability::from_name(&category)
                    .ok_or_else(|| ManifestError::Capability { dependency: name.clone(), name: category })
            })
            .collect::<Result<_, _>>()?,
    };
    Ok(Dependency { name, component: raw.component, inherit })
}

fn check_references(manifest: &Manifest) -> Result<(), ManifestError> {
    for dependency in &manifest.root()?.dependencies {
        let id = &dependency.component;
        let component = manifest.component(id)?;
        if !component.dependencies.is_empty() {
            return Err(ManifestError::NestedDependency { id: id.clone() });
        }
        if let Some(key) = own_configuration(component) {
            return Err(ManifestError::DependencyConfiguration { id: id.clone(), key });
        }
    }
    for component in manifest.components.values() {
        for name in component.variables.values().flat_map(Template::names) {
            if !manifest.variables.contains_key(name) {
                return Err(ManifestError::UnknownVariable { name: name.to_owned() });
            }
        }
    }
    Ok(())
}

/// The first configuration key of a component, if any. Spin ignores the configuration of dependencies; here it is an
/// error, because its author expected it to have an effect.
fn own_configuration(component: &Component) -> Option<&'static str> {
    [
        ("allowed_outbound_hosts", component.allowed_outbound_hosts.is_empty()),
        ("environment", component.environment.is_empty()),
        ("files", component.files.is_empty()),
        ("sqlite_databases", component.sqlite_databases.is_empty()),
        ("variables", component.variables.is_empty()),
    ]
    .into_iter()
    .find_map(|(key, is_empty)| (!is_empty).then_some(key))
}

/// Checks an id by Spin's rule: words of lowercase letters and digits, each starting with a letter.
fn check_id(value: &str, joined_by: char) -> Result<(), ManifestError> {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    if value.split(joined_by).all(is_word) {
        Ok(())
    } else {
        Err(ManifestError::Id { value: value.to_owned(), joined_by })
    }
}
