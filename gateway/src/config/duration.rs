//! Durations as people write them: `250ms`, `30s`, `10m`, `1h 30m`.

use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A duration of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HumanDuration(pub Duration);

impl HumanDuration {
    /// Returns a duration of whole seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let duration = humantime::parse_duration(&text).map_err(|error| {
            let expected = "expected a number with a unit, such as 250ms, 30s, 10m or 1h";
            D::Error::custom(format!("invalid duration `{text}`, {expected}: {error}"))
        })?;
        Ok(Self(duration))
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A number with a unit, such as 250ms, 30s, 10m or 1h.",
            "pattern": "^ *([0-9]+([.][0-9]+)? *(nsec|ns|usec|us|millis|msec|ms|seconds|second|secs|sec|s|minutes|minute|mins|min|m|hours|hour|hrs|hr|h|days|day|d|weeks|week|w) *)+$",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<Duration> {
        serde_saphyr::from_str::<HumanDuration>(&format!("'{text}'")).ok().map(|read| read.0)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0u64..10_000_000_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(read(&HumanDuration(duration).to_string()), Some(duration));
        }
    }

    #[test]
    fn a_number_without_unit_is_refused() {
        assert_eq!(
            (read("250ms"), read("1.5s")),
            (Some(Duration::from_millis(250)), Some(Duration::from_millis(1_500)))
        );
        for text in ["30", "", "s", "-1s", "10 parsecs", "18446744073709551615h"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
