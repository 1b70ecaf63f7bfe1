//! What the schema of a key says that its type does not.

use schemars::{Schema, SchemaGenerator, json_schema};

/// The schema of [`personaroute_bundle::catalog::Capability`], whose crate knows no schemas.
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

#[cfg(test)]
mod tests {
    use personaroute_bundle::catalog::Capability;
    use serde_json::Value;

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
}
