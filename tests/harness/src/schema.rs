//! Holds values to a JSON schema.

use anyhow::{Result, anyhow};
use serde_json::Value;

/// Returns where and how `value` breaks `schema`; nothing when it is valid.
///
/// # Errors
///
/// Fails when the schema itself is not one.
pub fn problems(schema: &Value, value: &Value) -> Result<Vec<String>> {
    let validator = jsonschema::validator_for(schema).map_err(|error| anyhow!("the schema: {error}"))?;
    Ok(validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_names_its_place_and_a_wrong_schema_is_an_error() {
        let schema = json!({ "properties": { "n": { "type": "integer" } } });
        assert_eq!(problems(&schema, &json!({ "n": 1 })).unwrap(), Vec::<String>::new());
        let found = problems(&schema, &json!({ "n": "x" })).unwrap();
        assert!(found.len() == 1 && found[0].starts_with("/n: "), "{found:?}");
        assert!(problems(&json!({ "type": "whole" }), &json!(1)).is_err());
    }
}
