//! Cedar templates, and the files `rules/<concern>.toml` that link them: each link is a value for each of the slots
//! `?principal` and `?resource`. A template-linked policy has its own `@id` and cases, like any other policy.

use crate::bundle::files::{BundleFiles, is_plain_name, text_of};
use crate::diagnostics::spanned::Spanned;
use crate::diagnostics::suggestion::suggest;
use crate::diagnostics::{BundleError, Diagnostic, Position};
use crate::policies::policy::{Link, NamedPolicy};
use crate::policies::span;
use crate::settings::toml_file::TomlFile;
use cedar_policy::{EntityUid, Policy, SlotId, Template};
use std::collections::{BTreeSet, HashMap};

/// A template with its `@id` and position.
#[derive(Debug, Clone)]
pub struct NamedTemplate {
    pub id: String,
    pub file: String,
    pub position: Option<Position>,
    pub template: Template,
}

impl NamedTemplate {
    /// A diagnostic at the `@id` of the template.
    pub fn diagnostic<E>(&self, files: &BundleFiles, error: E) -> Diagnostic<E> {
        let id = span::annotation_of_template(&self.template, "id");
        Diagnostic::in_file(&self.file, text_of(files, &self.file), id, error)
    }
}

#[derive(serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LinkFile {
    link: Vec<LinkEntry>,
}

#[derive(serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct LinkEntry {
    id: Spanned<String>,
    template: Spanned<String>,
    principal: Option<Spanned<String>>,
    resource: Option<Spanned<String>>,
    /// Like `@profile` of a static policy; defaults to that of the template.
    profile: Option<String>,
}

/// The policies of the link file `path`. Adds the ids of the templates that it links to `used`.
pub(crate) fn links(
    path: &str,
    files: &BundleFiles,
    templates: &[NamedTemplate],
    used: &mut BTreeSet<String>,
) -> Result<Vec<NamedPolicy>, Vec<Diagnostic>> {
    let content = files.content(path).unwrap_or_default();
    let (mut file, entries): (_, LinkFile) = TomlFile::parse(path, content).map_err(|diagnostic| vec![diagnostic])?;
    let text = std::str::from_utf8(content).unwrap_or_default();
    let mut policies = Vec::new();
    for entry in &entries.link {
        used.insert(entry.template.get_ref().clone());
        let policy = link_template(&mut file, entry, templates);
        policies.extend(policy.map(|(policy, link)| {
            let profile = entry.profile.as_deref();
            NamedPolicy {
                id: entry.id.get_ref().clone(),
                file: path.to_owned(),
                position: Some(Position::of(text, entry.id.span().start)),
                profiles: NamedPolicy::profiles_of(profile.or(policy.annotation("profile"))),
                link: Some(link),
                cedar: policy,
            }
        }));
    }
    file.finish(policies)
}

fn link_template(file: &mut TomlFile<'_>, entry: &LinkEntry, templates: &[NamedTemplate]) -> Option<(Policy, Link)> {
    let id = entry.id.get_ref();
    if !is_plain_name(id) {
        file.refuse(entry.id.span(), BundleError::PolicyIdInvalid(id.clone()));
        return None;
    }
    if let Some(template) = templates.iter().find(|it| &it.id == id) {
        let (id, other) = (id.clone(), template.file.clone());
        file.refuse(entry.id.span(), BundleError::DuplicatePolicy { id, other });
        return None;
    }
    let wanted = entry.template.get_ref();
    let Some(named) = templates.iter().find(|it| &it.id == wanted) else {
        file.refuse(
            entry.template.span(),
            BundleError::TemplateUnknown {
                name: wanted.clone(),
                suggestion: suggest(wanted, templates.iter().map(|it| it.id.as_str())),
            },
        );
        return None;
    };
    let (mut values, mut spans) = (HashMap::new(), Vec::new());
    let parts =
        [("principal", SlotId::principal(), &entry.principal), ("resource", SlotId::resource(), &entry.resource)];
    for (part, slot, filling) in parts {
        let has_slot = named.template.slots().any(|known| known == &slot);
        match (has_slot, filling) {
            (false, None) => {}
            (true, None) => {
                file.refuse(entry.id.span(), BundleError::TemplateSlotEmpty(part));
                return None;
            }
            (false, Some(text)) => {
                file.refuse(text.span(), BundleError::TemplateSlotUnknown(part));
                return None;
            }
            (true, Some(text)) => {
                let Ok(uid) = text.get_ref().parse::<EntityUid>() else {
                    let error = BundleError::EntityInvalid(text.get_ref().clone());
                    file.refuse(text.span(), error);
                    return None;
                };
                spans.push((uid.clone(), text.span()));
                values.insert(slot, uid);
            }
        }
    }
    let link = Link { template: named.template.clone(), values, spans };
    match link.policy(id) {
        Ok(policy) => Some((policy, link)),
        Err(error) => {
            let (message, help) = (error.to_string(), None);
            file.refuse(entry.id.span(), BundleError::Cedar { message, help });
            None
        }
    }
}
