//! The JSON schema of the configuration, generated from the types that read it.
//!
//! It has names, shapes and ranges, so that an editor can complete and check. A rule that takes more than one key, such as
//! that a name is defined, is checked by `personaroute check` only.

use schemars::{
    Schema,
    generate::SchemaSettings,
    transform::{Transform, transform_subschemas},
};
use serde_json::Value;

use super::raw;

/// Returns the schema as indented JSON, with the keys in the order of the file and without a final line break.
pub fn text() -> String {
    let settings = SchemaSettings::draft2020_12().with_transform(Tidy);
    let mut schema = settings.into_generator().into_root_schema_for::<raw::Config>();
    schema.insert("title".to_owned(), "PersonaRoute gateway configuration".into());
    // A schema consists of JSON values, which can always be written.
    serde_json::to_string_pretty(&schema).unwrap_or_default()
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
    use super::*;

    #[test]
    fn nothing_in_it_depends_on_the_machine() {
        let schema: Value = serde_json::from_str(&text()).unwrap();
        let threads = &schema["$defs"]["Router"]["properties"]["threads"];
        assert_eq!((&threads["type"], &threads["default"]), (&Value::from("integer"), &Value::Null));
    }
}
