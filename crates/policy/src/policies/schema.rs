//! `schema.cedarschema` with the generated types of `oidc` issuers, and checks that it fits the requests that
//! [`crate::Bundle::decide`] makes.

use crate::bundle::files::SCHEMA_FILE;
use crate::decide::context::{ContextInput, context};
use crate::diagnostics::cedar::cedar_diagnostic;
use crate::diagnostics::{BundleError, Diagnostic};
use crate::policies::attributes::{AttributeType, Attributes};
use crate::policies::entities::{ACT_FOR, AUDIENCE_GROUP, Actions, WORKLOAD_GROUP};
use crate::policies::reads::Reads;
use crate::settings::records::Issuer;
use crate::settings::zones::Zones;
use cedar_policy::{EntityTypeName, Schema, SchemaFragment};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use vouchsafe_providers::client::ENTITY_TYPE;
use vouchsafe_providers::{Claim, ClaimType};

/// The schema of the default bundle.
const STANDARD: &str = include_str!("../../../../policies/schema.cedarschema");
/// [`STANDARD`] in Cedar's JSON format. A test compares them, and writes this file if `BLESS` is set.
const STANDARD_JSON: &str = include_str!("standard_schema.json");

/// Names that an `Oidc` entity type cannot have, because they have another meaning in a schema.
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

/// A schema with the entity types of all issuers.
pub(crate) struct BundleSchema {
    pub schema: Schema,
    pub attributes: Attributes,
}

/// What a bundle's other files add to its schema.
pub(crate) struct Additions<'a> {
    pub zones: &'a Zones,
    /// Whether the bundle has clients.
    pub clients: bool,
    /// Whether the bundle has groups.
    pub groups: bool,
    /// Whether an audience issues tokens to actors.
    pub actors: bool,
}

/// Parses the schema file's `text`, adds a type for each `oidc` issuer and checks the result.
pub(crate) fn read(
    text: &str,
    issuers: &[Issuer],
    action: &Actions,
    additions: &Additions<'_>,
) -> Result<BundleSchema, Vec<Diagnostic>> {
    let document = document(text, issuers, additions)?;
    let attributes = attributes_of(&document);
    let schema = Schema::from_json_value(document).map_err(|error| match text.parse::<Schema>() {
        // Errors in the text have locations, those in the JSON document do not.
        Err(in_text) => vec![cedar_diagnostic(SCHEMA_FILE, text, &in_text)],
        Ok(_) => vec![in_schema(error.to_string())],
    })?;
    let diagnostics: Vec<Diagnostic> = issuers
        .iter()
        .filter_map(|issuer| principal_error(&schema, &issuer.entity_type(), action))
        .chain(action_error(&schema, action, additions.zones))
        .map(in_schema)
        .collect();
    if diagnostics.is_empty() { Ok(BundleSchema { schema, attributes }) } else { Err(diagnostics) }
}

/// The schema in Cedar's JSON format, with a type for each `oidc` issuer, those of groups, and `local`.
pub(crate) fn document(text: &str, issuers: &[Issuer], additions: &Additions<'_>) -> Result<Value, Vec<Diagnostic>> {
    let mut document = as_json(text)?;
    add_oidc_types(&mut document, issuers)?;
    if additions.clients {
        add_client_type(&mut document)?;
    }
    if !additions.zones.is_empty() {
        add_local(&mut document, additions.zones)?;
    }
    if additions.groups {
        add_groups(&mut document, issuers)?;
    }
    if additions.actors {
        add_act_for(&mut document, issuers)?;
    }
    Ok(document)
}

/// Cedar's parser builds a new lexer for every name in a schema, which is half the cost of loading a small bundle. The
/// JSON of the standard schema is therefore precomputed, and used only for exactly that text.
fn as_json(text: &str) -> Result<Value, Vec<Diagnostic>> {
    match text == STANDARD {
        true => serde_json::from_str(STANDARD_JSON).map_err(|error| vec![in_schema(error.to_string())]),
        false => parsed(text),
    }
}

fn parsed(text: &str) -> Result<Value, Vec<Diagnostic>> {
    SchemaFragment::from_cedarschema_str(text)
        .map_err(|error| vec![cedar_diagnostic(SCHEMA_FILE, text, &error)])
        .and_then(|(fragment, _warnings)| fragment.to_json_value().map_err(|error| vec![in_schema(error.to_string())]))
}

/// Adds `local` to the action's context.
fn add_local(document: &mut Value, zones: &Zones) -> Result<(), Vec<Diagnostic>> {
    let context = document.pointer_mut("//actions/issue/appliesTo/context/attributes");
    let Some(attributes) = context.and_then(Value::as_object_mut) else {
        return Err(vec![in_schema("the context of action `issue` is not written out as a record".to_owned())]);
    };
    match attributes.insert("local".to_owned(), zones.schema_type()) {
        None => Ok(()),
        Some(_) => Err(vec![in_schema("`local` in the context is made from the zones of `bundle.toml`".to_owned())]),
    }
}

/// Adds the action `act_for`: principals of all issuers act for one another. Its context is that of `issue`, with the audience,
/// which is the resource there.
fn add_act_for(document: &mut Value, issuers: &[Issuer]) -> Result<(), Vec<Diagnostic>> {
    let context = document.pointer("//actions/issue/appliesTo/context").cloned();
    let audience = json!({ "type": "EntityOrCommon", "name": "Audience" });
    let with_audience = context.and_then(|mut context| {
        let attributes = context.pointer_mut("/attributes")?.as_object_mut()?;
        attributes.insert("audience".to_owned(), audience).is_none().then_some(context)
    });
    let Some(context) = with_audience else {
        let message = "the context of action `issue` is not written out as a record without `audience`";
        return Err(vec![in_schema(message.to_owned())]);
    };
    let types: BTreeSet<String> = issuers.iter().map(Issuer::entity_type).collect();
    let action = json!({ "appliesTo": { "principalTypes": types, "resourceTypes": types, "context": context } });
    let actions = document.pointer_mut("//actions").and_then(Value::as_object_mut);
    match actions.map(|actions| actions.insert(ACT_FOR.to_owned(), action)) {
        Some(None) => Ok(()),
        _ => Err(vec![in_schema(format!("action `{ACT_FOR}` is made from the audience files"))]),
    }
}

/// Adds the types of groups, and lets principals and audiences be in them.
fn add_groups(document: &mut Value, issuers: &[Issuer]) -> Result<(), Vec<Diagnostic>> {
    for name in [WORKLOAD_GROUP, AUDIENCE_GROUP] {
        let types = document.pointer_mut("//entityTypes");
        let Some(types) = types.and_then(Value::as_object_mut) else {
            return Err(vec![in_schema("there are no entity types".to_owned())]);
        };
        if types.insert(name.to_owned(), json!({})).is_some() {
            return Err(vec![in_schema(format!("`{name}` is made from `entities/`"))]);
        }
    }
    let principals: BTreeSet<String> = issuers.iter().map(Issuer::entity_type).collect();
    let members = principals.iter().map(|name| (name.as_str(), WORKLOAD_GROUP));
    for (full, group) in members.chain([("Audience", AUDIENCE_GROUP)]) {
        let (namespace, name) = full.rsplit_once("::").unwrap_or(("", full));
        let entity = document
            .get_mut(namespace)
            .and_then(|body| body.get_mut("entityTypes"))
            .and_then(|types| types.get_mut(name))
            .and_then(Value::as_object_mut);
        // A missing type is reported where principals are checked.
        let Some(entity) = entity else { continue };
        let parents = entity.entry("memberOfTypes").or_insert_with(|| json!([]));
        if let Some(parents) = parents.as_array_mut() {
            parents.push(json!(group));
        }
    }
    Ok(())
}

fn in_schema(message: String) -> Diagnostic {
    let help = None;
    Diagnostic::of_file(SCHEMA_FILE, BundleError::Cedar { message, help })
}

/// Declares `Oidc::<Name>` for each `oidc` issuer and lets the action apply to it.
fn add_oidc_types(document: &mut Value, issuers: &[Issuer]) -> Result<(), Vec<Diagnostic>> {
    let mut types = Map::new();
    let mut first_of: BTreeMap<String, &str> = BTreeMap::new();
    for issuer in issuers.iter().filter(|issuer| issuer.provider.declares_claims()) {
        let full = issuer.entity_type();
        let name = full.trim_start_matches("Oidc::").to_owned();
        let file = format!("issuers/{}.toml", issuer.name);
        if name.is_empty() || TYPE_NAMES_TAKEN.contains(&name.as_str()) {
            return Err(vec![Diagnostic::of_file(&file, BundleError::EntityTypeInvalid)]);
        }
        if let Some(first) = first_of.insert(name.clone(), &issuer.name) {
            let error = BundleError::EntityTypeCollision {
                first: first.to_owned(),
                second: issuer.name.clone(),
                entity_type: issuer.entity_type(),
            };
            return Err(vec![Diagnostic::of_file(&file, error)]);
        }
        types.insert(name, entity_type_of(&issuer.claims));
    }
    if types.is_empty() {
        return Ok(());
    }
    let principals: Vec<Value> = types.keys().map(|name| json!(format!("Oidc::{name}"))).collect();
    if let Some(Value::Array(listed)) = document.pointer_mut("//actions/issue/appliesTo/principalTypes") {
        listed.extend(principals);
    }
    let Some(namespaces) = document.as_object_mut() else {
        return Ok(());
    };
    let namespace = json!({ "entityTypes": types, "actions": {} });
    match namespaces.insert("Oidc".to_owned(), namespace) {
        None => Ok(()),
        Some(_) => Err(vec![in_schema("namespace `Oidc` is made from the issuer files".to_owned())]),
    }
}

/// Declares the type of clients and lets the action apply to it.
fn add_client_type(document: &mut Value) -> Result<(), Vec<Diagnostic>> {
    let (namespace, name) = ENTITY_TYPE.split_once("::").unwrap_or_default();
    if let Some(Value::Array(listed)) = document.pointer_mut("//actions/issue/appliesTo/principalTypes") {
        listed.push(json!(ENTITY_TYPE));
    }
    let types = json!({ "entityTypes": { name: entity_type_of(&[]) }, "actions": {} });
    match document.as_object_mut().map(|namespaces| namespaces.insert(namespace.to_owned(), types)) {
        Some(None) => Ok(()),
        _ => Err(vec![in_schema(format!("namespace `{namespace}` is made from the client files"))]),
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
        for (name, entity) in body.get("entityTypes").and_then(Value::as_object).into_iter().flatten() {
            let full = if namespace.is_empty() { name.clone() } else { format!("{namespace}::{name}") };
            let shape = entity.pointer("/shape/attributes").and_then(Value::as_object);
            let typed = |(name, value): (&String, &Value)| (name.clone(), attribute_type(value));
            all.insert(full, shape.into_iter().flatten().map(typed).collect());
        }
    }
    all
}

fn attribute_type(value: &Value) -> AttributeType {
    let required = value.get("required").and_then(Value::as_bool).unwrap_or(true);
    let claim_type = match type_name(value) {
        Some("Set") if value.get("element").and_then(type_name) == Some("String") => Some(ClaimType::TextSet),
        Some("String") => Some(ClaimType::Text),
        Some("Long") => Some(ClaimType::Integer),
        Some("Bool" | "Boolean") => Some(ClaimType::Boolean),
        _ => None,
    };
    AttributeType { claim_type, required }
}

/// A primitive is `{"type": "String"}` or, from a `.cedarschema`, a reference to that name.
fn type_name(value: &Value) -> Option<&str> {
    match value.get("type")?.as_str()? {
        "EntityOrCommon" => value.get("name")?.as_str().map(|name| name.trim_start_matches("__cedar::")),
        direct => Some(direct),
    }
}

/// Why principals of `entity_type` cannot have the action, if they cannot.
fn principal_error(schema: &Schema, entity_type: &str, action: &Actions) -> Option<String> {
    let Ok(type_name) = entity_type.parse::<EntityTypeName>() else {
        return Some(format!("`{entity_type}` is not an entity type"));
    };
    let is_principal = schema
        .principals_for_action(action.issue())
        .is_some_and(|mut principals| principals.any(|principal| principal == &type_name));
    if !is_principal {
        return Some(format!("action `issue` does not apply to principals of type `{entity_type}`"));
    }
    let parents: BTreeSet<String> =
        schema.ancestors(&type_name).into_iter().flatten().map(ToString::to_string).collect();
    (!parents.contains("Issuer")).then(|| format!("entity type `{entity_type}` is not declared `in [Issuer]`"))
}

/// Why the action does not accept an `Audience` or the context of a decision, if it does not.
fn action_error(schema: &Schema, action: &Actions, zones: &Zones) -> Option<String> {
    let takes_audiences = schema
        .resources_for_action(action.issue())
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
            audience: None,
        };
        let sample = context(&input, zones, 0, &Reads::Everything).ok()?;
        let error = sample.validate(schema, action.issue()).err()?;
        Some(format!("the context of action `issue` does not fit what a decision gives: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precomputed_schema_equals_parsed_one() {
        let made = parsed(STANDARD).expect("it parses");
        if std::env::var_os("BLESS").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/policies/standard_schema.json");
            std::fs::write(path, format!("{made}\n")).expect("it is written");
            return;
        }
        let kept: Value = serde_json::from_str(STANDARD_JSON).expect("it is JSON");
        assert!(kept == made, "regenerate with BLESS=1 cargo test -p vouchsafe-policy --lib");
        assert_eq!(as_json(STANDARD), Ok(made));
    }

    #[test]
    fn parses_any_other_schema() {
        let other = format!("{STANDARD}entity Other;\n");
        let json = as_json(&other).expect("it parses");
        assert!(json.pointer("//entityTypes/Other").is_some());
        assert_eq!(Ok(json), parsed(&other));
        assert!(as_json(&STANDARD[1..]).is_err());
    }
}
