//! JSON Schemas of a bundle's TOML files for editors, derived from the types that read them.

use serde_json::Value;
use vouchsafe_policy::authoring::files;

/// The name and the schema (JSON Schema 2020-12) of each kind of file.
pub fn schemas() -> Vec<(&'static str, Value)> {
    let kinds = [
        ("bundle", schemars::schema_for!(files::BundleFile)),
        ("issuer", schemars::schema_for!(files::IssuerFile)),
        ("audience", schemars::schema_for!(files::AudienceFile)),
        ("client", schemars::schema_for!(files::ClientFile)),
        ("group", schemars::schema_for!(files::GroupFile)),
        ("links", schemars::schema_for!(files::LinkFile)),
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

/// Removes `null`, which TOML does not have: an optional key is left out instead.
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
