//! Tests of the export: what a reader of the Parquet files finds, and that a repeated export replaces a day.

use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::RowAccessor,
};

use super::*;
use crate::{
    api::feedback::Said,
    learning::{Origin, Signal, TaskGuess},
    routing::QueryFeatures,
};

fn interaction(user: &str, decision: &str, said: Said, received: u64) -> Interaction {
    let origin = Origin {
        model: "auto".to_owned(),
        llm: "a".to_owned(),
        task: Some(TaskGuess { name: "math".to_owned(), probability: 0.75 }),
        features: Some(QueryFeatures::Lexical(vec![7, 9, 11])),
        propensity: Some(0.5),
        explored: Some("thompson".to_owned()),
        bundle: "v1".to_owned(),
    };
    let signal = Signal { decision: decision.to_owned(), said, at: received, received, origin };
    Interaction { user: user.to_owned(), signal }
}

fn rating(user: &str, received: u64) -> Interaction {
    interaction(user, "d", Said::Rating { llm: Some("a".to_owned()), rating: 0.25 }, received)
}

fn open(folder: &Path, day: &str) -> SerializedFileReader<fs::File> {
    let path = folder.join(format!("day={day}/interactions.parquet"));
    SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap()
}

#[test]
fn each_day_has_a_file_with_every_field() {
    let folder = tempfile::tempdir().unwrap();
    let mut exporter = Exporter::new(folder.path()).unwrap();
    let shown = vec!["a".to_owned(), "b".to_owned()];
    exporter.add(vec![rating("ada", DAY - 1)]).unwrap();
    let best = Said::Best { best: "b".to_owned(), shown };
    exporter.add(vec![interaction("ada", "d2", best, DAY), rating("bob", DAY + 5)]).unwrap();
    let report = exporter.finish().unwrap();
    assert_eq!(report["interactions"], 3);
    assert_eq!(open(folder.path(), "1970-01-01").metadata().file_metadata().num_rows(), 1);
    let reader = open(folder.path(), "1970-01-02");
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap()).collect();
    assert_eq!(rows.len(), 3, "one row for each answer that was shown, and the rating");
    let names: Vec<String> = rows[0].get_column_iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names[..4], ["user", "decision", "received", "at"]);
    let text = |row: usize, column: usize| rows[row].get_string(column).unwrap().as_str();
    assert_eq!((text(0, 0), text(0, 1), text(0, 4), text(0, 5), text(0, 6)), ("ada", "d2", "choice", "best", "a"));
    assert_eq!((text(0, 7), text(0, 8), text(0, 9), text(0, 10)), ("auto", "v1", "math", "thompson"));
    assert_eq!((rows[0].get_float(11).unwrap(), rows[1].get_float(11).unwrap()), (0.0, 1.0), "b is the best");
    assert_eq!((rows[0].get_float(14).unwrap(), rows[0].get_float(15).unwrap()), (0.75, 0.5));
    assert!(rows[1].get_float(15).is_err(), "the propensity is that of the chosen LLM");
    let ids: Vec<i32> =
        (0..3).map(|idx| parquet::record::ListAccessor::get_int(rows[2].get_list(16).unwrap(), idx).unwrap()).collect();
    assert_eq!(ids, [7, 9, 11]);
}

#[test]
fn a_repeated_export_replaces_a_day_and_the_manifest_knows_its_users() {
    let folder = tempfile::tempdir().unwrap();
    for users in [&["ada", "bob"][..], &["bob"]] {
        let mut exporter = Exporter::new(folder.path()).unwrap();
        exporter.add(users.iter().map(|user| rating(user, 5)).collect()).unwrap();
        exporter.finish().unwrap();
    }
    assert_eq!(open(folder.path(), "1970-01-01").metadata().file_metadata().num_rows(), 1);
    let manifest = fs::read_to_string(folder.path().join(MANIFEST)).unwrap();
    assert!(manifest.contains(&hashed("bob")) && !manifest.contains(&hashed("ada")), "{manifest}");
    assert!(!manifest.contains("bob"), "the manifest names nobody");
}

#[test]
fn another_manifest_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(MANIFEST), "{\"version\": 2, \"files\": {}}").unwrap();
    let error = Exporter::new(folder.path()).err().unwrap().to_string();
    assert!(error.contains("manifest.json") && error.contains("version 2, expected 1"), "{error}");
}
