//! Reads embeddings of named things (LLMs, tasks) from a pickle, a `.npy` array or a JSON object, in the order of the names.

use std::path::Path;

use ndarray::Array2;
use serde_json::Value as Json;

use super::error::DataError;
use super::pickle::Value;
use super::{npy, open, pickle};

/// Reads one embedding a name, whatever the format; `[names, dim]`.
pub fn named(file: &Path, names: &[&str]) -> Result<Array2<f32>, DataError> {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let rows = match extension {
        "npy" => npy::read(file)?.rows().into_iter().map(|row| row.to_vec()).collect(),
        "json" => from_json(file, names)?,
        _ => from_pickle(file, names)?,
    };
    stack(file, names, &rows)
}

fn from_json(file: &Path, names: &[&str]) -> Result<Vec<Vec<f32>>, DataError> {
    let json: Json = serde_json::from_slice(&open::bytes(file)?)
        .map_err(|error| DataError::format(file, "a JSON object of arrays", error.to_string()))?;
    match &json {
        Json::Object(entries) => names.iter().map(|name| json_row(file, name, entries.get(*name))).collect(),
        Json::Array(rows) => rows.iter().map(|row| json_row(file, "row", Some(row))).collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            Err(DataError::format(file, "a JSON object of arrays", "another value"))
        }
    }
}

fn json_row(file: &Path, name: &str, row: Option<&Json>) -> Result<Vec<f32>, DataError> {
    let Some(row) = row else { return Err(DataError::format(file, format!("an embedding of `{name}`"), "none")) };
    let mut numbers = Vec::new();
    json_numbers(row, &mut numbers);
    match numbers.is_empty() {
        true => Err(DataError::format(file, format!("numbers for `{name}`"), row.to_string())),
        false => Ok(numbers),
    }
}

/// Flattens arrays of arrays: `[[…]]` is as common as `[…]`.
#[expect(clippy::cast_possible_truncation, reason = "invariant: embeddings are single precision")]
fn json_numbers(value: &Json, numbers: &mut Vec<f32>) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| json_numbers(item, numbers)),
        Json::Number(number) => numbers.push(number.as_f64().unwrap_or(f64::NAN) as f32),
        Json::Null | Json::Bool(_) | Json::String(_) | Json::Object(_) => numbers.push(f32::NAN),
    }
}

fn from_pickle(file: &Path, names: &[&str]) -> Result<Vec<Vec<f32>>, DataError> {
    match pickle::read(file)? {
        Value::Array { shape, values } => {
            let columns = shape.last().copied().unwrap_or(0).max(1);
            Ok(values.chunks(columns).map(<[f32]>::to_vec).collect())
        }
        Value::List(rows) => rows.iter().map(|row| pickle_row(file, "row", row)).collect(),
        Value::Dict(entries) => {
            let find = |name: &str| entries.iter().find(|(key, _)| key == name).map(|(_, value)| value);
            let row = |name: &&str| match find(name) {
                Some(value) => pickle_row(file, name, value),
                None => Err(DataError::format(file, format!("an embedding of `{name}`"), "none")),
            };
            names.iter().map(row).collect()
        }
        Value::Number(_) | Value::Text(_) | Value::Other => {
            Err(DataError::format(file, "an array, a list or a dictionary of embeddings", "another value"))
        }
    }
}

fn pickle_row(file: &Path, name: &str, value: &Value) -> Result<Vec<f32>, DataError> {
    let mut numbers = Vec::new();
    match pickle_numbers(value, &mut numbers) && !numbers.is_empty() {
        true => Ok(numbers),
        false => Err(DataError::format(file, format!("numbers for `{name}`"), "another value")),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "invariant: embeddings are single precision")]
fn pickle_numbers(value: &Value, numbers: &mut Vec<f32>) -> bool {
    match value {
        Value::Array { values, .. } => numbers.extend(values),
        Value::Number(number) => numbers.push(*number as f32),
        Value::List(items) => return items.iter().all(|item| pickle_numbers(item, numbers)),
        Value::Text(_) | Value::Dict(_) | Value::Other => return false,
    }
    true
}

fn stack(file: &Path, names: &[&str], rows: &[Vec<f32>]) -> Result<Array2<f32>, DataError> {
    if rows.len() != names.len() {
        return Err(DataError::format(file, format!("{} embeddings", names.len()), format!("{}", rows.len())));
    }
    let dim = rows.first().map_or(0, Vec::len);
    for (name, row) in names.iter().zip(rows) {
        if row.len() != dim {
            let expected = format!("{dim} numbers for `{name}` as for the first");
            return Err(DataError::format(file, expected, format!("{}", row.len())));
        }
        if row.iter().any(|value| !value.is_finite()) {
            return Err(DataError::format(file, format!("finite numbers for `{name}`"), "others"));
        }
    }
    let flat = rows.concat();
    let found = format!("{}", flat.len());
    Array2::from_shape_vec((names.len(), dim), flat)
        .map_err(|_| DataError::format(file, "as many numbers for each", found))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        (folder, file)
    }

    #[test]
    fn json_rows_follow_the_names_not_the_file() {
        let (_folder, file) = file("e.json", br#"{"b": [[3, 4]], "a": [1, 2.5], "unused": [9]}"#);
        assert_eq!(named(&file, &["a", "b"]).unwrap(), array![[1.0, 2.5], [3.0, 4.0]]);
    }

    #[test]
    fn a_missing_name_and_another_length_are_refused() {
        let (_folder, path) = file("e.json", br#"{"a": [1, 2]}"#);
        let error = named(&path, &["a", "b"]).unwrap_err().to_string();
        assert!(error.ends_with("e.json: expected an embedding of `b`, found none"), "{error}");
        let (_folder, path) = file("e.json", br#"{"a": [1, 2], "b": [1]}"#);
        let error = named(&path, &["a", "b"]).unwrap_err().to_string();
        assert!(error.ends_with("expected 2 numbers for `b` as for the first, found 1"), "{error}");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let (_folder, path) = file("e.json", br#"{"a": [1, "x"]}"#);
        let error = named(&path, &["a"]).unwrap_err().to_string();
        assert!(error.ends_with("expected finite numbers for `a`, found others"), "{error}");
    }
}
