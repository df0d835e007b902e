//! `schema.cedarschema` with the generated types of `oidc` issuers, and the checks that it fits
//! what [`crate::Bundle::decide`] will ask of it.

use crate::decide::{ContextInput, IssuingAction, context};
use crate::error::{Finding, Problem};
use crate::groups::{AUDIENCES, WORKLOADS};
use crate::records::Issuer;
use crate::zones::Zones;
use cedar_policy::{EntityTypeName, Schema, SchemaFragment};
use miette::Diagnostic;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use vouchsafe_providers::{Claim, ClaimType};

pub(crate) const FILE: &str = "schema.cedarschema";

/// The schema that bundles start from.
const STANDARD: &str = include_str!("../../../policies/schema.cedarschema");
/// What Cedar makes of [`STANDARD`]; a test compares both, and writes this file if `BLESS` is set.
const STANDARD_JSON: &str = include_str!("standard_schema.json");

/// Names that cannot be an `Oidc` entity type, because they mean something else in a schema.
const TYPE_NAMES_TAKEN: &[&str] = &[
    "Audience",
    "AudienceGroup",
    "Bool",
    "Boolean",
    "Entity",
    "Extension",
    "Issuer",
    "Long",
    "Record",
    "Set",
    "String",
    "WorkloadGroup",
];

/// Type and presence of an entity type's attribute; `claim_type` is none for what no claim can be, and
/// `TextSet` for every set of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeType {
    pub claim_type: Option<ClaimType>,
    pub required: bool,
}

/// Attributes by entity type, then by name.
pub(crate) type Attributes = BTreeMap<String, BTreeMap<String, AttributeType>>;

/// A schema that every issuer of the bundle fits into.
pub(crate) struct BundleSchema {
    pub schema: Schema,
    pub attributes: Attributes,
}

/// What a bundle's other files add to its schema.
pub(crate) struct Additions<'a> {
    pub zones: &'a Zones,
    /// Whether the bundle has groups.
    pub groups: bool,
}

/// Parses the schema file's `text`, adds a type for each `oidc` issuer and checks the result.
pub(crate) fn read(
    text: &str,
    issuers: &[Issuer],
    action: &IssuingAction,
    additions: &Additions<'_>,
) -> Result<BundleSchema, Vec<Finding>> {
    let document = document(text, issuers, additions)?;
    let attributes = attributes_of(&document);
    let schema =
        Schema::from_json_value(document).map_err(|error| match text.parse::<Schema>() {
            // The text knows places, the JSON document does not.
            Err(in_text) => vec![located(FILE, text, &in_text, in_text.to_string())],
            Ok(_) => vec![in_schema(error.to_string())],
        })?;
    let findings: Vec<Finding> = issuers
        .iter()
        .filter_map(|issuer| refusal_of_type(&schema, &issuer.entity_type(), action))
        .chain(refusal_of_action(&schema, action, additions.zones))
        .map(in_schema)
        .collect();
    if findings.is_empty() {
        Ok(BundleSchema { schema, attributes })
    } else {
        Err(findings)
    }
}

/// The schema in Cedar's JSON format, with a type for each `oidc` issuer, those of groups, and `local`.
pub(crate) fn document(
    text: &str,
    issuers: &[Issuer],
    additions: &Additions<'_>,
) -> Result<Value, Vec<Finding>> {
    let mut document = as_json(text)?;
    add_oidc_types(&mut document, issuers)?;
    if !additions.zones.is_empty() {
        add_local(&mut document, additions.zones)?;
    }
    if additions.groups {
        add_groups(&mut document, issuers)?;
    }
    Ok(document)
}

/// Cedar's parser takes a new lexer for every name in a schema, which is half of what a small bundle costs to
/// load. What it makes of the schema that comes with this program is therefore kept, and used for that
/// text alone, byte for byte.
fn as_json(text: &str) -> Result<Value, Vec<Finding>> {
    match text == STANDARD {
        true => {
            serde_json::from_str(STANDARD_JSON).map_err(|error| vec![in_schema(error.to_string())])
        }
        false => parsed(text),
    }
}

fn parsed(text: &str) -> Result<Value, Vec<Finding>> {
    SchemaFragment::from_cedarschema_str(text)
        .map_err(|error| vec![located(FILE, text, &error, error.to_string())])
        .and_then(|(fragment, _warnings)| {
            fragment
                .to_json_value()
                .map_err(|error| vec![in_schema(error.to_string())])
        })
}

/// Adds `local` to the action's context.
fn add_local(document: &mut Value, zones: &Zones) -> Result<(), Vec<Finding>> {
    let context = document.pointer_mut("//actions/issue/appliesTo/context/attributes");
    let Some(attributes) = context.and_then(Value::as_object_mut) else {
        return Err(vec![in_schema(
            "the context of action `issue` is not written out as a record".to_owned(),
        )]);
    };
    match attributes.insert("local".to_owned(), zones.schema_type()) {
        None => Ok(()),
        Some(_) => Err(vec![in_schema(
            "`local` in the context is made from the zones of `bundle.toml`".to_owned(),
        )]),
    }
}

/// Adds the types of groups, and lets principals and audiences be in them.
fn add_groups(document: &mut Value, issuers: &[Issuer]) -> Result<(), Vec<Finding>> {
    for name in [WORKLOADS, AUDIENCES] {
        let types = document.pointer_mut("//entityTypes");
        let Some(types) = types.and_then(Value::as_object_mut) else {
            return Err(vec![in_schema("there are no entity types".to_owned())]);
        };
        if types.insert(name.to_owned(), json!({})).is_some() {
            return Err(vec![in_schema(format!(
                "`{name}` is made from `entities/`"
            ))]);
        }
    }
    let principals: BTreeSet<String> = issuers.iter().map(Issuer::entity_type).collect();
    let members = principals.iter().map(|name| (name.as_str(), WORKLOADS));
    for (full, group) in members.chain([("Audience", AUDIENCES)]) {
        let (namespace, name) = full.rsplit_once("::").unwrap_or(("", full));
        let entity = document
            .get_mut(namespace)
            .and_then(|body| body.get_mut("entityTypes"))
            .and_then(|types| types.get_mut(name))
            .and_then(Value::as_object_mut);
        // What is missing is said where principals are checked.
        let Some(entity) = entity else { continue };
        let parents = entity.entry("memberOfTypes").or_insert_with(|| json!([]));
        if let Some(parents) = parents.as_array_mut() {
            parents.push(json!(group));
        }
    }
    Ok(())
}

fn in_schema(message: String) -> Finding {
    let help = None;
    Finding::of_file(FILE, Problem::Cedar { message, help })
}

/// A finding at the first place that `diagnostic` points to.
pub(crate) fn located(
    file: &str,
    text: &str,
    diagnostic: &dyn Diagnostic,
    message: String,
) -> Finding {
    let help = diagnostic.help().map(|help| help.to_string());
    let problem = Problem::Cedar { message, help };
    match diagnostic.labels().and_then(|mut labels| labels.next()) {
        Some(label) => {
            let end = label.offset().saturating_add(label.len());
            Finding::within(file, text, label.offset()..end, problem)
        }
        None => Finding::of_file(file, problem),
    }
}

/// Declares `Oidc::<Name>` for each `oidc` issuer and lets the action apply to it.
fn add_oidc_types(document: &mut Value, issuers: &[Issuer]) -> Result<(), Vec<Finding>> {
    let mut types = Map::new();
    let mut first_of: BTreeMap<String, &str> = BTreeMap::new();
    for issuer in issuers
        .iter()
        .filter(|issuer| issuer.provider.declares_claims())
    {
        let full = issuer.entity_type();
        let name = full.trim_start_matches("Oidc::").to_owned();
        let file = format!("issuers/{}.toml", issuer.name);
        if name.is_empty() || TYPE_NAMES_TAKEN.contains(&name.as_str()) {
            return Err(vec![Finding::of_file(&file, Problem::EntityTypeInvalid)]);
        }
        if let Some(first) = first_of.insert(name.clone(), &issuer.name) {
            let problem = Problem::EntityTypeCollision {
                first: first.to_owned(),
                second: issuer.name.clone(),
                entity_type: issuer.entity_type(),
            };
            return Err(vec![Finding::of_file(&file, problem)]);
        }
        types.insert(name, entity_type_of(&issuer.claims));
    }
    if types.is_empty() {
        return Ok(());
    }
    let principals: Vec<Value> = types
        .keys()
        .map(|name| json!(format!("Oidc::{name}")))
        .collect();
    if let Some(Value::Array(listed)) =
        document.pointer_mut("//actions/issue/appliesTo/principalTypes")
    {
        listed.extend(principals);
    }
    let Some(namespaces) = document.as_object_mut() else {
        return Ok(());
    };
    let namespace = json!({ "entityTypes": types, "actions": {} });
    match namespaces.insert("Oidc".to_owned(), namespace) {
        None => Ok(()),
        Some(_) => Err(vec![in_schema(
            "namespace `Oidc` is made from the issuer files".to_owned(),
        )]),
    }
}

fn entity_type_of(claims: &[Claim]) -> Value {
    let attributes: Map<String, Value> = claims
        .iter()
        .map(|claim| {
            let mut attribute = match claim.claim_type {
                ClaimType::Boolean => json!({ "type": "Boolean" }),
                ClaimType::Integer => json!({ "type": "Long" }),
                ClaimType::Text => json!({ "type": "String" }),
                ClaimType::TextMap | ClaimType::TextOrSet | ClaimType::TextSet => {
                    json!({ "type": "Set", "element": { "type": "String" } })
                }
            };
            if let Some(members) = attribute.as_object_mut() {
                members.insert("required".to_owned(), json!(claim.required));
            }
            (claim.name.to_string(), attribute)
        })
        .collect();
    json!({ "memberOfTypes": ["Issuer"], "shape": { "type": "Record", "attributes": attributes } })
}

fn attributes_of(document: &Value) -> Attributes {
    let mut all = Attributes::new();
    for (namespace, body) in document.as_object().into_iter().flatten() {
        for (name, entity) in body
            .get("entityTypes")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let full = if namespace.is_empty() {
                name.clone()
            } else {
                format!("{namespace}::{name}")
            };
            let shape = entity
                .pointer("/shape/attributes")
                .and_then(Value::as_object);
            let typed = |(name, value): (&String, &Value)| (name.clone(), attribute_type(value));
            all.insert(full, shape.into_iter().flatten().map(typed).collect());
        }
    }
    all
}

fn attribute_type(value: &Value) -> AttributeType {
    let required = value
        .get("required")
        .and_then(Value::as_bool)
        .unwrap_or(true);
    let claim_type = match type_name(value) {
        Some("Set") if value.get("element").and_then(type_name) == Some("String") => {
            Some(ClaimType::TextSet)
        }
        Some("String") => Some(ClaimType::Text),
        Some("Long") => Some(ClaimType::Integer),
        Some("Bool" | "Boolean") => Some(ClaimType::Boolean),
        _ => None,
    };
    AttributeType {
        claim_type,
        required,
    }
}

/// A primitive is `{"type": "String"}` or, from a `.cedarschema`, a reference to that name.
fn type_name(value: &Value) -> Option<&str> {
    match value.get("type")?.as_str()? {
        "EntityOrCommon" => value
            .get("name")?
            .as_str()
            .map(|name| name.trim_start_matches("__cedar::")),
        direct => Some(direct),
    }
}

/// What keeps `entity_type` from being a principal of the action, in its issuer.
fn refusal_of_type(schema: &Schema, entity_type: &str, action: &IssuingAction) -> Option<String> {
    let Ok(type_name) = entity_type.parse::<EntityTypeName>() else {
        return Some(format!("`{entity_type}` is not an entity type"));
    };
    let is_principal = schema
        .principals_for_action(action.uid())
        .is_some_and(|mut principals| principals.any(|principal| principal == &type_name));
    if !is_principal {
        return Some(format!(
            "action `issue` does not apply to principals of type `{entity_type}`"
        ));
    }
    let parents: BTreeSet<String> = schema
        .ancestors(&type_name)
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    (!parents.contains("Issuer"))
        .then(|| format!("entity type `{entity_type}` is not declared `in [Issuer]`"))
}

/// What keeps the action from taking an `Audience` and the context that every decision has.
fn refusal_of_action(schema: &Schema, action: &IssuingAction, zones: &Zones) -> Option<String> {
    let takes_audiences = schema
        .resources_for_action(action.uid())
        .is_some_and(|mut resources| resources.any(|resource| resource.to_string() == "Audience"));
    if !takes_audiences {
        return Some("action `issue` does not apply to resources of type `Audience`".to_owned());
    }
    let scopes = ["scope".to_owned()];
    [None, Some("192.0.2.1")].into_iter().find_map(|client_ip| {
        let input = ContextInput {
            requested_lifetime_seconds: 1,
            scopes: &scopes,
            client_ip,
            proof_of_possession: false,
        };
        let sample = context(&input, zones, 0).ok()?;
        let error = sample.validate(schema, action.uid()).err()?;
        Some(format!(
            "the context of action `issue` does not fit what a decision gives: {error}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kept_form_of_the_standard_schema_is_what_cedar_makes_of_it() {
        let made = parsed(STANDARD).expect("it parses");
        if std::env::var_os("BLESS").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/standard_schema.json");
            std::fs::write(path, format!("{made}\n")).expect("it is written");
            return;
        }
        let kept: Value = serde_json::from_str(STANDARD_JSON).expect("it is JSON");
        assert!(
            kept == made,
            "write it anew: BLESS=1 cargo test -p vouchsafe-policy --lib"
        );
        assert_eq!(as_json(STANDARD), Ok(made));
    }

    #[test]
    fn any_other_schema_is_parsed_by_cedar() {
        let other = format!("{STANDARD}entity Other;\n");
        let json = as_json(&other).expect("it parses");
        assert!(json.pointer("//entityTypes/Other").is_some());
        assert_eq!(Ok(json), parsed(&other));
        assert!(as_json(&STANDARD[1..]).is_err());
    }
}
