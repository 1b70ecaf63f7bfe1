//! Rows of queries: read from .jsonl, .json or .txt, written with what was decided added.

use std::{fs, path::Path};

use serde_json::{Map, Value};

use super::Failed;

/// A row: the keys of the input, and later those of the result.
pub(super) type Row = Map<String, Value>;

/// Reads the rows of `path` by its ending.
pub(super) fn read(path: &Path) -> Result<Vec<Row>, Failed> {
    let text = fs::read_to_string(path).map_err(Failed::io(format!("reading {}", path.display())))?;
    let rows = match path.extension().and_then(|ending| ending.to_str()) {
        Some("jsonl") => lines(&text).map(|(number, line)| parse(path, number, line)).collect::<Result<_, _>>()?,
        Some("json") => list(path, &text)?,
        Some("txt") => lines(&text).map(|(_, line)| query(line)).collect(),
        _ => return Err(Failed::Usage(format!("{}: the name must end in .jsonl, .json or .txt", path.display()))),
    };
    Ok(rows)
}

/// Writes `rows` to `path`: one list when the name ends in .json, else an object a line.
pub(super) fn write(path: &Path, rows: &[Row]) -> Result<(), Failed> {
    let is_list = path.extension().is_some_and(|ending| ending == "json");
    let objects: Vec<String> = rows.iter().map(|row| Value::Object(row.clone()).to_string()).collect();
    let text = if is_list { format!("[\n{}\n]\n", objects.join(",\n")) } else { objects.join("\n") + "\n" };
    fs::write(path, text).map_err(Failed::io(format!("writing {}", path.display())))
}

/// Returns a row that asks `text`.
pub(super) fn query(text: &str) -> Row {
    Row::from_iter([("query".to_owned(), Value::from(text))])
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(idx, line)| (idx + 1, line.trim())).filter(|(_, line)| !line.is_empty())
}

fn parse(path: &Path, number: usize, line: &str) -> Result<Row, Failed> {
    let refused = |error: String| Failed::Input(format!("{}:{number}: {error}", path.display()));
    match serde_json::from_str(line) {
        Ok(value) => row(value).map_err(refused),
        Err(error) => Err(refused(format!("column {}: not JSON: {error}", error.column()))),
    }
}

fn list(path: &Path, text: &str) -> Result<Vec<Row>, Failed> {
    let refused = |error: String| Failed::Input(format!("{}: {error}", path.display()));
    let values: Vec<Value> =
        serde_json::from_str(text).map_err(|error| refused(format!("expected a list of queries: {error}")))?;
    let numbered = values.into_iter().enumerate();
    numbered.map(|(idx, value)| row(value).map_err(|error| refused(format!("entry {}: {error}", idx + 1)))).collect()
}

fn row(value: Value) -> Result<Row, String> {
    match value {
        Value::String(text) => Ok(query(&text)),
        Value::Object(row) => {
            let has_query = ["query", "text", "messages"].iter().any(|key| row.contains_key(*key));
            if has_query { Ok(row) } else { Err("expected a key `query`, `text` or `messages`".to_owned()) }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            Err(format!("expected an object or a string, found {value}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(name: &str, text: &str) -> Result<Vec<Row>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        read(&path).map_err(|failed| failed.to_string())
    }

    #[test]
    fn every_ending_gives_the_same_rows() {
        let jsonl = read_as("a.jsonl", "{\"query\":\"a\"}\n\n\"b\"\n").unwrap();
        assert_eq!(jsonl, read_as("a.json", r#"[{"query":"a"},"b"]"#).unwrap());
        assert_eq!(jsonl, read_as("a.txt", "a\nb\n").unwrap());
    }

    #[test]
    fn a_faulty_row_is_named_by_line() {
        let error = read_as("a.jsonl", "{\"query\":\"a\"}\n{\"question\":\"b\"}\n").unwrap_err();
        assert!(error.ends_with("a.jsonl:2: expected a key `query`, `text` or `messages`"), "{error}");
        let error = read_as("a.jsonl", "{\"query\":}\n").unwrap_err();
        assert!(error.contains("a.jsonl:1: column 10: not JSON"), "{error}");
        assert!(read_as("a.csv", "").unwrap_err().contains(".jsonl, .json or .txt"));
    }
}
