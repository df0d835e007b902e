//! Cedar templates: a rule with holes, `?principal` and `?resource`, and `rules/<concern>.toml`, which fills
//! them. A filled template is a rule like any other, with an `@id` and cases of its own.

use crate::error::{Finding, Position, Problem};
use crate::files::{BundleFiles, is_plain_name};
use crate::listing::text_of;
use crate::nearest::nearest;
use crate::places;
use crate::rules::Rule;
use crate::spanned::Spanned;
use crate::toml_file::TomlFile;
use cedar_policy::{EntityUid, Policy, PolicyId, PolicySet, PolicySetError, SlotId, Template};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

/// A template with its place.
#[derive(Debug, Clone)]
pub(crate) struct NamedTemplate {
    pub id: String,
    pub file: String,
    pub position: Option<Position>,
    pub template: Template,
}

impl NamedTemplate {
    /// A finding about the template as a whole, at its name.
    pub fn found<P>(&self, files: &BundleFiles, problem: P) -> Finding<P> {
        let place = places::annotation_of_template(&self.template, "id");
        Finding::found(&self.file, text_of(files, &self.file), place, problem)
    }
}

#[derive(serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkFile {
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
        rules.extend(policy.map(|(policy, link)| {
            let profile = entry.profile.as_deref();
            Rule {
                id: entry.id.get_ref().clone(),
                file: path.to_owned(),
                position: Some(Position::of(text, entry.id.span().start)),
                profiles: Rule::profiles_of(profile.or(policy.annotation("profile"))),
                link: Some(link),
                policy,
            }
        }));
    }
    file.finish(rules)
}

fn linked(
    file: &mut TomlFile<'_>,
    entry: &LinkEntry,
    templates: &[NamedTemplate],
) -> Option<(Policy, Link)> {
    let id = entry.id.get_ref();
    if !is_plain_name(id) {
        file.refuse(entry.id.span(), Problem::RuleIdInvalid(id.clone()));
        return None;
    }
    if let Some(template) = templates.iter().find(|it| &it.id == id) {
        let (id, other) = (id.clone(), template.file.clone());
        file.refuse(entry.id.span(), Problem::DuplicateRule { id, other });
        return None;
    }
    let wanted = entry.template.get_ref();
    let Some(named) = templates.iter().find(|it| &it.id == wanted) else {
        file.refuse(
            entry.template.span(),
            Problem::TemplateUnknown {
                name: wanted.clone(),
                nearest: nearest(wanted, templates.iter().map(|it| it.id.as_str())),
            },
        );
        return None;
    };
    let (mut values, mut places) = (HashMap::new(), Vec::new());
    let parts = [
        ("principal", SlotId::principal(), &entry.principal),
        ("resource", SlotId::resource(), &entry.resource),
    ];
    for (part, slot, filling) in parts {
        let has_slot = named.template.slots().any(|known| known == &slot);
        match (has_slot, filling) {
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
                places.push((uid.clone(), text.span()));
                values.insert(slot, uid);
            }
        }
    }
    let link = Link {
        template: named.template.clone(),
        values,
        places,
    };
    match link.policy(id) {
        Ok(policy) => Some((policy, link)),
        Err(error) => {
            let (message, help) = (error.to_string(), None);
            file.refuse(entry.id.span(), Problem::Cedar { message, help });
            None
        }
    }
}

/// A template and what fills it.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    template: Template,
    values: HashMap<SlotId, EntityUid>,
    /// Where in the link file each value is.
    places: Vec<(EntityUid, Range<usize>)>,
}

impl Link {
    /// What fills the template.
    pub fn entities(&self) -> impl Iterator<Item = &EntityUid> {
        self.values.values()
    }

    /// The bytes of a value in the link file.
    pub fn place(&self, is_it: impl Fn(&EntityUid) -> bool) -> Option<Range<usize>> {
        let mut places = self.places.iter();
        let (_, place) = places.find(|(uid, _)| is_it(uid))?;
        Some(place.clone())
    }

    /// Adds the filled template to `set` as the policy `id`.
    pub fn add_to(&self, set: &mut PolicySet, id: &str) -> Result<(), PolicySetError> {
        if set.template(self.template.id()).is_none() {
            set.add_template(self.template.clone())?;
        }
        let template = self.template.id().clone();
        set.link(template, PolicyId::new(id), self.values.clone())
    }

    /// The filled template by itself.
    fn policy(&self, id: &str) -> Result<Policy, String> {
        let mut set = PolicySet::new();
        self.add_to(&mut set, id)
            .map_err(|error| error.to_string())?;
        let policy = set.policy(&PolicyId::new(id)).cloned();
        policy.ok_or_else(|| "the template can't be filled".to_owned())
    }
}
