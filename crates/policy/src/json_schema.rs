//! JSON Schemas of a bundle's TOML files, made from the types that read them, for editors.

use serde_json::Value;

/// Name and schema (JSON Schema 2020-12) of each kind of file.
pub fn schemas() -> Vec<(&'static str, Value)> {
    let kinds = [
        ("bundle", schemars::schema_for!(crate::head::BundleFile)),
        ("issuer", schemars::schema_for!(crate::issuer::IssuerFile)),
        (
            "audience",
            schemars::schema_for!(crate::audience::AudienceFile),
        ),
        ("group", schemars::schema_for!(crate::groups::GroupFile)),
        ("links", schemars::schema_for!(crate::templates::LinkFile)),
        ("case", schemars::schema_for!(crate::cases::CaseFile)),
        ("case-base", schemars::schema_for!(crate::cases::BaseFile)),
    ];
    let schemas = kinds.into_iter().map(|(name, schema)| {
        let mut schema = schema.to_value();
        drop_null(&mut schema);
        (name, schema)
    });
    schemas.collect()
}

/// TOML has no null: a key that may be left out is left out.
fn drop_null(schema: &mut Value) {
    match schema {
        Value::Array(values) => values.iter_mut().for_each(drop_null),
        Value::Object(members) => {
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    members.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type") != Some(&Value::from("null")));
            }
            members.values_mut().for_each(drop_null);
        }
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => {}
    }
}

/// The names of [`vouchsafe_providers::ClaimType`]'s values.
#[derive(schemars::JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum ClaimTypeName {
    Boolean,
    Integer,
    Text,
    TextMap,
    TextOrSet,
    TextSet,
}
