//! Facts about reading outcomes folders.

use std::path::PathBuf;

use super::super::split::{self, Ratio};
use super::*;

fn folder(outcomes: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("queries.csv", "query_id,task_id,query\n7,sums,\"1 + 1\"\n8,art,draw\n");
    write("outcomes.csv", outcomes);
    write("llms.json", r#"{"small": {"input_price": 0.1}, "large": {"input_price": 2}}"#);
    folder
}

fn error(outcomes: &str) -> String {
    let folder = folder(outcomes);
    let message = read(folder.path(), Cost::CostLog, &[]).unwrap_err().to_string();
    message.replace(&format!("{}/", folder.path().display()), "")
}

const HEADER: &str = "query_id,llm,effect,cost,cost_log\n";

/// Returns the path of a committed data set, or of a file, in `tests/fixtures`.
pub(crate) fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name)
}

/// What an independent implementation of the protocol, `tests/fixtures/protocol.py`, says of the committed outcomes.
pub(crate) fn answers() -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(committed("answers.json")).unwrap()).unwrap()
}

#[test]
fn rows_in_any_order_land_in_their_place_and_gaps_stay_open() {
    let folder = folder(&format!("{HEADER}8,large,1,0.5,0.75\n7,small,0.25,0,0.125\n"));
    let data = read(folder.path(), Cost::CostLog, &[]).unwrap();
    let names: Vec<&str> = data.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!((names, data.queries[0].task, data.queries[0].id), (vec!["art", "sums"], 1, 7));
    assert_eq!(
        (data.effect[[0, 0]], data.cost[[0, 0]], data.effect[[1, 1]], data.cost[[1, 1]]),
        (0.25, 0.125, 1.0, 0.75)
    );
    assert!(data.effect[[0, 1]].is_nan() && data.cost[[1, 0]].is_nan());
    assert_eq!(data.query_embeddings.dim(), (2, 0));
    let plain = read(folder.path(), Cost::Cost, &[]).unwrap();
    assert_eq!(plain.cost[[1, 1]], 0.5);
    assert_ne!(plain.fingerprint, data.fingerprint);
}

#[test]
fn a_short_row_names_its_line() {
    let message = error(&format!("{HEADER}7,small,1,0,0\n8,small,1\n"));
    assert_eq!(message, "outcomes.csv, line 3: expected 5 fields as in the header, found 3");
}

#[test]
fn an_effect_that_is_no_number_names_its_column() {
    let message = error(&format!("{HEADER}7,small,high,0,0\n"));
    assert_eq!(message, "outcomes.csv, line 2, column `effect`: expected a finite number, found `high`");
}

#[test]
fn unknown_llms_and_queries_are_named() {
    let message = error(&format!("{HEADER}7,huge,1,0,0\n"));
    assert_eq!(message, "outcomes.csv, line 2, column `llm`: expected an LLM of llms.json, found `huge`");
    let message = error(&format!("{HEADER}9,small,1,0,0\n"));
    assert_eq!(message, "outcomes.csv, line 2, column `query_id`: expected a query of queries.csv, found 9");
}

#[test]
fn a_duplicate_outcome_is_refused() {
    let message = error(&format!("{HEADER}7,small,1,0,0\n8,small,1,0,0\n7,small,1,0,0\n"));
    assert_eq!(
        message,
        "outcomes.csv, line 4: expected one outcome for each query and LLM, found a second for 7, small"
    );
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("llms.json"), r#"{"a": {}}"#).unwrap();
    let message = read(folder.path(), Cost::CostLog, &[]).unwrap_err().to_string();
    assert!(message.ends_with("expected a file `queries.csv` or `queries.csv.gz`"), "{message}");
}

#[test]
fn embeddings_of_another_count_are_refused() {
    let folder = folder(&format!("{HEADER}7,small,1,0,0\n"));
    npy::write(&folder.path().join("query_embeddings.npy"), &Array2::zeros((3, 4))).unwrap();
    let message = read(folder.path(), Cost::CostLog, &[]).unwrap_err().to_string();
    assert!(message.ends_with("expected 2 rows as in queries.csv, found 3"), "{message}");
}

#[test]
fn committed_outcomes_are_read_whole_and_split_as_the_independent_implementation_splits_them() {
    let data = read(&committed("outcomes"), Cost::CostLog, &[]).unwrap();
    assert_eq!((data.queries.len(), data.llms.len(), data.tasks.len()), (160, 5, 3));
    assert!(data.effect.iter().chain(&data.cost).all(|value| value.is_finite()));
    assert_eq!(data.query_embeddings.dim(), (160, 16));
    let answers = answers();
    for seed in 0..3_u64 {
        let parts = split::split(&data.queries, data.tasks.len(), Ratio::PROTOCOL, seed);
        let of_seed = &answers["seeds"][seed.to_string()];
        for (name, part) in [("train", &parts.train), ("validation", &parts.validation), ("test", &parts.test)] {
            let sum: u64 = part.iter().map(|&row| data.queries[row as usize].id).sum();
            assert_eq!(of_seed["sums_of_ids"][name], sum, "{name} of seed {seed}");
        }
        let first: Vec<u64> = parts.test[..4].iter().map(|&row| data.queries[row as usize].id).collect();
        assert_eq!(of_seed["first_test_ids"], serde_json::json!(first));
    }
}
