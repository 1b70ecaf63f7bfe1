//! As much of JSON Schema as the configuration's schema uses; a word that is not known here is an error, not a pass.

use anyhow::{Result, bail};
use regex_lite::Regex;
use serde_json::Value;

/// Words that say nothing about what is valid.
const REMARKS: &[&str] = &["$schema", "$defs", "title", "description", "default"];

/// Returns where and how `value` breaks `schema`; nothing when it is valid.
///
/// # Errors
///
/// Fails when the schema itself cannot be followed.
pub fn problems(schema: &Value, value: &Value) -> Result<Vec<String>> {
    let mut found = Vec::new();
    Checker { root: schema }.check(schema, value, "", &mut found)?;
    Ok(found)
}

struct Checker<'a> {
    root: &'a Value,
}

impl Checker<'_> {
    fn check(&self, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) -> Result<()> {
        let Some(words) = schema.as_object() else { bail!("{at}: a schema that is no object: {schema}") };
        for (word, wanted) in words {
            let is_kept = match (word.as_str(), wanted) {
                (word, _) if REMARKS.contains(&word) => true,
                ("$ref", Value::String(reference)) => {
                    let Some(target) = self.root.pointer(reference.trim_start_matches('#')) else {
                        bail!("{at}: {reference} is nowhere");
                    };
                    self.check(target, value, at, found)?;
                    true
                }
                ("type", Value::String(name)) => is_of(value, name),
                ("type", Value::Array(names)) => names.iter().filter_map(Value::as_str).any(|name| is_of(value, name)),
                ("enum", Value::Array(allowed)) => allowed.contains(value),
                ("const", only) => only == value,
                ("minimum", least) => value.as_f64().is_none_or(|number| Some(number) >= least.as_f64()),
                ("maximum", most) => value.as_f64().is_none_or(|number| Some(number) <= most.as_f64()),
                ("pattern", Value::String(pattern)) => {
                    let pattern = Regex::new(pattern)?;
                    value.as_str().is_none_or(|text| pattern.is_match(text))
                }
                ("anyOf" | "oneOf", Value::Array(choices)) => self.is_any(choices, value, at)?,
                ("required", Value::Array(names)) => value
                    .as_object()
                    .is_none_or(|map| names.iter().filter_map(Value::as_str).all(|name| map.contains_key(name))),
                ("items", items) => {
                    for (idx, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(items, item, &format!("{at}/{idx}"), found)?;
                    }
                    true
                }
                ("properties", Value::Object(properties)) => {
                    let present = properties.iter().filter_map(|(name, schema)| Some((name, schema, value.get(name)?)));
                    for (name, schema, value) in present {
                        self.check(schema, value, &format!("{at}/{name}"), found)?;
                    }
                    true
                }
                ("additionalProperties", Value::Bool(false)) => {
                    let known = words.get("properties").and_then(Value::as_object);
                    let is_known = |name: &String| known.is_some_and(|known| known.contains_key(name));
                    value.as_object().is_none_or(|map| map.keys().all(is_known))
                }
                ("additionalProperties", rest @ Value::Object(_)) => {
                    for (name, value) in value.as_object().into_iter().flatten() {
                        self.check(rest, value, &format!("{at}/{name}"), found)?;
                    }
                    true
                }
                _ => bail!("{at}: the word `{word}` is not known here"),
            };
            if !is_kept {
                found.push(format!("{at}: {value} breaks `{word}: {wanted}`"));
            }
        }
        Ok(())
    }

    fn is_any(&self, choices: &[Value], value: &Value, at: &str) -> Result<bool> {
        for choice in choices {
            let mut found = Vec::new();
            self.check(choice, value, at, &mut found)?;
            if found.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_word_is_followed_and_an_unknown_one_is_an_error() {
        let schema = json!({
            "type": "object",
            "properties": { "n": { "$ref": "#/$defs/N" }, "kind": { "oneOf": [{ "const": "a" }, { "enum": ["b"] }] } },
            "additionalProperties": false,
            "required": ["n"],
            "$defs": { "N": { "type": ["integer", "null"], "minimum": 1, "maximum": 3 } },
        });
        let count = |value| problems(&schema, &value).unwrap().len();
        assert_eq!(count(json!({ "n": 2, "kind": "b" })), 0);
        assert_eq!(count(json!({ "n": null })), 0);
        for wrong in [
            json!({}),
            json!({ "n": 4 }),
            json!({ "n": "x" }),
            json!({ "n": 1, "kind": "c" }),
            json!({ "n": 1, "m": 1 }),
        ] {
            assert_eq!(count(wrong.clone()), 1, "{wrong}");
        }
        assert!(problems(&json!({ "multipleOf": 2 }), &json!(3)).is_err());
    }
}
