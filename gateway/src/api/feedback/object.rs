//! A JSON object whose errors name the field.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::api::Invalid;

/// A parsed object with known fields only. A field that is `null` counts as absent.
pub(super) struct Object(Map<String, Value>);

impl Object {
    /// Parses an object that has none but `fields`.
    pub(super) fn parse(text: &str, fields: &[&'static str]) -> Result<Self, Invalid> {
        let mut object: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| Invalid::new("body", format!("a JSON object is needed: {error}")))?;
        if let Some(unknown) = object.keys().find(|key| !fields.contains(&key.as_str())) {
            let name: String = unknown.chars().take(40).collect();
            let message = format!("unknown field `{name}`, known are {}", fields.join(", "));
            return Err(Invalid::new(name, message));
        }
        object.retain(|_, value| !value.is_null());
        Ok(Self(object))
    }

    /// Returns whether the field is there.
    pub(super) fn has(&self, field: &str) -> bool {
        self.0.contains_key(field)
    }

    /// Returns a text of 1 to `most` characters, if it is there.
    pub(super) fn string(&self, field: &'static str, most: usize) -> Result<Option<String>, Invalid> {
        match self.0.get(field) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() && text.chars().nth(most).is_none() => Ok(Some(text.clone())),
            Some(Value::String(text)) if text.is_empty() => Err(Invalid::new(field, format!("`{field}` is empty"))),
            Some(Value::String(_)) => Err(Invalid::new(field, format!("`{field}` has more than {most} characters"))),
            Some(_) => Err(Invalid::new(field, format!("`{field}` must be a string"))),
        }
    }

    /// Returns a text that must be there.
    pub(super) fn required(&self, field: &'static str, most: usize) -> Result<String, Invalid> {
        let missing = || Invalid::new(field, format!("`{field}` is required"));
        self.string(field, most)?.ok_or_else(missing)
    }

    /// Returns a list of texts.
    pub(super) fn names(&self, field: &'static str, most: usize) -> Result<Vec<String>, Invalid> {
        let refused = || Invalid::new(field, format!("`{field}` must be a list of names"));
        let list = self.0.get(field).and_then(Value::as_array).ok_or_else(refused)?;
        let name = |value: &Value| match value.as_str() {
            Some(name) if !name.is_empty() && name.chars().nth(most).is_none() => Ok(name.to_owned()),
            _ => Err(refused()),
        };
        list.iter().map(name).collect()
    }

    /// Returns a number from 0 to 1.
    pub(super) fn share(&self, field: &'static str) -> Result<f32, Invalid> {
        let number = self.0.get(field).and_then(Value::as_f64).filter(|number| (0.0..=1.0).contains(number));
        let number = number.ok_or_else(|| Invalid::new(field, format!("`{field}` must be a number from 0 to 1")))?;
        #[expect(clippy::cast_possible_truncation, reason = "a number from 0 to 1, rounded once")]
        let rounded = number as f32;
        Ok(rounded)
    }

    /// Returns a truth value, if it is there.
    pub(super) fn boolean(&self, field: &'static str) -> Result<Option<bool>, Invalid> {
        match self.0.get(field) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(Invalid::new(field, format!("`{field}` must be true or false"))),
        }
    }

    /// Returns a time in milliseconds since 1970, if it is there.
    pub(super) fn time(&self, field: &'static str) -> Result<Option<u64>, Invalid> {
        let refused = || {
            Invalid::new(field, format!("`{field}` must be seconds since 1970, or a time such as 2026-11-30T12:00:00Z"))
        };
        let millis = match self.0.get(field) {
            None => return Ok(None),
            Some(Value::Number(seconds)) => {
                let seconds = seconds.as_f64().filter(|seconds| (0.0..1e11).contains(seconds)).ok_or_else(refused)?;
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the range above")]
                let millis = (seconds * 1_000.0) as u64;
                millis
            }
            Some(Value::String(text)) => {
                let timestamp: Timestamp = text.parse().map_err(|_| refused())?;
                u64::try_from(timestamp.as_millisecond()).map_err(|_| refused())?
            }
            Some(_) => return Err(refused()),
        };
        Ok(Some(millis))
    }
}
