//! Mends JSON schemas that one format takes and the other refuses.
//!
//! Anthropic requires `type: object` of a tool's `input_schema` (Messages API, `tools[].input_schema`). OpenAI requires
//! `properties` of an object, and takes `strict` only if every object requires all its properties and allows no others
//! (guide to structured outputs, "Supported schemas").

use serde_json::{Map, Value, json};

/// Keywords whose value is one schema, or a list or object of schemas.
const NESTED: [&str; 8] = ["properties", "items", "anyOf", "allOf", "oneOf", "$defs", "definitions", "prefixItems"];

/// Returns the schema of a tool's input as both formats take it: an object with a list of its properties.
pub(super) fn object(schema: Option<&Value>) -> Value {
    let mut schema = match schema {
        Some(Value::Object(schema)) => schema.clone(),
        _ => Map::new(),
    };
    if schema.get("type").is_none_or(Value::is_null) {
        schema.shift_remove("type");
        schema.shift_insert(0, "type".to_owned(), json!("object"));
    }
    if schema.get("properties").is_none_or(Value::is_null) && !schema.contains_key("$ref") {
        schema.insert("properties".to_owned(), json!({}));
    }
    Value::Object(schema)
}

/// Returns whether OpenAI takes `schema` as strict.
pub(super) fn can_be_strict(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => is_closed(map) && NESTED.iter().filter_map(|name| map.get(*name)).all(are_strict),
        // `true` and `{}` allow anything.
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => false,
    }
}

/// Returns whether an object schema requires all its properties and allows no others; other types are closed.
fn is_closed(schema: &Map<String, Value>) -> bool {
    let is_object = schema.get("type") == Some(&json!("object")) || schema.contains_key("properties");
    if !is_object {
        return !schema.is_empty();
    }
    let required = schema.get("required").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let is_required = |name: &String| required.iter().any(|known| known.as_str() == Some(name));
    let properties = schema.get("properties").and_then(Value::as_object);
    schema.get("additionalProperties") == Some(&Value::Bool(false))
        && properties.is_some_and(|properties| properties.keys().all(is_required))
}

/// Returns whether every schema inside `nested` can be strict: a schema, a list of schemas, or an object of schemas.
fn are_strict(nested: &Value) -> bool {
    match nested {
        Value::Array(list) => list.iter().all(can_be_strict),
        Value::Object(map) if map.values().all(|value| value.is_object() || value.is_boolean()) => {
            map.values().all(can_be_strict)
        }
        Value::Object(_) => can_be_strict(nested),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tools_schema_becomes_an_object_with_properties() {
        let empty = json!({"type": "object", "properties": {}});
        for odd in [None, Some(Value::Null), Some(json!({})), Some(json!({"type": "object"})), Some(json!([]))] {
            assert_eq!(object(odd.as_ref()), empty, "{odd:?}");
        }
        let kept = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
        assert_eq!(object(Some(&kept)), kept);
        let untyped = json!({"properties": {"a": {"type": "string"}}});
        assert_eq!(object(Some(&untyped))["properties"], untyped["properties"]);
        assert_eq!(object(Some(&untyped))["type"], "object");
    }

    #[test]
    fn strict_holds_only_where_every_object_is_closed() {
        let text = json!({"type": "string"});
        let closed = |properties: Value, required: &[&str]| json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
        assert!(can_be_strict(&closed(json!({"a": text}), &["a"])));
        assert!(!can_be_strict(&closed(json!({"a": text, "b": text}), &["a"])), "an optional property");
        assert!(!can_be_strict(&json!({"type": "object", "properties": {"a": text}, "required": ["a"]})), "others");
        let inner = closed(json!({"b": text}), &[]);
        assert!(!can_be_strict(&closed(json!({"a": inner}), &["a"])), "an optional property inside");
        assert!(!can_be_strict(&closed(json!({"a": {"type": "array", "items": inner}}), &["a"])));
        assert!(!can_be_strict(&closed(json!({"a": {}}), &["a"])), "a property that may be anything");
    }
}
