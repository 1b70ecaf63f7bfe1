//! A JSON tree that can hold parts as raw text, so that tool arguments keep their bytes.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, value::RawValue};

/// A JSON value under construction.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// A parsed value.
    Value(Value),
    /// JSON text that is written as it is.
    Raw(Box<RawValue>),
    /// An object, in order.
    Object(Vec<(&'static str, Self)>),
    /// An array.
    List(Vec<Self>),
}

impl Node {
    /// Returns the JSON object `text` as it is written; none if it is not an object.
    pub(super) fn raw_object(text: &str) -> Option<Self> {
        let text = text.trim();
        let raw = text.starts_with('{').then(|| RawValue::from_string(text.to_owned()).ok())??;
        Some(Self::Raw(raw))
    }

    /// Returns the `type` of a content block; empty if it has none.
    pub(super) fn kind(&self) -> &str {
        match self {
            Self::Value(value) => value.get("type").and_then(Value::as_str).unwrap_or_default(),
            Self::Object(fields) => match fields.iter().find(|(name, _)| *name == "type") {
                Some((_, Self::Value(Value::String(kind)))) => kind,
                _ => "",
            },
            Self::Raw(_) | Self::List(_) => "",
        }
    }

    /// Returns the tree as JSON text.
    pub(super) fn to_text(&self) -> String {
        // Keys are strings and numbers are finite, so that writing cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::Raw(raw) => raw.serialize(serializer),
            Self::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
            Self::List(items) => serializer.collect_seq(items),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn raw_objects_keep_their_bytes_and_other_json_is_no_object() {
        let text = r#"{"n":123456789012345678901234567890, "x":1.10, "e":"\u00e9"}"#;
        let tree = Node::Object(vec![("input", Node::raw_object(text).unwrap()), ("id", json!("a").into())]);
        assert_eq!(tree.to_text(), format!(r#"{{"input":{text},"id":"a"}}"#));
        for odd in ["[1]", "1", "", "{\"a\":", "{} {}"] {
            assert!(Node::raw_object(odd).is_none(), "{odd}");
        }
    }
}
