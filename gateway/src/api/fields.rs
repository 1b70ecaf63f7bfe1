//! The top-level fields of a JSON object as slices of its text, so that one can be replaced and the rest kept.
//!
//! serde_json checks the whole text while it goes; nothing is copied. A name may stand twice: readers differ in which
//! one they believe, so the last one is read, as most do, and all are rewritten.

use std::{borrow::Cow, fmt, ops::Range};

use bytes::{Bytes, BytesMut};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The fields of one object.
#[derive(Debug, Default)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Reads the object `text`.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Hands each object of the array `value` to `each`, and keeps none: a short text may hold millions. Returns how many
    /// there are.
    pub fn each(value: &'a RawValue, each: impl FnMut(&Self)) -> Result<usize, serde_json::Error> {
        serde_json::Deserializer::from_str(value.get()).deserialize_seq(EachVisitor(each))
    }

    /// Returns the value of `name`, the last one when it stands twice.
    pub fn find(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// Returns the string `name`; none when absent or something else.
    pub fn string(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.find(name)?.get()).ok()
    }

    /// Returns whether `name` is `true`.
    pub fn is_true(&self, name: &str) -> bool {
        self.find(name).is_some_and(|value| value.get() == "true")
    }

    /// Returns the largest number that any of `names` may be read as, wherever it stands and however it is written.
    pub fn upper_bound(&self, names: &[&str]) -> UpperBound {
        let values = self.0.iter().filter(|(key, _)| names.contains(&&**key)).map(|(_, value)| UpperBound::of(value));
        values.fold(UpperBound::default(), UpperBound::max)
    }

    /// Returns whether `name` is an array or object with something in it.
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

/// How much a client wants at most; upstreams differ in what they take for a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UpperBound {
    /// The number; none when there is nothing that could be one.
    pub number: Option<u32>,
    /// Whether anything stands there that is no number from 0, such as a string or -1, which means "no limit" to some.
    pub is_ambiguous: bool,
}

impl UpperBound {
    fn of(value: &RawValue) -> Self {
        let written = value.get();
        if let Ok(number) = written.parse::<f64>() {
            return Self { number: saturate(number), is_ambiguous: number < 0.0 };
        }
        // Python's readers take `100_000` too.
        let text = serde_json::from_str::<String>(written).unwrap_or_default().replace('_', "");
        Self { number: text.trim().parse().ok().and_then(saturate), is_ambiguous: written != "null" }
    }

    fn max(self, other: Self) -> Self {
        Self { number: self.number.max(other.number), is_ambiguous: self.is_ambiguous || other.is_ambiguous }
    }
}

/// Returns `number` rounded up, the largest `u32` at most; none below 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "invariant: it is from 0, and `as` saturates"
)]
fn saturate(number: f64) -> Option<u32> {
    (number >= 0.0).then(|| number.ceil() as u32)
}

/// Serde copies a borrowed `Cow` unless told otherwise.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);
        Ok(Self(Borrowed::deserialize(deserializer)?.0))
    }
}

/// A JSON object that a client sent, with the places of its `model` values.
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

    /// Returns the document as it came.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the document with `name` as its model and every other byte as it came.
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
