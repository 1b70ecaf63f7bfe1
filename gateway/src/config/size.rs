//! Sizes in bytes as people write them: `64KiB`, `10MiB`, or a plain number.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ByteSize(pub usize);

/// The units, largest first, by the power of two that each is.
const UNITS: [(&str, u32); 3] = [("GiB", 30), ("MiB", 20), ("KiB", 10)];

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(usize),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(bytes) => Ok(Self(bytes)),
            Written::Text(text) => parse(&text).map(Self).ok_or_else(|| {
                D::Error::custom(format!("invalid size `{text}`, expected bytes or a number with KiB, MiB or GiB"))
            }),
        }
    }
}

/// Writes the largest unit of which the size is a whole number.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_multiple = |shift: u32| self.0 > 0 && self.0.trailing_zeros() >= shift;
        match UNITS.into_iter().find(|(_, shift)| is_multiple(*shift)) {
            Some((unit, shift)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let has_unit = self.0 > 0 && self.0.trailing_zeros() >= 10;
        if has_unit { serializer.collect_str(self) } else { serializer.serialize_u64(self.0 as u64) }
    }
}

impl JsonSchema for ByteSize {
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

fn parse(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let number: usize = number.parse().ok()?;
    if unit.is_empty() {
        return Some(number);
    }
    let (_, shift) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_binary() {
        assert_eq!(parse("10MiB"), Some(10 << 20));
        assert_eq!(parse("512"), Some(512));
        assert_eq!(ByteSize(3 << 10).to_string(), "3KiB");
        assert_eq!(ByteSize(1025).to_string(), "1025");
    }

    #[test]
    fn other_units_are_refused() {
        for text in ["10MB", "ten", "", "99999999999999GiB"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
