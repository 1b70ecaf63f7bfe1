//! The JSON schema of the configuration, made from the types that read it.
//!
//! It knows shapes, names and ranges, so an editor can complete and underline; what needs more than one key (names that
//! are defined, upstreams without a URL) only `personaroute check` knows.

use schemars::{
    Schema, SchemaGenerator,
    generate::SchemaSettings,
    json_schema,
    transform::{Transform, transform_subschemas},
};
use serde_json::Value;

use super::raw;

/// Returns the schema as indented JSON, in the order of the keys in the file, without a final line break.
pub fn text() -> String {
    let settings = SchemaSettings::draft2020_12().with_transform(Tidy);
    let mut schema = settings.into_generator().into_root_schema_for::<raw::Config>();
    schema.insert("title".to_owned(), "PersonaRoute gateway configuration".into());
    // A schema made of values that are all JSON cannot fail to be written.
    serde_json::to_string_pretty(&schema).unwrap_or_default()
}

/// The schema of [`personaroute_bundle::catalog::Capability`], which lies below every crate that knows schemas.
pub(super) fn capabilities(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["array", "null"],
        "items": { "enum": ["vision", "audio", "tools", "json", "reasoning"] },
    })
}

/// Drops a default that depends on the machine.
pub(super) fn without_default(schema: &mut Schema) {
    schema.remove("default");
}

/// Drops the defaults of whole sections, which repeat those of their keys, and formats that only Rust knows.
#[derive(Debug, Clone)]
struct Tidy;

impl Transform for Tidy {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        if schema.get("default").is_some_and(Value::is_object) {
            schema.remove("default");
        }
        let is_rusts = |format: &str| format.starts_with("uint") || matches!(format, "float" | "double");
        if schema.get("format").and_then(Value::as_str).is_some_and(is_rusts) {
            schema.remove("format");
        }
    }
}

#[cfg(test)]
mod tests {
    use personaroute_bundle::catalog::Capability;

    use super::*;

    #[test]
    fn every_capability_of_the_schema_is_one() {
        let schema = capabilities(&mut SchemaGenerator::default());
        let names = schema.pointer("/items/enum").and_then(Value::as_array).unwrap();
        for name in names {
            serde_json::from_value::<Capability>(name.clone()).unwrap();
        }
        assert_eq!(names.len(), Capability::Reasoning as usize + 1);
    }

    #[test]
    fn nothing_in_it_depends_on_the_machine() {
        let schema: Value = serde_json::from_str(&text()).unwrap();
        let threads = &schema["$defs"]["Router"]["properties"]["threads"];
        assert_eq!((&threads["type"], &threads["default"]), (&Value::from("integer"), &Value::Null));
    }
}
