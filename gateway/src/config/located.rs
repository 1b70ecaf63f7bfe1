//! A value together with its position in the file, so that a later check can point at it.

use std::{borrow::Cow, ops::Deref};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_saphyr::Spanned;

use super::{
    error::{Fault, Rejection},
    position::Position,
};

/// A value and where it is written; a default is written nowhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it is written.
    pub position: Position,
}

impl<T> Located<T> {
    /// Returns the rejection of this value for `fault`.
    pub fn reject(&self, fault: Fault) -> Rejection {
        Rejection { position: self.position, fault }
    }
}

impl<T> From<T> for Located<T> {
    fn from(value: T) -> Self {
        Self { value, position: Position::default() }
    }
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Located<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        Ok(Self { value: spanned.value, position: spanned.referenced.into() })
    }
}

impl<T: Serialize> Serialize for Located<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

/// The schema is that of the value.
impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_knows_its_position_and_a_default_has_none() {
        #[derive(Deserialize)]
        struct File {
            list: Vec<Located<u32>>,
            #[serde(default)]
            other: Located<u32>,
        }
        let file: File = serde_saphyr::from_str("list:\n- 1\n- 2\n").unwrap();
        let positions: Vec<String> = file.list.iter().map(|number| number.position.to_string()).collect();
        assert_eq!(positions, ["2:3", "3:3"]);
        assert!(!file.other.position.is_known());
    }
}
