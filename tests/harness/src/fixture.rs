//! Committed data with known answers, each computed independently of the code under test.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::path;

/// Returns texts with their embeddings by all-MiniLM-L6-v2, in double precision.
///
/// # Errors
///
/// Fails when the file is missing or is not what `tests/fixtures/embeddings.py` writes.
pub fn embeddings() -> Result<Vec<(String, Vec<f32>)>> {
    let file = path::root().join("tests/fixtures/embeddings.json");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let rows: Vec<Value> = serde_json::from_str(&text)?;
    rows.iter().map(row).collect::<Option<_>>().context("a row without a text or an embedding")
}

fn row(row: &Value) -> Option<(String, Vec<f32>)> {
    let values = row["embedding"].as_array()?.iter().map(Value::as_f64);
    #[expect(clippy::cast_possible_truncation, reason = "invariant: embeddings are single precision")]
    let narrowed = |value: f64| (value * 1e-5) as f32;
    let embedding = values.map(|value| Some(narrowed(value?))).collect::<Option<_>>()?;
    Some((row["text"].as_str()?.to_owned(), embedding))
}
