//! The top-level fields of a JSON object as slices of its text, so that one can be replaced and the rest is kept.
//!
//! serde_json validates the whole text; nothing is copied. A name may occur twice, and parsers differ in which value they
//! use: the last one is read, as most parsers do, and all are rewritten.

use std::{borrow::Cow, fmt, ops::Range};

use super::Invalid;
use bytes::{Bytes, BytesMut};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The fields of one object.
#[derive(Debug, Default)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Parses the object `text`.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Calls `each` with every object of the array `value`, and returns their number. It keeps none of them, as a short text
    /// may contain millions.
    pub fn each(value: &'a RawValue, each: impl FnMut(&Self)) -> Result<usize, serde_json::Error> {
        serde_json::Deserializer::from_str(value.get()).deserialize_seq(EachVisitor(each))
    }

    /// Returns the last value of `name`.
    pub fn find(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// Returns the string `name`; none if it is absent or not a string.
    pub fn string(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.find(name)?.get()).ok()
    }

    /// Returns whether `name` is `true`.
    pub fn is_true(&self, name: &str) -> bool {
        self.find(name).is_some_and(|value| value.get() == "true")
    }

    /// Returns the largest number that a parser may read for any of `names`, in every occurrence and spelling.
    pub fn upper_bound(&self, names: &[&str]) -> UpperBound {
        let values = self.0.iter().filter(|(key, _)| names.contains(&&**key)).map(|(_, value)| UpperBound::of(value));
        values.fold(UpperBound::default(), UpperBound::max)
    }

    /// Refuses names that differ from one of `known` only in case: upstreams that ignore case would read another value.
    pub fn check_case(&self, known: &[&str]) -> Result<(), Invalid> {
        let differs = |key: &str| known.iter().find(|name| key.eq_ignore_ascii_case(name) && key != **name);
        let found = self.0.iter().find_map(|(key, _)| Some((key, differs(key)?)));
        match found {
            Some((key, name)) => {
                let message = format!("`{key}` is ambiguous: upstreams may read it as `{name}`; write `{name}`");
                Err(Invalid::new(key.to_string(), message))
            }
            None => Ok(()),
        }
    }

    /// Returns the object with the field `from` called `to`; every value keeps its text.
    pub fn renamed(&self, from: &str, to: &str) -> String {
        let mut written = String::from("{");
        for (key, value) in &self.0 {
            let key = if key == from { to } else { key };
            let comma = if written.len() > 1 { "," } else { "" };
            written.push_str(&format!("{comma}{}:{}", serde_json::Value::from(key), value.get()));
        }
        written + "}"
    }

    /// Returns the object with the JSON text `value` as its field `name`, and without the field `without`.
    pub fn replaced(&self, name: &str, value: &str, without: &str) -> String {
        let mut written = format!("{{{}:{value}", serde_json::Value::from(name));
        for (key, value) in self.0.iter().filter(|(key, _)| key != name && key != without) {
            written.push_str(&format!(",{}:{}", serde_json::Value::from(&**key), value.get()));
        }
        written + "}"
    }

    /// Returns whether `name` is a non-empty array or object.
    pub fn is_filled(&self, name: &str) -> bool {
        self.find(name).is_some_and(|value| {
            let inside = value.get().trim_start_matches(['[', '{']).trim_start();
            inside.len() < value.get().len() && !inside.starts_with([']', '}'])
        })
    }

    fn all<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'a RawValue> + 'b {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Vec::with_capacity(16);
        while let Some(Key(key)) = map.next_key()? {
            fields.push((key, map.next_value()?));
        }
        Ok(Fields(fields))
    }
}

struct EachVisitor<F>(F);

impl<'de, F: FnMut(&Fields<'de>)> Visitor<'de> for EachVisitor<F> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of JSON objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<usize, A::Error> {
        let mut count = 0;
        while let Some(fields) = seq.next_element()? {
            (self.0)(&fields);
            count += 1;
        }
        Ok(count)
    }
}

/// An upper bound of a numeric field, as upstreams differ in what they accept as a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UpperBound {
    /// The largest number; none if no value can be read as one.
    pub number: Option<u32>,
    /// Whether a value is not a number from 0, such as a string or -1, which some upstreams read as "no limit".
    pub is_ambiguous: bool,
}

impl UpperBound {
    fn of(value: &RawValue) -> Self {
        let written = value.get();
        if let Ok(number) = written.parse::<f64>() {
            return Self { number: saturate(number), is_ambiguous: number < 0.0 };
        }
        // Python's `int()` also accepts `100_000`.
        let text = serde_json::from_str::<String>(written).unwrap_or_default().replace('_', "");
        Self { number: text.trim().parse().ok().and_then(saturate), is_ambiguous: written != "null" }
    }

    fn max(self, other: Self) -> Self {
        Self { number: self.number.max(other.number), is_ambiguous: self.is_ambiguous || other.is_ambiguous }
    }
}

/// Returns `number` rounded up and capped at `u32::MAX`; none below 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "invariant: it is from 0, and `as` saturates"
)]
fn saturate(number: f64) -> Option<u32> {
    (number >= 0.0).then(|| number.ceil() as u32)
}

/// Serde copies into a `Cow` unless the field is marked as borrowed.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);
        Ok(Self(Borrowed::deserialize(deserializer)?.0))
    }
}

/// A JSON object from a client, with the positions of its `model` values.
#[derive(Debug, Clone)]
pub struct Document {
    bytes: Bytes,
    models: Vec<Range<usize>>,
}

impl Document {
    /// Returns `bytes` as a document; `fields` were read from them.
    pub fn new(bytes: Bytes, fields: &Fields<'_>) -> Self {
        let start = bytes.as_ptr().addr();
        let span = |value: &RawValue| {
            let from = value.get().as_ptr().addr().saturating_sub(start);
            from..from + value.get().len()
        };
        let models = fields.all("model").map(span).collect();
        Self { bytes, models }
    }

    /// Returns the original bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the document with `name` as its model; every other byte stays the same.
    pub fn with_model(&self, name: &str) -> Bytes {
        let written = serde_json::Value::from(name).to_string();
        let is_same = |span: &Range<usize>| self.bytes.get(span.clone()) == Some(written.as_bytes());
        if self.models.iter().all(is_same) {
            return self.bytes.clone();
        }
        let mut rewritten = BytesMut::with_capacity(self.bytes.len() + written.len() * self.models.len());
        let mut copied = 0;
        for span in &self.models {
            rewritten.extend_from_slice(self.bytes.get(copied..span.start).unwrap_or_default());
            rewritten.extend_from_slice(written.as_bytes());
            copied = span.end;
        }
        rewritten.extend_from_slice(self.bytes.get(copied..).unwrap_or_default());
        rewritten.freeze()
    }
}

#[cfg(test)]
mod tests;
