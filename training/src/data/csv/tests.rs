//! Facts about splitting CSV into records.

use std::io::Cursor;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn open(text: &str) -> Result<Records, DataError> {
    Records::new(Path::new("x.csv"), Box::new(Cursor::new(text.as_bytes().to_vec())))
}

fn rows(text: &str) -> Result<Vec<(u64, Vec<String>)>, DataError> {
    let mut records = open(text)?;
    let columns = records.header.len();
    let mut rows = Vec::new();
    while let Some(record) = records.next()? {
        let fields = (0..columns).map(|at| record.text(at).unwrap().to_owned()).collect();
        rows.push((record.line, fields));
    }
    Ok(rows)
}

#[test]
fn quoted_fields_keep_commas_quotes_and_line_breaks() {
    let read = rows("a,b\n1,\"x, \"\"y\"\"\nz\"\n2,\n").unwrap();
    assert_eq!(read, [(2, vec!["1".into(), "x, \"y\"\nz".into()]), (4, vec!["2".into(), String::new()])]);
}

#[test]
fn windows_line_ends_blank_lines_and_a_missing_last_break_are_fine() {
    let read = rows("\u{feff}a,b\r\n1,2\r\n\r\n3,\"4\"").unwrap();
    assert_eq!(read, [(2, vec!["1".into(), "2".into()]), (4, vec!["3".into(), "4".into()])]);
}

#[test]
fn a_short_row_is_refused_with_its_line() {
    let error = rows("a,b,c\n1,2,3\n1,2\n").unwrap_err().to_string();
    assert_eq!(error, "x.csv, line 3: expected 3 fields as in the header, found 2");
}

#[test]
fn an_open_quote_is_refused_with_its_line() {
    let error = rows("a,b\n1,2\n1,\"2\n").unwrap_err().to_string();
    assert!(error.starts_with("x.csv, line 3: expected a closing quote"), "{error}");
    let error = rows("a,b\n1,\"2\"3\n").unwrap_err().to_string();
    assert!(error.starts_with("x.csv, line 2: expected a closing quote"), "{error}");
}

#[test]
fn a_missing_column_is_named_beside_those_there() {
    let error = open("a,b\n").unwrap().column("c").unwrap_err().to_string();
    assert_eq!(error, "x.csv, line 1: expected a column `c`, found a, b");
}

#[test]
fn a_value_of_the_wrong_kind_names_line_and_column() {
    let mut records = open("a,b\n1,2\n1,two\n").unwrap();
    records.next().unwrap();
    let record = records.next().unwrap().unwrap();
    let error = record.number(1).unwrap_err().to_string();
    assert_eq!(error, "x.csv, line 3, column `b`: expected a finite number, found `two`");
    assert_eq!(record.whole(0).unwrap(), 1);
}

#[test]
fn records_longer_than_the_buffer_are_read_whole() {
    let long = "x".repeat(3 * BUFFER);
    let read = rows(&format!("a,b\n1,\"{long}\"\n2,y\n")).unwrap();
    assert_eq!((read[0].1[1].len(), read[1].0), (3 * BUFFER, 3));
}

#[test]
fn an_empty_file_is_refused() {
    let error = open("").err().unwrap().to_string();
    assert_eq!(error, "x.csv: expected a header line, found an empty file");
}

#[test]
fn gzipped_files_are_written_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.csv.gz");
    let mut writer = Writer::create(&file, &["a", "b"]).unwrap();
    writer.record(["1", "x,\n\"y\""]).unwrap();
    writer.finish().unwrap();
    assert_eq!(std::fs::read(&file).unwrap()[..2], [0x1f, 0x8b]);
    let mut records = Records::open(&file).unwrap();
    let record = records.next().unwrap().unwrap();
    assert_eq!((record.whole(0).unwrap(), record.text(1).unwrap()), (1, "x,\n\"y\""));
    assert!(records.next().unwrap().is_none());
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_column() {
    let mut records = Records::new(Path::new("x.csv"), Box::new(Cursor::new(b"a,b\n1,\xff\n".to_vec()))).unwrap();
    let record = records.next().unwrap().unwrap();
    let error = record.text(1).unwrap_err().to_string();
    assert_eq!(error, "x.csv, line 2, column `b`: expected UTF-8 text, found other bytes");
}

proptest! {
    #[test]
    fn every_written_table_is_read_back(table in proptest::collection::vec(proptest::collection::vec("[a-z\",\n é]{0,12}", 3), 1..20)) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.csv");
        let mut writer = Writer::create(&file, &["a", "b", "c"]).unwrap();
        for row in &table {
            writer.record(row).unwrap();
        }
        writer.finish().unwrap();
        let read: Vec<Vec<String>> = rows(&std::fs::read_to_string(&file).unwrap()).unwrap().into_iter().map(|(_, fields)| fields).collect();
        prop_assert_eq!(read, table);
    }
}
