//! Sizes in bytes as people write them: `64KiB`, `10MiB`, or a plain number.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// How a size is written.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Written {
    /// In bytes.
    Number(usize),
    /// With a unit.
    Text(String),
}

impl JsonSchema for Written {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "description": "Bytes, or a number with KiB, MiB or GiB.",
            "minimum": 0,
            "pattern": "^[0-9]+(KiB|MiB|GiB)?$",
        })
    }
}

/// Reads a size.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match Written::deserialize(deserializer)? {
        Written::Number(bytes) => Ok(bytes),
        Written::Text(text) => parse(&text).ok_or_else(|| {
            D::Error::custom(format!("invalid size `{text}`, expected bytes or a number with KiB, MiB or GiB"))
        }),
    }
}

/// Writes a size in the largest unit that keeps it whole.
pub fn serialize<S: Serializer>(bytes: &usize, serializer: S) -> Result<S::Ok, S::Error> {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if *bytes > 0 && bytes.trailing_zeros() >= shift {
            return serializer.serialize_str(&format!("{}{unit}", bytes >> shift));
        }
    }
    serializer.serialize_u64(*bytes as u64)
}

fn parse(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let number: usize = number.parse().ok()?;
    let unit = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn units_are_binary() {
        assert_eq!(parse("10MiB"), Some(10 << 20));
        assert_eq!(parse("512"), Some(512));
    }

    #[test]
    fn other_units_are_refused() {
        for text in ["10MB", "ten", "", "99999999999999GiB"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
