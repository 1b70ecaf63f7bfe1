//! `/v1/models`: the names a client may send.

use serde_json::{Value, json};

/// Returns the list of `names` with their owners.
pub fn list<'a>(names: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    let data: Vec<Value> = names.map(|(name, owner)| one(name, owner)).collect();
    json!({"object": "list", "data": data})
}

/// Returns one entry. There is no creation date to tell; clients only need the field.
pub fn one(name: &str, owner: &str) -> Value {
    json!({"id": name, "object": "model", "created": 0, "owned_by": owner})
}
