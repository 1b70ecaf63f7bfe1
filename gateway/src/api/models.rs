//! `/v1/models`: the model names that a client may send.

use serde_json::{Value, json};

/// Returns the list of `names` with their owners.
pub fn list<'a>(names: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    let data: Vec<Value> = names.map(|(name, owner)| one(name, owner)).collect();
    json!({"object": "list", "data": data})
}

/// Returns one entry. The creation date is 0, as it is unknown and clients only require the field.
pub fn one(name: &str, owner: &str) -> Value {
    json!({"id": name, "object": "model", "created": 0, "owned_by": owner})
}
