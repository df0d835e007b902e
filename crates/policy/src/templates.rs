//! Cedar templates: a rule with holes, `?principal` and `?resource`, and `rules/<concern>.toml`, which fills
//! them. A filled template is a rule like any other, with an `@id` and cases of its own.

use crate::error::{Finding, Position, Problem};
use crate::files::{BundleFiles, is_plain_name};
use crate::rules::Rule;
use crate::toml_file::TomlFile;
use cedar_policy::{EntityUid, Policy, PolicyId, Template};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use toml::Spanned;

/// A template with its place.
#[derive(Debug, Clone)]
pub(crate) struct NamedTemplate {
    pub id: String,
    pub file: String,
    pub position: Option<Position>,
    pub template: Template,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkFile {
    link: Vec<LinkEntry>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkEntry {
    id: Spanned<String>,
    template: Spanned<String>,
    principal: Option<Spanned<String>>,
    resource: Option<Spanned<String>>,
    /// As `@profile` of a rule that is written out; else that of the template.
    profile: Option<String>,
}

/// The rules that the link file `path` makes of `templates`; `used` gets the ids of those that it fills.
pub(crate) fn links(
    path: &str,
    files: &BundleFiles,
    templates: &[NamedTemplate],
    used: &mut BTreeSet<String>,
) -> Result<Vec<Rule>, Vec<Finding>> {
    let content = files.content(path).unwrap_or_default();
    let (mut file, entries): (_, LinkFile) =
        TomlFile::parse(path, content).map_err(|finding| vec![finding])?;
    let text = std::str::from_utf8(content).unwrap_or_default();
    let mut rules = Vec::new();
    for entry in &entries.link {
        used.insert(entry.template.get_ref().clone());
        let policy = linked(&mut file, entry, templates);
        rules.extend(policy.map(|policy| Rule {
            id: entry.id.get_ref().clone(),
            file: path.to_owned(),
            position: Some(Position::of(text, entry.id.span().start)),
            policy,
        }));
    }
    file.finish(rules)
}

fn linked(
    file: &mut TomlFile<'_>,
    entry: &LinkEntry,
    templates: &[NamedTemplate],
) -> Option<Policy> {
    let id = entry.id.get_ref();
    if !is_plain_name(id) {
        file.refuse(entry.id.span(), Problem::RuleIdInvalid(id.clone()));
        return None;
    }
    let wanted = entry.template.get_ref();
    let Some(named) = templates.iter().find(|it| &it.id == wanted) else {
        file.refuse(
            entry.template.span(),
            Problem::TemplateUnknown(wanted.clone()),
        );
        return None;
    };
    let mut est = named.template.to_json().ok()?;
    let slots = [
        ("principal", &entry.principal),
        ("resource", &entry.resource),
    ];
    for (part, filling) in slots {
        let slot = est.get(part).is_some_and(has_slot);
        match (slot, filling) {
            (false, None) => {}
            (true, None) => {
                file.refuse(entry.id.span(), Problem::TemplateSlotEmpty(part));
                return None;
            }
            (false, Some(text)) => {
                file.refuse(text.span(), Problem::TemplateSlotUnknown(part));
                return None;
            }
            (true, Some(text)) => {
                let Ok(uid) = text.get_ref().parse::<EntityUid>() else {
                    let problem = Problem::EntityInvalid(text.get_ref().clone());
                    file.refuse(text.span(), problem);
                    return None;
                };
                fill(est.get_mut(part)?, &uid);
            }
        }
    }
    if let Some(annotations) = est.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.insert("id".to_owned(), json!(id));
        if let Some(profile) = &entry.profile {
            annotations.insert("profile".to_owned(), json!(profile));
        }
    }
    match Policy::from_json(Some(PolicyId::new(id)), est) {
        Ok(policy) => Some(policy),
        Err(error) => {
            let (message, help) = (error.to_string(), None);
            file.refuse(entry.id.span(), Problem::Cedar { message, help });
            None
        }
    }
}

/// Whether a scope constraint of Cedar's JSON format has a hole, by itself or behind `is … in`.
fn has_slot(constraint: &Value) -> bool {
    constraint.get("slot").is_some() || constraint.get("in").is_some_and(has_slot)
}

fn fill(constraint: &mut Value, uid: &EntityUid) {
    let Some(members) = constraint.as_object_mut() else {
        return;
    };
    if members.remove("slot").is_some() {
        let entity = json!({ "type": uid.type_name().to_string(), "id": uid.id().unescaped() });
        members.insert("entity".to_owned(), entity);
    } else if let Some(inner) = members.get_mut("in") {
        fill(inner, uid);
    }
}
